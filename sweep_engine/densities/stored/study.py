"""A stored sweep as estimates see it: draws, counts of functions, P(fit)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from sweep_engine.comparability import Observed, columns_fitted_on
from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.dependence import MIN_UNITS, effective_counts
from sweep_engine.densities.draws import DATA_SEEDS, Draws
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.probabilities.log_probability import log_mean_probability
from sweep_engine.densities.probabilities.proportions import (
    clopper_pearson,
    inverse_proportion,
    ln_probability,
    proportion,
)
from sweep_engine.densities.stored.kept import Kept
from sweep_engine.densities.stored.merging import add_up, fixed_width
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.planning import Plan
from sweep_engine.solutions import RunStatus
from sweep_engine.spec import Setting, Sweep
from sweep_engine.store import OutputDirectory, Results, open_results
from sweep_engine.store.manifest import read_manifest
from sweep_engine.store.schema import observed_columns

Where = Mapping[str, tuple[float, float]]
"""Column: (low, high), of runs that are looked at."""


CountedFunctions = tuple[tuple[np.ndarray, CellCounts], tuple[str, ...]]
"""Holds function ids with both sides' counts, and what a reader must know of them."""

DRAWS_KEPT, CELLS_KEPT = 192 * 2**20, 320 * 2**20
"""Bound the bytes of draws and of counts that stay in memory for who reads them next."""


