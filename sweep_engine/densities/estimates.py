"""Every estimate of a sweep's comparisons, from stored tables: one door for all callers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int64

from sweep_engine.comparability import split_columns
from sweep_engine.densities.bootstrap import mean
from sweep_engine.densities.comparisons import Compared, Study, units_of
from sweep_engine.densities.coordinates import Projection, fit_coordinates, fitting_half
from sweep_engine.densities.counts import CellCounts, align_counts
from sweep_engine.densities.dependence import effective_counts
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.estimators import ESTIMATORS, default_estimators, kl_lower_bound
from sweep_engine.densities.function_space import compare_functions, divergence_lower_bounds
from sweep_engine.densities.ledger import (
    data_nats,
    optimiser_nats,
    pac_bayes_bound,
    total_nats,
)
from sweep_engine.densities.matching import match
from sweep_engine.densities.multiplicity import holm
from sweep_engine.densities.pairing import Pair, pairs
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec import Comparison, Setting
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.sources import GuessAndCheck, Prior, Splitting
from sweep_engine.spec.sweep import Coordinates
from sweep_engine.tasks import load_task

Read = tuple[np.ndarray, Draws]


@dataclass(frozen=True)
class Thetas:
    """Parameters of runs, with what their draws are worth.

    Attributes:
        run_id: One a row.
        theta: One network a row.
        rows: The runs' `log_weight`, `setting` and `unit`, in the same order.
    """

    run_id: Int64[np.ndarray, " R"]
    theta: Float[np.ndarray, "R P"]
    rows: pa.Table

    def draws(self, projection: Projection, kept: Bool[np.ndarray, " R"]) -> Draws:
        """Give the coordinates of some of them."""
        values = projection(self.theta[kept])
        values = values[:, 0] if values.shape[1] == 1 else values
        units = units_of(self.rows)
        weights = self.rows["log_weight"].to_numpy()[kept]
        return Draws.of(values, weights, None if units is None else units[kept])


@dataclass(frozen=True)
class Side:
    """One side of a pair: where its runs are.

    Attributes:
        study: Results that hold them.
        source: The source's name.
        settings: Pooled settings.
        comparison: What is asked of them.
    """

    study: Study
    source: str
    settings: tuple[int, ...]
    comparison: Comparison

    def draws(self, columns: Sequence[str]) -> Draws:
        """Read columns of the runs that are looked at."""
        asked = self.comparison
        return self.study.draws(self.source, self.settings, columns, asked.given, asked.where)

    def thetas(self) -> "Thetas":
        """Read the final parameters of the runs that are looked at."""
        asked = self.comparison
        return Thetas(*self.study.thetas(self.source, self.settings, asked.given, asked.where))

    def functions(self, column: str | None = None) -> Read:
        """Read the functions of the kept rows that are looked at, with a column."""
        asked = self.comparison
        return self.study.function_draws(
            self.source, self.settings, asked.given, asked.where, column
        )

    @property
    def chosen(self) -> list[Setting]:
        """The settings themselves."""
        return [self.study.plan.settings[i] for i in self.settings]


def sides_of(study: Study, pair: Pair, other: Study | None = None) -> tuple[Side, Side]:
    """Find both sides of a pair; the reference's runs are in `other`, if that is given."""
    asked = pair.comparison
    return (
        Side(study, asked.source, pair.source, asked),
        Side(other or study, asked.reference, pair.reference, asked),
    )


def compare(
    results: Path | str | Study,
    source: str,
    reference: str,
    observable: str,
    *,
    given: str = "all",
    at: dict[str, Any] | None = None,
    by: str | None = None,
    where: dict[str, tuple[float, float]] | None = None,
    match: dict[str, Any] | None = None,
    coordinates: dict[str, Any] | None = None,
    estimator: str | None = None,
    quantity: str | None = None,
    reference_results: Path | str | Study | None = None,
) -> Estimate:
    """Estimate one divergence between two sources, of one sweep or of two.

    Args:
        results: An output directory.
        source: Name of a source.
        reference: What it is compared with.
        observable: `function`, `theta`, a column of `runs`, or several joined by commas.
        given: `fit`: only networks that pass the acceptance rule.
        at: Axis values that pick one of several settings.
        by: An axis that only one side has: pick one of its values with `at`.
        where: Column: (low, high), of the runs that are looked at.
        coordinates: `kind` and `dimensions` of `theta`; left out, two principal components.
        match: `column` and `bins`: weigh the reference so that the column's bins agree.
        estimator: As in the sweep file, such as `mmd` or `ledger`; or the name of an estimate
            that is made when it is left out.
        quantity: Which of the estimator's estimates, such as `ledger_total`; left out, the
            first: total variation for functions, the Kolmogorov-Smirnov distance for a column.
        reference_results: The output directory of the reference, if it is another one.

    Raises:
        IncomparableSources: the comparison means nothing, or `at` does not pick one setting.
        InsufficientSamples: too few draws; says how many are needed.
    """
    study = results if isinstance(results, Study) else Study.open(results)
    other = _opened(reference_results)
    family = estimator if estimator in ESTIMATORS or estimator == "ledger" else None
    comparison = Comparison.model_validate(
        {
            "source": source,
            "reference": reference,
            "observable": observable,
            "given": given,
            "by": by,
            "where": where,
            "match": match,
            "coordinates": coordinates,
            "estimator": family,
        }
    )
    paired = pairs(study.plan, comparison, other.plan if other else None)
    chosen = [pair for pair in paired if (at or {}).items() <= pair.at.items()]
    if len(chosen) != 1:
        raise IncomparableSources(
            f"{len(chosen)} settings are paired here: pick one with `at`, from "
            f"{[pair.at for pair in paired]}"
        )
    name = quantity or (None if family else estimator)
    return _named(estimates_of(study, chosen[0], other), name)


