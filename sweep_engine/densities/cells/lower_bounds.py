"""Lower bounds of TV, JS and KL: the divergences over cells that one half of the draws chose."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import LARGEST, NAMES, UNITS, cell_divergences
from sweep_engine.densities.cells.held_out import NUM_FOLDS, HeldOut, above_pinsker
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Part, Quantity, Table, Verdict
from sweep_engine.densities.trust import ceiling

METHODS = {
    "total_variation": "mass difference on the set that half chose, Newcombe's interval",
    "jensen_shannon": "plug-in less its first-order bias, (B-1)/8 (1/n + 1/m) for equal laws; "
    "delta method",
    "kl": "Donsker-Varadhan, Gaffke's ends; or Pinsker's 2 TV², if more",
}

NOTHING_LEFT = "all was pooled into one cell for want of repeats: no difference can show here"


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
        return "The bound is 0: so few draws show no more."
    return shown.format(estimate)


def share_to_move(low: float, high: float = 1.0) -> str:
    """Say how much of one law would have to move, from an interval of the total variation.

    >>> share_to_move(0.2, 0.5), share_to_move(0.2)
    ('20% to 50% of one law would have to move', 'at least 20% of one law would have to move')
    >>> share_to_move(0.001, 0.999)
    'nothing is known of how much of one law would have to move'
    """
    least, most = f"{max(low, 0.0):.0%}", f"{min(high, 1.0):.0%}"
    if least == "0%" and most == "100%":
        return "nothing is known of how much of one law would have to move"
    share = f"at least {least}" if most == "100%" else f"{least} to {most}"
    return f"{share} of one law would have to move"


def _tv_clause(estimate: Estimate) -> str:
    return share_to_move(estimate.low)


TV_BOUND = Quantity(
    "total_variation_lower_bound",
    tv_bound_words,
    Table.HEADLINES,
    Verdict.INTERVAL,
    is_lower_bound=True,
    part=Part.SIZE,
    clause=_tv_clause,
)
JS_BOUND = Quantity("jensen_shannon_lower_bound", _js_bound_words, is_lower_bound=True)
KL_BOUND = Quantity(
    "kl_lower_bound", kl_bound_words, Table.HEADLINES, is_lower_bound=True, part=Part.NATS
)
BOUNDS = (TV_BOUND, JS_BOUND, KL_BOUND)
"""In the order of `NAMES`."""


@dataclass(frozen=True)
class LowerBounds:
    """Two samples over cells that some of the draws chose: TV, JS and KL from below.

    Intervals are open upwards, since cells show a part of a divergence: they end at the largest
    value that it can have.

    Example:
        >>> half = CellCounts(np.array([900, 100]), np.array([100, 900]))
        >>> ratio = HeldOut(np.array([2.0, -2.0]), half, -2.0, 2.0)
        >>> tv, js, kl = LowerBounds(half, half, ratio, [Interval(0.0, 0.0, 0.0)] * 3,
        ...     num_draws=(2000, 2000), n_eff=(2000.0, 2000.0), cells="bins", seed=0).at(0.95)
        >>> kl.name, kl.unit, round(tv.value, 3), kl.high
        ('kl_lower_bound', 'nats', 0.8, inf)

    Attributes:
        selection: Counts of the half that chose the cells.
        estimation: Counts of the other half.
        log_ratio: That four fifths chose, at the last fifth, in turn.
        nulls: Same-source nulls, in the order of `NAMES`.
        num_draws: Of source and reference, all together.
        n_eff: The same, effective.
        cells: How the cells were made.
        seed: Of the halves.
        warnings: About the draws, for all three.
    """

    selection: CellCounts
    estimation: CellCounts
    log_ratio: HeldOut
    nulls: Sequence[Interval]
    num_draws: tuple[int, int]
    n_eff: tuple[float, float]
    cells: str
    seed: int
    warnings: tuple[str, ...] = ()

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Measure the divergences over the cells."""
        intervals = lower_bounds(self.selection, self.estimation, self.log_ratio, confidence)
        return tuple(
            two_sample_estimate(
                quantity.name,
                intervals[name],
                num_draws=self.num_draws,
                n_eff=self.n_eff,
                unit=UNITS[name],
                method=f"{self.cells} chosen on {_parts(name)}: {METHODS[name]}",
                seed=self.seed,
                confidence=confidence,
                warnings=(*self.warnings, *self._warnings(name, intervals[name])),
            ).with_null(null)
            for name, quantity, null in zip(NAMES, BOUNDS, self.nulls, strict=True)
        )

    def _warnings(self, name: str, interval: Interval) -> tuple[str, ...]:
        warnings = []
        if len(self.selection.source) < 2:
            warnings.append(NOTHING_LEFT)
        elif interval.low <= 0:
            warnings.append("the interval holds 0: no difference shown")
        if name == "kl":
            warnings.append(ceiling(self.n_eff[1]))
        return tuple(warnings)


def lower_bounds(
    selection: CellCounts, estimation: CellCounts, log_ratio: HeldOut, confidence: float
) -> dict[str, Interval]:
    """Bound TV, JS and KL from below; see `LowerBounds`."""
    over_cells = cell_divergences(selection, estimation, confidence)
    opened = {
        name: Interval(each.value, each.low, max(each.value, LARGEST[name]))
        for name, each in over_cells.items()
    }
    kl = above_pinsker(log_ratio.bound(confidence), opened["total_variation"])
    return {**opened, "kl": kl}


def cell_values(selection: CellCounts, estimation: CellCounts, log_ratio: HeldOut) -> list[float]:
    """Give the values of TV, JS and KL over cells, which depend on no confidence."""
    over_cells = cell_divergences(selection, estimation)
    return [*(interval.value for interval in over_cells.values()), log_ratio.value]


def _parts(name: str) -> str:
    """Say which draws chose and which were measured."""
    if name == "kl":
        return (
            f"{NUM_FOLDS - 1} of {NUM_FOLDS} parts of the draws and measured on the last, in turn"
        )
    return "one half of independent draws and measured on the other"