class Study:
    """Results with the sweep that they are of: what estimates and figures read."""

    def __init__(self, results: Results, plan: Plan) -> None:
        self.results = results
        self.plan = plan
        self.kept_draws = Kept[Draws](DRAWS_KEPT, lambda draws: draws.num_bytes)
        self.kept_cells = Kept[CountedFunctions](CELLS_KEPT, _bytes_of_cells)

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

    @cached_property
    def observed(self) -> Observed | None:
        """List the columns of observables that are stored; None while there are no rows."""
        runs = self.results.table("runs")
        return observed_columns(runs.schema) if runs.records else None

    def draws(
        self,
        source: str,
        settings: Sequence[int],
        columns: Sequence[str],
        given: str,
        where: Where | None = None,
    ) -> Draws:
        """Read columns of the chosen runs, with their weights and units.

        A list is as many columns as it has entries.
        Where the settings are of several data sets, a unit is the runs on one of them.
        Runs that coordinates among the columns were fitted on are left out.
        """
        chosen = self._runs(source, settings, given, where)
        for name in columns_fitted_on(self.sweep, source) & set(columns):
            chosen &= pc.field(name).is_valid()
        table, num_diverged = whole_units(self.results.runs([*columns, *_ADDRESS], chosen), source)
        missing = [name for name in columns if table[name].null_count]
        if missing:
            raise IncomparableSources(f"{missing[0]} has no value for the runs of {source}")
        values = np.column_stack([_numbers(table, name, source) for name in columns])
        values[pc.equal(table["status"], DIVERGED).to_numpy(zero_copy_only=False)] = np.nan
        values = values[:, 0] if values.shape[1] == 1 else values
        draws = self._draws_of(values, table, settings)
        return replace(draws, diverged_units=num_diverged)

    def _draws_of(self, values: np.ndarray, table: pa.Table, settings: Sequence[int]) -> Draws:
        """Runs on one data set depend on one another, where several data sets are pooled."""
        log_weights, seeds = table["log_weight"].to_numpy(), self.data_seeds(settings)
        if not seeds:
            return Draws.of(values, log_weights, units_of(table))
        ids = np.array(sorted(seeds))
        place = np.searchsorted(ids, table["setting"].to_numpy())
        units = np.array([seeds[i] for i in ids])[place]
        return Draws.of(values, log_weights, units, DATA_SEEDS)

    def data_seeds(self, settings: Sequence[int]) -> dict[int, int]:
        """The data seed of every setting, where they have several; else empty."""
        values = {i: self.plan.settings[i].values for i in settings}
        seeds = {i: int(at[DATA_SEED]) for i, at in values.items() if DATA_SEED in at}
        return seeds if len(set(seeds.values())) > 1 else {}

    def _runs(
        self, source: str, settings: Sequence[int], given: str, inside: Where | None = None
    ) -> pc.Expression:
        """Choose runs.

        Raises:
            InsufficientSamples: No run of the sweep is stored, so that no column is known.
        """
        if not self.results.table("runs").records:
            raise InsufficientSamples("no run is stored: `keep` of a source says which are")
        where = self.rows_of(source, settings)
        for column, (low, high) in (inside or {}).items():
            where &= (pc.field(column) >= low) & (pc.field(column) <= high)
        return where & pc.field("fit") if given == "fit" else where

    def rows_of(self, source: str, settings: Sequence[int]) -> pc.Expression:
        """Choose a source's rows of some settings; files of other buckets are not opened."""
        buckets = sorted(set().union(*(self._buckets[i] for i in settings)))
        where = (pc.field("source") == source) & pc.field("bucket").isin(buckets)
        return where & pc.field("setting").isin(list(settings))

    @cached_property
    def _buckets(self) -> dict[int, set[str]]:
        """The buckets whose files have rows of each setting."""
        found: dict[int, set[str]] = defaultdict(set)
        for name, settings in self.plan.buckets.items():
            for setting in settings:
                found[setting].add(name)
        for shard in self.plan.shards:  # those of an earlier version may have other names
            for setting, _, _ in shard.pieces:
                found[setting].add(shard.bucket)
        return found

    def addresses(
        self, source: str, settings: Sequence[int], given: str, where: Where | None = None
    ) -> pa.Table:
        """Read which the chosen runs are: run id, bucket, weight, unit and status."""
        chosen = self._runs(source, settings, given, where)
        return whole_units(self.results.runs(["run_id", "bucket", *_ADDRESS], chosen), source)[0]

    def function_draws(
        self,
        source: str,
        settings: Sequence[int],
        given: str,
        where: Where | None = None,
        column: str | None = None,
    ) -> tuple[np.ndarray, Draws]:
        """Read the functions of the chosen runs, and the draws that they are of.

        The draws' values are those of `column`, or zeros. Only kept rows are read, where
        `function_counts` reads tallies of all draws. Networks that diverged are one outcome,
        `DIVERGED_ID`.
        """
        columns = ["function_id", *_ADDRESS, *([column] if column else [])]
        table = self.results.runs(columns, self._runs(source, settings, given, where))
        table, num_diverged = whole_units(table, source)
        table = table.filter(table["function_id"].is_valid())
        diverged = pc.equal(table["status"], DIVERGED).to_numpy(zero_copy_only=False)
        names = np.where(diverged, DIVERGED_ID, fixed_width(table["function_id"]))
        values = table[column].to_numpy().astype(float) if column else np.zeros(len(names))
        draws = self._draws_of(values, table, settings)
        return names, replace(draws, diverged_units=num_diverged)

    def function_counts(
        self, source: str, settings: Sequence[int], given: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Count how often each function was drawn: (function ids as bytes, counts).

        Weighted or dependent draws count as the number of independent ones that they are
        worth (`effective_counts`). Networks that diverged are one outcome, `DIVERGED_ID`.
        """
        if self.sweep.sources[source].unit_size > 1 or self.data_seeds(settings):
            names, draws = self.function_draws(source, settings, given)
            rng = np.random.default_rng([self.sweep.seed, 2])
            return effective_counts(names, draws.weights, draws.units, rng)
        fits_only = self.sweep.sources[source].identifies_fits_only or given == "fit"
        what = "function_given_fit" if fits_only else "function"
        where = self.rows_of(source, settings) & (pc.field("what") == what)
        where &= pc.field("function_id").is_valid()
        counted = add_up(self.results.iter_tallies(["function_id", "count"], where))
        return counted if fits_only else self._without_diverged(*counted, source, settings)

    def _without_diverged(
        self, names: np.ndarray, counts: np.ndarray, source: str, settings: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Count the networks that diverged apart: tallies have them with what they ended as."""
        if source not in self._diverge or not self.results.table("runs").records:
            return names, counts
        where = self.rows_of(source, settings) & (pc.field("status") == DIVERGED)
        where &= pc.field("function_id").is_valid()
        lost = fixed_width(self.results.runs(["function_id"], where)["function_id"])
        if not len(lost):
            return names, counts
        gone, numbers = np.unique(lost, return_counts=True)
        left = counts.copy()
        left[np.searchsorted(names, gone)] -= numbers
        return np.append(names, DIVERGED_ID), np.append(left, len(lost))

    @cached_property
    def _diverge(self) -> set[str]:
        """Name the sources of which the ledger knows runs that diverged: others open no file."""
        shards = self.results.ledger.shards
        return {
            shard.source
            for shard in self.plan.shards
            if shard.id in shards and f"status {DIVERGED}" in shards[shard.id].receipt
        }

    def functions(self, source: str, settings: Sequence[int]) -> dict[str, bytes]:
        """The packed outputs of every counted function, where the input set is finite."""
        where = self.rows_of(source, settings) & pc.field("function").is_valid()
        table = self.results.tallies(["function_id", "function"], where)
        return dict(
            zip(table["function_id"].to_pylist(), table["function"].to_pylist(), strict=True)
        )

    def measured(self, settings: Sequence[Setting]) -> pa.Table:
        """Read the numbers that are no counts: setting, unit, what, function_id, value, stderr."""
        where = self.rows_of(settings[0].source, [setting.id for setting in settings])
        columns = ["setting", "unit", "what", "function_id", "value", "stderr"]
        return self.results.tallies(columns, where & pc.field("value").is_valid())

    def ln_fit_probability(self, settings: Sequence[Setting], confidence: float = 0.95) -> Estimate:
        """Estimate ln P(fit) of a source, in nats: of its law, or of the training's outcome.

        Raises:
            InsufficientSamples: too few draws or repetitions.
        """
        if settings[0].spec.estimates_fit_by_unit:
            log_p = self._repetitions(settings, "log_p_fit")
            return log_mean_probability(log_p, confidence=confidence)
        return ln_probability(self.fit_probability(settings, confidence))

    def _repetitions(self, settings: Sequence[Setting], what: str) -> Float[np.ndarray, " R"]:
        table = self.measured(settings)
        values: Float[np.ndarray, " R"] = table.filter(pc.equal(table["what"], what))[
            "value"
        ].to_numpy()
        return values

    def fit_probability(self, settings: Sequence[Setting], confidence: float = 0.95) -> Estimate:
        """Estimate P(fit) of a source from its counts, with the exact interval.

        A fixed number of draws gives k/N; a source that stops at the k-th acceptance
        (k-1)/(N-1) (SCIENCE: k/N would be biased upwards). Draws of chains count as the
        number of independent ones that they are worth.
        """
        ids = [setting.id for setting in settings]
        if settings[0].spec.unit_size > 1:
            return self._dependent_share(settings[0].source, ids, confidence)
        where = self.rows_of(settings[0].source, ids)
        table = self.results.tallies(["what", "count"], where & pc.field("what").isin(WHOLE))
        sums = dict.fromkeys(WHOLE, 0)
        for what, count in zip(table["what"].to_pylist(), table["count"].to_pylist(), strict=True):
            sums[what] += count
        target = settings[0].spec.accepts_until
        if target is not None and len(settings) == 1 and sums["fit"] == target:
            return inverse_proportion(
                sums["fit"], sums["draws"], name="p_fit", confidence=confidence
            )
        return proportion(sums["fit"], sums["draws"], name="p_fit", confidence=confidence)

    def _dependent_share(self, source: str, ids: Sequence[int], confidence: float) -> Estimate:
        table = self.results.runs(["fit", *_ADDRESS], self._runs(source, ids, "all"))
        table, _ = whole_units(table, source)
        fit = table["fit"].to_numpy(zero_copy_only=False).astype(float)
        draws = Draws.of(fit, table["log_weight"].to_numpy(), units_of(table))
        hits = float(draws.effective_weights @ fit)
        low, high = clopper_pearson(hits, draws.n_eff, confidence)
        return Estimate(
            name="p_fit",
            value=hits / draws.n_eff,
            low=float(low),
            high=float(high),
            confidence=confidence,
            num_source=len(draws),
            n_eff_source=draws.n_eff,
            unit="1",
            method="share of dependent draws, as of n_eff independent ones; Clopper-Pearson",
        )


def _bytes_of_cells(counted: CountedFunctions) -> int:
    (ids, cells), _ = counted
    return ids.nbytes + cells.source.nbytes + cells.reference.nbytes


WHOLE = ("draws", "fit")

DATA_SEED = "task.seed"

_ADDRESS = ("setting", "unit", "log_weight", "status")

DIVERGED = RunStatus.DIVERGED.label

DIVERGED_ID = b"diverged"
"""Stands for the functions of networks that diverged: the signs of NaN would be all 0."""


def _numbers(table: pa.Table, name: str, source: str) -> Float[np.ndarray, "R ..."]:
    """Return a column of numbers, shape (R,), or of lists that are all as long, shape (R, k)."""
    column = table[name].combine_chunks()
    if not pa.types.is_list(column.type):
        return column.to_numpy().astype(float)
    lengths = pc.list_value_length(column).unique().to_pylist()
    if len(lengths) > 1:
        few, many = min(lengths), max(lengths)
        raise IncomparableSources(
            f"{name} of {source} has {few} to {many} entries: compare runs of one architecture"
        )
    return column.flatten().to_numpy(zero_copy_only=False).astype(float).reshape(len(column), -1)


def whole_units(table: pa.Table, source: str) -> tuple[pa.Table, int]:
    """Leave out the units that diverged: (the other rows, how many units were left out).

    A chain that diverged tells of its law no more than where it started, however many draws it
    is long.

    Raises:
        InsufficientSamples: Fewer than 2 units are left.
    """
    units = units_of(table)
    diverged = pc.equal(table["status"], DIVERGED).to_numpy(zero_copy_only=False)
    if units is None or not diverged.any():
        return table, 0
    lost = np.unique(units[diverged])
    num_units = len(np.unique(units))
    if num_units - len(lost) < MIN_UNITS:
        raise InsufficientSamples(
            f"{len(lost)} of {num_units} units (chains) of {source} diverged and are worth no "
            f"draw: at least {MIN_UNITS} others are needed"
        )
    return table.filter(pa.array(~np.isin(units, lost))), len(lost)


def units_of(table: pa.Table) -> Int[np.ndarray, " R"] | None:
    """Number the units of the runs; None where runs are independent."""
    if table["unit"].null_count:
        return None
    both = np.stack([table["setting"].to_numpy(), table["unit"].to_numpy()])
    numbers: Int[np.ndarray, " R"] = np.unique(both, axis=1, return_inverse=True)[1].ravel()
    return numbers
