"""Spearman's rank correlation of two laws over functions."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import MIN_CELL_COUNT
from sweep_engine.densities.cells.splitting import halve, same_source_null_of_counts
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Quantity
from sweep_engine.densities.functions.split_half import MIN_DRAWS, frequent_functions

MIN_FUNCTIONS = MIN_CELL_COUNT


def _words(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "Too few functions are frequent enough to rank."
    return "Whether frequent under the one is frequent under the other (1: the same order)."


RANK_CORRELATION = Quantity("rank_correlation", _words)


def rank_correlation(counts: CellCounts, seed: int) -> "RankReading":
    """Look at Spearman's rank correlation of the two laws over frequent functions.

    Functions are chosen by both sources together on one half of the draws and ranked on
    the other. Counting noise pulls the value towards 0: the null beside, a source against
    itself, is the most that could be seen. Choosing by the sum of both probabilities also
    favours functions high on one side: unrelated laws may show a value below 0. The
    interval is over functions as a sample: K of them give artanh ρ a standard error of
    √((1 + ρ²/2)/(K - 3)).

    Example:
        >>> counts = CellCounts(np.arange(1, 21) * 100, np.arange(1, 21) * 100)
        >>> rank_correlation(counts, 0).at(0.95)[0].value > 0.9
        True

    Args:
        counts: Independent draws per function.
        seed: Of the random halves.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.

    Source:
        Bonett & Wright (2000), Psychometrika 65(1).
    """
    counts.require(MIN_DRAWS)
    chosen = _choose(counts, np.random.default_rng(seed))
    (null,) = _null(counts, np.random.default_rng([seed, 1]))
    return RankReading(counts, seed, _spearman(chosen), len(chosen.source), null)


@dataclass(frozen=True)
class RankReading:
    """The correlation over the chosen functions, and its null."""

    counts: CellCounts
    seed: int
    value: float
    num_functions: int
    null: Interval

    def at(self, confidence: float) -> tuple[Estimate]:
        """Put Bonett & Wright's interval around it."""
        estimate = two_sample_estimate(
            RANK_CORRELATION.name,
            _interval(self.value, self.num_functions, confidence),
            num_draws=self.counts.num_draws,
            n_eff=self.counts.n_eff,
            unit="1",
            method=f"Spearman over {self.num_functions} functions chosen on one half of "
            "independent draws and ranked on the other; artanh interval over functions "
            "(Bonett & Wright)",
            seed=self.seed,
            confidence=confidence,
            warnings=_warnings(self.num_functions),
        )
        return (estimate if math.isnan(self.null.value) else estimate.with_null(self.null),)


def _choose(counts: CellCounts, rng: np.random.Generator) -> CellCounts:
    selection, estimation = halve(counts, rng)
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
    return same_source_null_of_counts(lambda halves: [_spearman(_choose(halves, rng))], counts, rng)


def _warnings(num_functions: int) -> tuple[str, ...]:
    if num_functions >= MIN_FUNCTIONS:
        return ()
    return (f"only {num_functions} frequent functions: the interval is all of [-1, 1]",)
