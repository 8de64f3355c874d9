"""Plug-in divergences of two laws over functions, with the same-source null beside."""

import math
from dataclasses import dataclass

import numpy as np

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import (
    NAMES,
    UNITS,
    plug_in,
    upper_bounds,
)
from sweep_engine.densities.cells.held_out import HeldOut
from sweep_engine.densities.cells.lower_bounds import lower_bounds, share_to_move
from sweep_engine.densities.cells.splitting import same_source_null_of_counts
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Part, Quantity, Table, Verdict
from sweep_engine.densities.functions.split_half import Halves, function_log_ratio, split_half
from sweep_engine.densities.functions.unseen_mass import good_turing

HIGH_UNSEEN_MASS = 0.05
"""Share of new functions among further draws above which a plug-in's bias is no small matter."""

METHOD = (
    "plug-in of independent draws, biased upwards; low end of the split-half lower bound, "
    "high end the plug-in plus noise"
)


def _words(estimate: Estimate) -> str:
    if estimate.null_high is not None and estimate.value <= estimate.null_high:
        return "Plug-in: not above its null, so no difference is shown this way."
    return "Plug-in: above what two halves of one source show."


def _total_variation_words(estimate: Estimate) -> str:
    return f"Plug-in, biased upwards: {estimate.value:.0%} of the networks would have to move."


def _total_variation_clause(estimate: Estimate) -> str:
    return share_to_move(estimate.low, estimate.high)


PLUG_INS = (
    Quantity(
        "total_variation",
        _total_variation_words,
        Table.HEADLINES,
        Verdict.INTERVAL,
        part=Part.SIZE,
        clause=_total_variation_clause,
    ),
    Quantity("jensen_shannon", _words),
    Quantity("kl", _words),
)
"""In the order of `NAMES`."""


def plug_ins(counts: CellCounts, seed: int) -> "PlugIns":
    """Look at TV, JS and KL by their plug-in values.

    The value is biased upwards. The interval is for the true divergence all the same: its
    low end is that of the split-half lower bounds, its high end the plug-in plus noise
    (`upper_bounds`); a KL has no high end. KL is infinite when the source has shown a
    function that the reference has not, whether or not it could have.

    Example:
        >>> counts = CellCounts(np.array([700, 300]), np.array([500, 500]))
        >>> round(plug_ins(counts, 0).at(0.95)[0].value, 3)
        0.2

    Args:
        counts: Independent draws per function, at least 100 on each side.
        seed: Of the random halves.
    """
    rng = np.random.default_rng([seed, 1])
    nulls = same_source_null_of_counts(lambda halves: plug_in(halves).values(), counts, rng)
    halves = split_half(counts, np.random.default_rng(seed))
    log_ratio = function_log_ratio(counts, np.random.default_rng([seed, 2]))
    return PlugIns(counts, seed, halves, log_ratio, plug_in(counts), tuple(nulls))


@dataclass(frozen=True)
class PlugIns:
    """The values, their nulls, and what bounds them from below."""

    counts: CellCounts
    seed: int
    halves: Halves
    log_ratio: HeldOut
    values: dict[str, float]
    nulls: tuple[Interval, ...]

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Put both bounds around the plug-in values."""
        lows = lower_bounds(*self.halves, self.log_ratio, confidence)
        highs = upper_bounds(self.counts, confidence)
        return tuple(
            two_sample_estimate(
                name,
                Interval(self.values[name], min(lows[name].low, self.values[name]), highs[name]),
                num_draws=self.counts.num_draws,
                n_eff=self.counts.n_eff,
                unit=UNITS[name],
                method=METHOD,
                seed=self.seed,
                confidence=confidence,
                warnings=_plug_in_warnings(self.counts, self.values[name], null),
            ).with_null(null)
            for name, null in zip(NAMES, self.nulls, strict=True)
        )


def _plug_in_warnings(counts: CellCounts, value: float, null: Interval) -> tuple[str, ...]:
    warnings = []
    unseen = [good_turing(side, counts.cells) for side in (counts.source, counts.reference)]
    if max(unseen) > HIGH_UNSEEN_MASS:
        warnings.append(
            f"unseen mass {unseen[0]:.2g} and {unseen[1]:.2g} (Good-Turing): the plug-in is "
            "biased upwards, read the lower bound"
        )
    if value <= null.high:
        warnings.append("not above its same-source null")
    if math.isinf(value):
        outside = counts.select(counts.reference == 0).num_source / counts.num_source
        warnings.append(
            f"infinite as a plug-in: {outside:.3g} of the source is on functions that the "
            "reference has not shown"
        )
    return tuple(warnings)
