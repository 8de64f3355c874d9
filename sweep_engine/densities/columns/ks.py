"""Kolmogorov-Smirnov distance of two samples of one column.

The order of the line is -inf, finite numbers, inf, NaN: a draw that is not finite is an outcome
like any other.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sweep_engine.densities.draws import Draws, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Estimator, Part, Quantity, Table, Takes, Verdict
from sweep_engine.densities.trust import Trust

DISTANCE = Quantity(
    "ks_distance",
    "The cumulative shares differ by {0.value:.0%} where they differ most.".format,
    Table.HEADLINES,
    Verdict.TEST,
    part=Part.SIZE,
    clause="{0.value:.0%} of one law or more would have to move".format,
)


class KolmogorovSmirnov(Estimator[Draws]):
    """Estimates the Kolmogorov-Smirnov distance sup |F - G|, with the two-sample p-value.

    Interval: the statistic ± (e_n + e_m), e_n = √(ln(4/a)/(2n)), a = 1 - confidence: valid
    at any n by the Dvoretzky-Kiefer-Wolfowitz inequality, and wide. The p-value is
    that of one sample of nm/(n + m) draws, conservative with ties. Weighted draws use
    n_eff for n: approximate.

    Example:
        >>> low, high = Draws.of(np.array([1.0, 2.0])), Draws.of(np.array([3.0, 4.0]))
        >>> KolmogorovSmirnov().look(low, high, 0).at(0.95)[0].value
        1.0

    Source:
        Massart (1990), Annals of Probability 18(3).
    """

    name = "ks"
    takes = Takes.ONE_COLUMN
    trust = Trust(name, 1)
    quantities = (DISTANCE,)

    def look(self, source: Draws, reference: Draws, seed: int) -> "KsReading":
        """Compute the statistic; nothing is random."""
        self.takes.check(self.name, source)
        self.trust.require(source.n_eff, reference.n_eff)
        return KsReading(source, reference, _ks_statistic(source, reference))


@dataclass(frozen=True)
class KsReading:
    """The statistic, and the samples that it is of."""

    source: Draws
    reference: Draws
    distance: float

    def at(self, confidence: float) -> tuple[Estimate]:
        """Put the inequality's interval around the statistic."""
        n_eff = self.source.n_eff, self.reference.n_eff
        reach = sum(math.sqrt(math.log(4 / (1 - confidence)) / (2 * n)) for n in n_eff)
        return (
            two_sample_estimate(
                DISTANCE.name,
                Interval(
                    self.distance, max(self.distance - reach, 0.0), min(self.distance + reach, 1.0)
                ),
                num_draws=(len(self.source), len(self.reference)),
                n_eff=n_eff,
                unit="1",
                method="sup |F - G| of independent draws; Dvoretzky-Kiefer-Wolfowitz for both",
                confidence=confidence,
                p_value=_ks_p_value(self.distance, *n_eff),
                warnings=sample_warnings(self.source, self.reference),
            ),
        )


def _ks_statistic(source: Draws, reference: Draws) -> float:
    values = np.concatenate([source.values, reference.values])
    levels, code = np.unique(values, return_inverse=True)
    steps = np.concatenate(
        [source.weights / source.weights.sum(), -reference.weights / reference.weights.sum()]
    )
    gaps = np.cumsum(np.bincount(code, steps, len(levels)))
    return min(float(np.abs(gaps).max()), 1.0)


def _ks_p_value(distance: float, n: float, m: float) -> float:
    """Treat two samples as one of n m / (n + m) draws against a known law."""
    return float(stats.kstwo.sf(distance, max(round(n * m / (n + m)), 1)))
