"""Every estimate of a sweep's comparisons, from stored tables: one door for all callers."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.decomposition.decomposition import has_ledger, ledger_of
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.functions.function_space import compare_functions
from sweep_engine.densities.multiplicity import each_of, holm
from sweep_engine.densities.registry import ESTIMATORS, Measured, default_estimators
from sweep_engine.densities.stored.compared import Compared
from sweep_engine.densities.stored.pairing import Pair, pairs
from sweep_engine.densities.stored.sides import Side, counted, observed, sides_of
from sweep_engine.densities.stored.study import Study
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec import Comparison

CONFIDENCE = 0.95


def compare(
    results: Path | str | Study,
    source: str,
    reference: str,
    observable: str,
    *,
    given: str = "all",
    at: dict[str, Any] | None = None,
    by: str | tuple[str, ...] | None = None,
    over: str | None = None,
    where: dict[str, tuple[float, float]] | None = None,
    match: dict[str, Any] | None = None,
    estimator: str | None = None,
    quantity: str | None = None,
    reference_results: Path | str | Study | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Estimate one divergence between two sources, of one sweep or of two.

    Args:
        results: An output directory.
        source: Name of a source.
        reference: What it is compared with.
        observable: `function`, a column of `runs`, or several joined by commas.
        given: `fit`: only networks that pass the acceptance rule.
        at: Axis values that pick one of several settings.
        by: Axes that only one side has: pick one of their values with `at`.
        over: `task.seed`: the mean over data sets, with a bootstrap over them.
        where: Column: (low, high), of the runs that are looked at.
        match: `column` and `bins`: weigh the reference so that the column's bins agree.
        estimator: As in the sweep file, such as `mmd` or `ledger`; or the name of an estimate
            that is made when it is left out.
        quantity: Which of the estimator's estimates, such as `ledger_total`; left out, the
            first: total variation for functions, the Kolmogorov-Smirnov distance for a column.
        reference_results: The output directory of the reference, if it is another one.
        confidence: Of the interval.

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
            "over": over,
            "where": where,
            "match": match,
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
    return _named(estimates_of(study, chosen[0], other)(confidence), name)


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
        paired = pairs(study.plan, comparison, other.plan if other else None)
        for pair in paired:
            try:
                found += _together(pair, estimates_of(study, pair, other), len(paired))
            except (InsufficientSamples, IncomparableSources) as error:
                refused.append(
                    f"{comparison.source} against {comparison.reference}, "
                    f"{comparison.observable} {pair.label()}: {error}"
                )
    return _adjusted(found), refused


def _together(pair: Pair, measured: Measured, num_pairs: int) -> list[Compared]:
    """Estimates with intervals of their own, and with those that hold for all pairs at once."""
    alone = measured(CONFIDENCE)
    if num_pairs == 1:
        return [Compared(pair, one) for one in alone]
    wide = measured(each_of(num_pairs, CONFIDENCE))
    return [
        Compared(pair, one, num_settings=num_pairs, simultaneous=(other.low, other.high))
        for one, other in zip(alone, wide, strict=True)
    ]


def _adjusted(found: list[Compared]) -> list[Compared]:
    """Adjust the p-values of all tests that are made together."""
    tests = [i for i, one in enumerate(found) if one.estimate.p_value is not None]
    raw = np.array([found[i].estimate.p_value for i in tests], float)
    for i, p in zip(tests, holm(raw), strict=True):
        found[i] = replace(found[i], p_adjusted=float(p))
    return found


def estimates_of(study: Study, pair: Pair, other: Study | None = None) -> Measured:
    """Look at the draws of one pair: what all its estimates are, at any confidence.

    Raises:
        IncomparableSources: the observable is no column that both sources fill.
        InsufficientSamples: too few draws; or what is returned raises it.
    """
    sides = sides_of(study, pair, other)
    asked = pair.comparison
    if asked.estimator == "ledger":
        return ledger_of(*sides)
    own = _observable_estimates(*sides)
    by_default = asked.estimator is None and asked.observable == "function"
    if not (by_default and has_ledger(*sides)):
        return own
    ledger = ledger_of(*sides)
    return lambda confidence: [*own(confidence), *ledger(confidence)]


def _observable_estimates(source: Side, reference: Side) -> Measured:
    asked, seed = source.comparison, source.study.sweep.seed
    if asked.observable == "function":
        cells, notes = counted(source, reference)
        return _noted([partial(_functions, cells[1], seed)], notes)
    draws, notes = observed(source, reference)
    named = "mean" if asked.over else asked.estimator
    names = [named] if named else default_estimators(draws[0])
    return _noted([ESTIMATORS[name](*draws, seed) for name in names], notes)


def _functions(counts: CellCounts, seed: int, confidence: float) -> Sequence[Estimate]:
    return compare_functions(counts, seed=seed, confidence=confidence)


def _noted(measured: Sequence[Measured], notes: tuple[str, ...]) -> Measured:
    return lambda confidence: [
        replace(one, warnings=(*notes, *one.warnings))
        for estimator in measured
        for one in estimator(confidence)
    ]
