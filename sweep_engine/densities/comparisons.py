"""The sweep's comparisons: from stored tables to Estimates."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from sweep_engine.comparability import split_columns
from sweep_engine.densities.binned import binned_divergences
from sweep_engine.densities.counts import CellCounts, align_counts
from sweep_engine.densities.dependence import effective_counts
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.function_space import compare_functions
from sweep_engine.densities.log_probability import log_mean_probability
from sweep_engine.densities.one_dimensional import ks_distance, mass_outside_range, quantiles
from sweep_engine.densities.pairing import Pair, pairs
from sweep_engine.densities.proportions import (
    clopper_pearson,
    inverse_proportion,
    ln_probability,
    proportion,
)
from sweep_engine.densities.two_dimensional import binned_total_variation_2d
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.planning import Plan
from sweep_engine.spec import Comparison, Setting, Sweep
from sweep_engine.spec.sources import GuessAndCheck, Splitting, unit_size
from sweep_engine.store import Files, OutputDirectory, Results, open_results
from sweep_engine.store.encoding import to_parquet
from sweep_engine.store.layout import COMPARISONS
from sweep_engine.store.manifest import read_manifest


@dataclass(frozen=True)
class Compared:
    """One estimate of one comparison at one point of the axes.

    Attributes:
        pair: What was compared.
        estimate: The number.
    """

    pair: Pair
    estimate: Estimate


class Study:
    """Results with the sweep that they are of: what estimates and figures read."""

    def __init__(self, results: Results, plan: Plan) -> None:
        self.results = results
        self.plan = plan

    @classmethod
    def open(cls, root: Path | str) -> "Study":
        """Open an output directory.

        Raises:
            OutputError: there is no sweep there.
            CorruptResults: its files are not as they were committed.
        """
        manifest = read_manifest(OutputDirectory(root))
        return cls(open_results(root), manifest.plan)

    @property
    def sweep(self) -> Sweep:
        """The sweep."""
        return self.plan.sweep

    def draws(
        self, source: str, settings: Sequence[int], columns: Sequence[str], given: str
    ) -> Draws:
        """Read one or two columns of the chosen runs, with their weights and units."""
        table = self.results.runs([*columns, *_ADDRESS], self._runs(source, settings, given))
        missing = [name for name in columns if table[name].null_count]
        if missing:
            raise IncomparableSources(f"{missing[0]} has no value for the runs of {source}")
        values = np.stack([table[name].to_numpy().astype(float) for name in columns], axis=1)
        values = values[:, 0] if len(columns) == 1 else values
        return Draws.of(values, table["log_weight"].to_numpy(), _units(table))

    def _runs(self, source: str, settings: Sequence[int], given: str) -> pc.Expression:
        where = pc.field("source") == source
        where &= pc.field("setting").isin(list(settings))
        return where & pc.field("fit") if given == "fit" else where

    def function_counts(
        self, source: str, settings: Sequence[int], given: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Count how often each function was drawn: (function ids, counts).

        Weighted or dependent draws count as the number of independent ones that they are
        worth (`effective_counts`).
        """
        if unit_size(self.sweep.sources[source]) > 1:
            table = self.results.runs(
                ["function_id", *_ADDRESS], self._runs(source, settings, given)
            ).drop_null()
            names = table["function_id"].to_numpy(zero_copy_only=False)
            weights = Draws.of(np.zeros(len(names)), table["log_weight"].to_numpy()).weights
            rng = np.random.default_rng([self.sweep.seed, 2])
            return effective_counts(names, weights, _units(table), rng)
        fits_only = isinstance(self.sweep.sources[source], GuessAndCheck) or given == "fit"
        what = "function_given_fit" if fits_only else "function"
        where = (pc.field("source") == source) & (pc.field("what") == what)
        where &= pc.field("setting").isin(list(settings))
        table = self.results.tallies(["function_id", "count"], where)
        added = table.group_by("function_id").aggregate([("count", "sum")])
        return added["function_id"].to_numpy(zero_copy_only=False), added["count_sum"].to_numpy()

    def functions(self, source: str, settings: Sequence[int]) -> dict[str, bytes]:
        """The packed outputs of every counted function, where the input set is finite."""
        where = (pc.field("source") == source) & pc.field("function").is_valid()
        where &= pc.field("setting").isin(list(settings))
        table = self.results.tallies(["function_id", "function"], where)
        return dict(
            zip(table["function_id"].to_pylist(), table["function"].to_pylist(), strict=True)
        )

    def measured(self, settings: Sequence[Setting]) -> pa.Table:
        """Read the numbers that are no counts: setting, unit, what, function_id, value, stderr."""
        where = pc.field("source") == settings[0].source
        where &= pc.field("setting").isin([setting.id for setting in settings])
        columns = ["setting", "unit", "what", "function_id", "value", "stderr"]
        return self.results.tallies(columns, where & pc.field("value").is_valid())

    def ln_fit_probability(self, settings: Sequence[Setting]) -> Estimate:
        """Estimate ln P(fit) of a source, in nats: of its law, or of the training's outcome.

        Raises:
            InsufficientSamples: too few draws or repetitions.
        """
        if isinstance(settings[0].spec, Splitting):
            return log_mean_probability(self._repetitions(settings, "log_p_fit"))
        return ln_probability(self.fit_probability(settings))

    def _repetitions(self, settings: Sequence[Setting], what: str) -> Float[np.ndarray, " R"]:
        table = self.measured(settings)
        values: Float[np.ndarray, " R"] = table.filter(pc.equal(table["what"], what))[
            "value"
        ].to_numpy()
        return values

    def fit_probability(self, settings: Sequence[Setting]) -> Estimate:
        """Estimate P(fit) of a source from its counts, with the exact interval.

        A fixed number of draws gives k/N; a source that stops at the k-th acceptance
        (k-1)/(N-1) (SCIENCE: k/N would be biased upwards). Draws of chains count as the
        number of independent ones that they are worth.
        """
        ids = [setting.id for setting in settings]
        if unit_size(settings[0].spec) > 1:
            return self._dependent_share(settings[0].source, ids)
        where = (pc.field("source") == settings[0].source) & pc.field("setting").isin(ids)
        table = self.results.tallies(["what", "count"], where & pc.field("what").isin(WHOLE))
        sums = dict.fromkeys(WHOLE, 0)
        for what, count in zip(table["what"].to_pylist(), table["count"].to_pylist(), strict=True):
            sums[what] += count
        spec = settings[0].spec
        target = spec.accepted if isinstance(spec, GuessAndCheck) else None
        if target is not None and len(settings) == 1 and sums["fit"] == target:
            return inverse_proportion(sums["fit"], sums["draws"], name="p_fit")
        return proportion(sums["fit"], sums["draws"], name="p_fit")

    def _dependent_share(self, source: str, ids: Sequence[int]) -> Estimate:
        table = self.results.runs(["fit", *_ADDRESS], self._runs(source, ids, "all"))
        fit = table["fit"].to_numpy(zero_copy_only=False).astype(float)
        draws = Draws.of(fit, table["log_weight"].to_numpy(), _units(table))
        hits = float(draws.effective_weights @ fit)
        low, high = clopper_pearson(hits, draws.n_eff)
        return Estimate(
            name="p_fit",
            value=hits / draws.n_eff,
            low=float(low),
            high=float(high),
            num_source=len(draws),
            n_eff_source=draws.n_eff,
            unit="1",
            method="share of dependent draws, as of n_eff independent ones; Clopper-Pearson",
        )