def _opened(results: Path | str | Study | None) -> Study | None:
    return results if isinstance(results, Study | None) else Study.open(results)


def _named(found: Sequence[Estimate], name: str | None) -> Estimate:
    estimates = {estimate.name: estimate for estimate in found}
    name = name or next(iter(estimates))
    if name not in estimates:
        raise IncomparableSources(f"no estimator {name!r} (there are {list(estimates)})")
    return estimates[name]


def compare_all(study: Study, other: Study | None = None) -> tuple[list[Compared], list[str]]:
    """Make every estimate that the sweep asks for.

    Args:
        study: The sweep, with its results.
        other: Where the references are, if elsewhere.

    Returns:
        The estimates, and a line for each comparison that has too few draws, or draws that its
        estimator cannot use.
    """
    found, refused = [], []
    for comparison in study.sweep.compare:
        for pair in pairs(study.plan, comparison, other.plan if other else None):
            try:
                found += [Compared(pair, one) for one in estimates_of(study, pair, other)]
            except (InsufficientSamples, IncomparableSources) as error:
                refused.append(
                    f"{comparison.source} against {comparison.reference}, "
                    f"{comparison.observable} {pair.label()}: {error}"
                )
    return _adjusted(found), refused


def _adjusted(found: list[Compared]) -> list[Compared]:
    """Adjust the p-values of all tests that are made together."""
    tests = [i for i, one in enumerate(found) if one.estimate.p_value is not None]
    raw = np.array([found[i].estimate.p_value for i in tests], float)
    for i, p in zip(tests, holm(raw), strict=True):
        found[i] = replace(found[i], p_adjusted=float(p))
    return found


def estimates_of(study: Study, pair: Pair, other: Study | None = None) -> list[Estimate]:
    """Make all estimates of one pair.

    Raises:
        IncomparableSources: the observable is no column that both sources fill.
        InsufficientSamples: too few draws.
    """
    sides = sides_of(study, pair, other)
    asked = pair.comparison
    if asked.estimator == "ledger":
        return _ledger(*sides)
    own = _observable_estimates(*sides)
    has_ledger = asked.estimator is None and asked.observable == "function" and _is_ledger(*sides)
    return [*own, *_ledger(*sides)] if has_ledger else own


def _observable_estimates(source: Side, reference: Side) -> list[Estimate]:
    asked, seed = source.comparison, source.study.sweep.seed
    if asked.observable == "function":
        cells, notes = _function_cells(source, reference)
        return _noted(compare_functions(cells[1], seed=seed), notes)
    draws, notes = _draws(source, reference)
    names = [asked.estimator] if asked.estimator else default_estimators(draws[0])
    found = [one for name in names if name for one in ESTIMATORS[name](*draws, seed)]
    return _noted(found, notes)


def _noted(found: Sequence[Estimate], notes: tuple[str, ...]) -> list[Estimate]:
    return [replace(one, warnings=(*notes, *one.warnings)) for one in found]


def read_pair(study: Study, pair: Pair, other: Study | None = None) -> tuple[Draws, Draws]:
    """Read both sides of a pair as its estimates see them: those `where` asks for, matched."""
    return _draws(*sides_of(study, pair, other))[0]


def _draws(source: Side, reference: Side) -> tuple[tuple[Draws, Draws], tuple[str, ...]]:
    """Read the observable's columns on both sides, matched if that is asked."""
    asked = source.comparison
    if asked.observable == "theta":
        return _theta_draws(source, reference)
    columns = split_columns(asked.observable)
    mine, theirs = source.draws(columns), reference.draws(columns)
    if asked.match is None or not len(mine) or not len(theirs):
        return (mine, theirs), ()
    by = [side.draws([asked.match.column]) for side in (source, reference)]
    one, two, notes = match(by[0], by[1], asked.match.bins, asked.match.column)
    return (one.apply(mine), two.apply(theirs)), notes


def _theta_draws(source: Side, reference: Side) -> tuple[tuple[Draws, Draws], tuple[str, ...]]:
    """Read both sides' parameters, in coordinates that half of the reference fixes."""
    asked = source.comparison.coordinates or Coordinates()
    theirs, mine = reference.thetas(), source.thetas()
    fitting = fitting_half(theirs.run_id)
    projection = fit_coordinates(asked, theirs.theta[fitting], source.study.sweep.seed)
    both = (
        mine.draws(projection, np.ones(len(mine.run_id), bool)),
        theirs.draws(projection, ~fitting),
    )
    return both, (f"in {projection.words}: over theta it can only be more",)


