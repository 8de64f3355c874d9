"""Lower bounds of TV, JS and KL: the divergences over cells that one half of the draws chose."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import NAMES, UNITS, cell_divergences
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Quantity, Table
from sweep_engine.densities.trust import ceiling

METHODS = {
    "total_variation": "mass difference on the set that half chose, Newcombe's interval",
    "jensen_shannon": "plug-in less its first-order bias, (B-1)/8 (1/n + 1/m) for equal laws; "
    "delta method",
    "kl": "plug-in less its first-order bias, (B-1)/2 (1/n + 1/m) for equal laws; delta method",
}


def tv_bound_words(estimate: Estimate) -> str:
    """Say what a lower bound of the total variation means."""
    return _bound_words(estimate, "At least {0.low:.0%} of the networks would have to move.")


def kl_bound_words(estimate: Estimate) -> str:
    """Say what a lower bound of the KL divergence means."""
    return _bound_words(
        estimate, "At least {0.low:.2g} nats of preference that the reference lacks."
    )


def _js_bound_words(estimate: Estimate) -> str:
    return _bound_words(estimate, "At least {0.low:.2g} nats.")


def _bound_words(estimate: Estimate, shown: str) -> str:
    if estimate.low <= 0:
        return "No difference is shown at this number of draws."
    return shown.format(estimate)


TV_BOUND = Quantity("total_variation_lower_bound", tv_bound_words, Table.HEADLINES)
JS_BOUND = Quantity("jensen_shannon_lower_bound", _js_bound_words)
KL_BOUND = Quantity("kl_lower_bound", kl_bound_words, Table.HEADLINES)
BOUNDS = (TV_BOUND, JS_BOUND, KL_BOUND)
"""In the order of `NAMES`."""


@dataclass(frozen=True)
class LowerBounds:
    """Two halves of both samples over the same cells: TV, JS and KL over them.

    Example:
        >>> half = CellCounts(np.array([900, 100]), np.array([100, 900]))
        >>> tv, js, kl = LowerBounds(half, half, [Interval(0.0, 0.0, 0.0)] * 3,
        ...     num_draws=(2000, 2000), n_eff=(2000.0, 2000.0), cells="bins", seed=0).at(0.95)
        >>> kl.name, kl.unit, round(tv.value, 3)
        ('kl_lower_bound', 'nats', 0.8)

    Attributes:
        selection: Counts of the half that chose the cells.
        estimation: Counts of the other half.
        nulls: Same-source nulls, in the order of `NAMES`.
        num_draws: Of source and reference, both halves together.
        n_eff: The same, effective.
        cells: How the cells were made.
        seed: Of the halves.
        warnings: About the draws, for all three.
    """

    selection: CellCounts
    estimation: CellCounts
    nulls: Sequence[Interval]
    num_draws: tuple[int, int]
    n_eff: tuple[float, float]
    cells: str
    seed: int
    warnings: tuple[str, ...] = ()

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Measure the divergences over the cells."""
        intervals = cell_divergences(self.selection, self.estimation, confidence)
        return tuple(
            two_sample_estimate(
                quantity.name,
                intervals[name],
                num_draws=self.num_draws,
                n_eff=self.n_eff,
                unit=UNITS[name],
                method=f"{self.cells}; measured on the other half: {METHODS[name]}",
                seed=self.seed,
                confidence=confidence,
                warnings=(*self.warnings, *_warnings(name, intervals[name], self.n_eff[1])),
            ).with_null(null)
            for name, quantity, null in zip(NAMES, BOUNDS, self.nulls, strict=True)
        )


def cell_values(selection: CellCounts, estimation: CellCounts) -> list[float]:
    """Give the values of TV, JS and KL over cells, which depend on no confidence."""
    intervals = cell_divergences(selection, estimation)
    return [interval.value for interval in intervals.values()]


def _warnings(name: str, interval: Interval, num_reference: float) -> tuple[str, ...]:
    warnings = []
    if interval.low <= 0:
        warnings.append("the interval holds 0: no difference shown")
    if name == "kl":
        warnings.append(ceiling(num_reference))
    return tuple(warnings)