WHOLE = ("draws", "fit")

_ADDRESS = ("setting", "unit", "log_weight")


def _units(table: pa.Table) -> Int[np.ndarray, " R"] | None:
    """Number the units of the runs; None where runs are independent."""
    if table["unit"].null_count:
        return None
    both = np.stack([table["setting"].to_numpy(), table["unit"].to_numpy()])
    numbers: Int[np.ndarray, " R"] = np.unique(both, axis=1, return_inverse=True)[1].ravel()
    return numbers


def compare(
    results: Path | str | Study,
    source: str,
    reference: str,
    observable: str,
    *,
    given: str = "all",
    at: dict[str, Any] | None = None,
    estimator: str | None = None,
) -> Estimate:
    """Estimate one divergence between two sources of a sweep.

    Args:
        results: An output directory.
        source: Name of a source.
        reference: What it is compared with.
        observable: `function`, a column of `runs`, or two columns joined by a comma.
        given: `fit`: only networks that pass the acceptance rule.
        at: Axis values that pick one of several settings.
        estimator: Name of the estimate; left out, the first: total variation for functions,
            the Kolmogorov-Smirnov distance for a column.

    Raises:
        IncomparableSources: the comparison means nothing, or `at` does not pick one setting.
        InsufficientSamples: too few draws; says how many are needed.
    """
    study = results if isinstance(results, Study) else Study.open(results)
    comparison = Comparison.model_validate(
        {"source": source, "reference": reference, "observable": observable, "given": given}
    )
    paired = pairs(study.plan, comparison)
    chosen = [pair for pair in paired if (at or {}).items() <= pair.at.items()]
    if len(chosen) != 1:
        raise IncomparableSources(
            f"{len(chosen)} settings are paired here: pick one with `at`, from "
            f"{[pair.at for pair in paired]}"
        )
    estimates = {estimate.name: estimate for estimate in estimates_of(study, chosen[0])}
    name = estimator or next(iter(estimates))
    if name not in estimates:
        raise IncomparableSources(f"no estimator {name!r} (there are {list(estimates)})")
    return estimates[name]