def function_cells(
    study: Study, pair: Pair, other: Study | None = None
) -> tuple[np.ndarray, CellCounts]:
    """Count functions on both sides: (function ids as bytes, counts)."""
    return _function_cells(*sides_of(study, pair, other))[0]


def _function_cells(
    source: Side, reference: Side
) -> tuple[tuple[np.ndarray, CellCounts], tuple[str, ...]]:
    asked, notes = source.comparison, tuple[str, ...]()
    if asked.where is None and asked.match is None:
        mine, theirs = (
            side.study.function_counts(side.source, side.settings, asked.given)
            for side in (source, reference)
        )
    else:
        mine, theirs, notes = _counted_rows(source, reference)
    if not len(mine[0]) and not len(theirs[0]):
        raise IncomparableSources("this task's outputs are not discrete: no functions to count")
    return align_counts(*mine, *theirs), notes


def _counted_rows(source: Side, reference: Side) -> tuple[Any, Any, tuple[str, ...]]:
    """Count the functions of kept rows, where only some of them, or weighed ones, are meant."""
    asked = source.comparison
    column = asked.match.column if asked.match else None
    read = [source.functions(column), reference.functions(column)]
    notes: tuple[str, ...] = ("of kept rows only",)
    if asked.match is not None:
        one, two, more = match(read[0][1], read[1][1], asked.match.bins, asked.match.column)
        read = [(names[m.kept], m.apply(draws)) for (names, draws), m in
                zip(read, (one, two), strict=True)]  # fmt: skip
        notes += more
    counted = (
        effective_counts(
            names, draws.weights, draws.units, np.random.default_rng([source.study.sweep.seed, 2])
        )
        for names, draws in read
    )
    return *counted, notes  # type: ignore[return-value]


def _is_ledger(source: Side, reference: Side) -> bool:
    """Whether the reference is a law over networks, and both sides are given a fit."""
    spec = reference.chosen[0].spec
    law = isinstance(spec, Prior | GuessAndCheck | Splitting)
    whole = source.comparison.where is None and source.comparison.match is None
    measures_fit = not (isinstance(spec, Splitting) and spec.functions)
    return law and whole and measures_fit and source.comparison.given == "fit"


def _ledger(source: Side, reference: Side, confidence: float = 0.95) -> list[Estimate]:
    """The ledger of a pair: its two entries, their sum, and the PAC-Bayes bound."""
    if not _is_ledger(source, reference):
        raise IncomparableSources(
            "the ledger is of networks that fit (`given: fit`, without `where` or `match`) "
            "against a law: prior, guess_and_check or splitting"
        )
    each = (1 + confidence) / 2
    data, wide = (
        data_nats(reference.study.ln_fit_probability(reference.chosen, level))
        for level in (confidence, each)
    )
    try:
        optimiser, wide_optimiser = (
            optimiser_nats(_kl(source, reference, level), source.comparison.observable)
            for level in (confidence, each)
        )
        entries = [data, optimiser, total_nats(wide, wide_optimiser, confidence)]
    except InsufficientSamples as error:
        alone = total_nats(wide, None, confidence)
        entries = [data, replace(alone, warnings=(*alone.warnings, str(error)))]
    return [*entries, *_bound(source, reference, wide)]


def _kl(source: Side, reference: Side, confidence: float) -> Estimate:
    seed = source.study.sweep.seed
    if source.comparison.observable == "function":
        cells = _function_cells(source, reference)[0][1]
        return divergence_lower_bounds(cells, seed=seed, confidence=confidence)[-1]
    return kl_lower_bound(*_draws(source, reference)[0], seed=seed, confidence=confidence)


def _bound(source: Side, reference: Side, data: Estimate) -> list[Estimate]:
    """The PAC-Bayes bound, beside the measured test error of both sides.

    It is there where the training set is a random sample and the acceptance rule its error.
    """
    settings = reference.chosen
    setting, rule = settings[0], settings[0].accept.train_error
    task = setting.task
    drawn = isinstance(getattr(task, "train", None), int)
    clean = not isinstance(task, Custom) and getattr(task, "poison", None) is None
    if len(settings) > 1 or rule is None or not (drawn and clean):
        return []
    sweep = reference.study.sweep
    examples = len(load_task(task, sweep.seed, sweep.folder).train)
    return [pac_bayes_bound(data, examples, rule), *_test_errors(source, reference)]


def _test_errors(source: Side, reference: Side) -> Iterator[Estimate]:
    for name, side in (("source", source), ("reference", reference)):
        try:
            draws = side.draws(["test_error"])
            yield mean(draws, name=f"test_error_{name}", seed=side.study.sweep.seed)
        except (IncomparableSources, InsufficientSamples):
            continue  # there is no test set, or no row was kept
