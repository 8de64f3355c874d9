"""Spearman's rank correlation of two laws over functions."""

import math

import numpy as np
from scipy import special, stats

from sweep_engine.densities.cells.counts import CellCounts, cut_in_half
from sweep_engine.densities.cells.divergences import MIN_CELL_COUNT
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.functions.split_half import MIN_DRAWS, frequent_functions
from sweep_engine.densities.null import same_source_null

MIN_FUNCTIONS = MIN_CELL_COUNT


def rank_correlation(counts: CellCounts, *, seed: int, confidence: float = 0.95) -> Estimate:
    """Estimate Spearman's rank correlation of the two laws over frequent functions.

    Functions are chosen by both sources together on one half of the draws and ranked on
    the other. Counting noise pulls the value towards 0: the null beside, a source against
    itself, is the most that could be seen. Choosing by the sum of both probabilities also
    favours functions high on one side: unrelated laws may show a value below 0. The
    interval is over functions as a sample: K of them give artanh ρ a standard error of
    √((1 + ρ²/2)/(K - 3)).

    Example:
        >>> counts = CellCounts(np.arange(1, 21) * 100, np.arange(1, 21) * 100)
        >>> rank_correlation(counts, seed=0).value > 0.9
        True

    Args:
        counts: Independent draws per function.
        seed: Of the random halves.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.

    Source:
        Bonett & Wright (2000), Psychometrika 65(1).
    """
    counts.require(MIN_DRAWS)
    chosen = _choose(counts, np.random.default_rng(seed))
    num_functions = len(chosen.source)
    estimate = two_sample_estimate(
        "rank_correlation",
        _interval(_spearman(chosen), num_functions, confidence),
        num_draws=counts.num_draws,
        n_eff=counts.n_eff,
        unit="1",
        method=f"Spearman over {num_functions} functions chosen on one half of independent draws "
        "and ranked on the other; artanh interval over functions (Bonett & Wright)",
        seed=seed,
        confidence=confidence,
        warnings=_warnings(num_functions),
    )
    (null,) = _null(counts, np.random.default_rng([seed, 1]))
    return estimate if math.isnan(null.value) else estimate.with_null(null)


def _choose(counts: CellCounts, rng: np.random.Generator) -> CellCounts:
    selection, estimation = counts.halve(rng)
    return estimation.select(frequent_functions(selection))


def _spearman(chosen: CellCounts) -> float:
    """Give NaN where a side has no two different counts."""
    if min(len(np.unique(side)) for side in (chosen.source, chosen.reference)) < 2:
        return math.nan
    return float(stats.spearmanr(chosen.source, chosen.reference).statistic)


def _interval(rho: float, num_functions: int, confidence: float) -> Interval:
    if math.isnan(rho) or num_functions < MIN_FUNCTIONS:
        return Interval(rho, -1.0, 1.0)
    # |ρ| = 1 would have no error at all: step back by the least change of two ranks.
    largest = 1 - 12 / (num_functions * (num_functions**2 - 1))
    inside = min(max(rho, -largest), largest)
    stderr = math.sqrt((1 + inside**2 / 2) / (num_functions - 3))
    reach = float(special.ndtri((1 + confidence) / 2)) * stderr
    centre = math.atanh(inside)
    return Interval(rho, min(math.tanh(centre - reach), rho), max(math.tanh(centre + reach), rho))


def _null(counts: CellCounts, rng: np.random.Generator) -> list[Interval]:
    return same_source_null(
        lambda one, other: [_spearman(_choose(CellCounts(one, other), rng))],
        (counts.source, counts.reference),
        lambda side: cut_in_half(side, rng),
    )


def _warnings(num_functions: int) -> tuple[str, ...]:
    if num_functions >= MIN_FUNCTIONS:
        return ()
    return (f"only {num_functions} frequent functions: the interval is all of [-1, 1]",)