def compare_all(study: Study) -> tuple[list[Compared], list[str]]:
    """Make every estimate that the sweep asks for.

    Returns:
        The estimates, and a line for each comparison that has too few draws.
    """
    found, refused = [], []
    for comparison in study.sweep.compare:
        for pair in pairs(study.plan, comparison):
            try:
                found += [Compared(pair, estimate) for estimate in estimates_of(study, pair)]
            except InsufficientSamples as error:
                refused.append(
                    f"{comparison.source} against {comparison.reference}, "
                    f"{comparison.observable} {pair.label()}: {error}"
                )
    return found, refused


def estimates_of(study: Study, pair: Pair) -> list[Estimate]:
    """Make all estimates of one pair.

    Raises:
        IncomparableSources: the observable is no column that both sources fill.
        InsufficientSamples: too few draws.
    """
    seed = study.sweep.seed
    if pair.comparison.observable == "function":
        return list(compare_functions(function_cells(study, pair)[1], seed=seed))
    columns = split_columns(pair.comparison.observable)
    sides = [
        study.draws(name, settings, columns, pair.comparison.given)
        for name, settings in (
            (pair.comparison.source, pair.source),
            (pair.comparison.reference, pair.reference),
        )
    ]
    source, reference = sides
    if len(columns) == 2:
        return [binned_total_variation_2d(source, reference, seed=seed)]
    return [
        ks_distance(source, reference),
        *binned_divergences(source, reference, seed=seed),
        mass_outside_range(source, reference),
        *_quantiles("source", source),
        *_quantiles("reference", reference),
    ]


def _quantiles(side: str, draws: Draws) -> list[Estimate]:
    return [replace(one, name=f"{side}_{one.name}") for one in quantiles(draws)]


def function_cells(study: Study, pair: Pair) -> tuple[np.ndarray, CellCounts]:
    """Count functions on both sides: (function ids, counts)."""
    given = pair.comparison.given
    source = study.function_counts(pair.comparison.source, pair.source, given)
    reference = study.function_counts(pair.comparison.reference, pair.reference, given)
    if not len(source[0]) and not len(reference[0]):
        raise IncomparableSources("this task's outputs are not discrete: no functions to count")
    return align_counts(*source, *reference)


def write_comparisons(files: Files, compared: Sequence[Compared]) -> None:
    """Write `comparisons.parquet`: each estimate with everything needed to redo it."""
    rows = []
    for one in compared:
        estimate = one.estimate.to_dict()
        numbers = {k: float(v) for k, v in estimate.items() if k in _NUMBERS and v is not None}
        rows.append(
            {
                **one.pair.comparison.model_dump(),
                "at": json.dumps(one.pair.at, sort_keys=True),
                **{k: v for k, v in estimate.items() if k not in _NUMBERS},
                **numbers,
            }
        )
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    files.write(COMPARISONS, to_parquet(table))


_NUMBERS = (
    "value", "low", "high", "confidence", "n_eff_source", "n_eff_reference",
    "null_value", "null_low", "null_high", "p_value",
)  # fmt: skip

_SCHEMA = pa.schema(
    [
        *(pa.field(n, pa.string()) for n in ("source", "reference", "observable", "given", "by")),
        pa.field("at", pa.string()),
        pa.field("name", pa.string()),
        *(pa.field(name, pa.float64()) for name in _NUMBERS),
        *(pa.field(name, pa.int64()) for name in ("num_source", "num_reference", "seed")),
        *(pa.field(name, pa.string()) for name in ("unit", "method")),
        pa.field("warnings", pa.list_(pa.string())),
    ]
)
