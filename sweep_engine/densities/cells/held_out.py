"""A lower bound of the KL divergence from a log ratio that other draws chose.

Whatever T is, KL(P ‖ Q) >= E_P T - ln E_Q e^T (Donsker & Varadhan), with equality at ln(p / q).
Both are means of bounded variables of draws that T did not see, so both have an exact end.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.estimate import Interval
from sweep_engine.densities.probabilities.bounded_mean import lower_mean, upper_mean

NUM_FOLDS = 5
"""Each is measured by what the other four chose, so that every draw counts in both parts."""

PRIOR_COUNT = 2.0
"""Draws that every cell is given on both sides: a ratio of few draws is no ratio."""


@dataclass(frozen=True)
class HeldOut:
    """Values of T, and how many draws of both sides that did not choose it have each.

    Attributes:
        log_ratio: T, in nats.
        counts: Draws of source and reference at each value.
        bottom: The smallest value of T that a draw can have.
        top: The largest.
    """

    log_ratio: Float[np.ndarray, " F"]
    counts: CellCounts
    bottom: float
    top: float

    @property
    def value(self) -> float:
        """E_P T - ln E_Q e^T of the draws; never above ln m, which no m draws can show."""
        mean, log_mean = self._means
        return min(max(mean - log_mean, 0.0), math.log(self.counts.num_reference))

    @property
    def _means(self) -> tuple[float, float]:
        mean = float(self.counts.source @ self.log_ratio) / self.counts.num_source
        ratio = float(self.counts.reference @ np.exp(self.log_ratio)) / self.counts.num_reference
        return mean, math.log(ratio)

    def bound(self, confidence: float) -> Interval:
        """Bound the KL from below, with (1 + confidence)/2 confidence; open upwards.

        With the ends l of E_P T and u of E_Q e^T, the low end is v - √((mean - l)² + (ln u -
        ln mean)²), v the value.

        Source:
            Newcombe (1998), Statistics in Medicine 17(8), for the two ends as one.
        """
        mean, log_mean = self._means
        least = lower_mean(self.log_ratio, self.counts.source, self.bottom, confidence)
        # `exp` may round an entry of an array otherwise than the same number alone.
        ratios = np.exp(np.append(self.log_ratio, self.top))
        most = upper_mean(ratios[:-1], self.counts.reference, float(ratios.max()), confidence)
        low = mean - log_mean - math.hypot(mean - least, math.log(most) - log_mean)
        return Interval(self.value, min(max(low, 0.0), self.value), math.inf)


def above_pinsker(kl: Interval, total_variation: Interval) -> Interval:
    """Raise a lower bound of KL to Pinsker's, KL >= 2 TV².

    Each low end misses with (1 - confidence)/2, so the larger of both misses with no more than
    1 - confidence: that of the interval, which has no high end to miss.

    Example:
        >>> above_pinsker(Interval(0.3, 0.1, math.inf), Interval(0.5, 0.4, 1.0)).low
        0.32000000000000006

    Args:
        kl: Bounded from below.
        total_variation: The same, of the same laws.
    """
    value, low = (
        max(least, 2 * tv**2) for least, tv in zip(kl[:2], total_variation[:2], strict=True)
    )
    return Interval(value, low, math.inf)


def smoothed_log_ratio(counts: CellCounts) -> Float[np.ndarray, " B"]:
    """Compute ln(p / q) of every cell, with a few draws more in each.

    Example:
        >>> smoothed_log_ratio(CellCounts(np.array([8, 0]), np.array([8, 0]))).tolist()
        [0.0, 0.0]

    Args:
        counts: Over the same cells.
    """
    shares = [
        (side + PRIOR_COUNT) / (side.sum() + PRIOR_COUNT * len(side))
        for side in (counts.source, counts.reference)
    ]
    log_ratio: Float[np.ndarray, " B"] = np.log(shares[0] / shares[1])
    return log_ratio


Fold = tuple[Float[np.ndarray, " B"], CellCounts]
"""T of every cell, chosen by other draws, and the counts of a fold over these cells."""


def held_out(folds: Iterable[Fold]) -> HeldOut:
    """Measure each fold by the log ratio that the others chose, all folds together.

    The bound of folds together is at most the mean of theirs, since -ln is convex.

    Args:
        folds: The cells of each are its own.
    """
    log_ratios, counts = zip(*folds, strict=True)
    values = np.concatenate(log_ratios)
    together = CellCounts(
        np.concatenate([fold.source for fold in counts]),
        np.concatenate([fold.reference for fold in counts]),
    )
    return HeldOut(values, together, float(values.min()), float(values.max()))
