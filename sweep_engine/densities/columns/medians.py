"""The medians of two samples of one column, and how far they are apart."""

import math
from dataclasses import dataclass, replace

from sweep_engine.densities.columns.quantiles import quantiles
from sweep_engine.densities.draws import Draws, require_draws, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Estimator, Part, Quantity, Takes, Verdict
from sweep_engine.densities.trust import Trust
from sweep_engine.errors import IncomparableSources
from sweep_engine.numbers import format_interval


def _shift(estimate: Estimate) -> str:
    if math.isinf(estimate.low) and math.isinf(estimate.high):
        return f"shift {format_interval(estimate.value)} (too few draws for an interval)"
    return f"shift {format_interval(estimate.value, estimate.low, estimate.high)}"


MEDIANS = tuple(
    Quantity(
        f"median_{side}",
        f"Half of the {side} lies at or below {{0.value:.3g}}, in the column's unit.".format,
        part=Part.CENTRES,
    )
    for side in ("source", "reference")
)
SHIFT = Quantity(
    "median_shift",
    "The source's median less the reference's, in the column's unit.".format,
    verdict=Verdict.INTERVAL,
    part=Part.SHIFT,
    clause=_shift,
)


class MedianShift(Estimator[Draws]):
    """Estimates both medians, and the source's less the reference's.

    With m, l, u and m', l', u' the medians and the ends of their exact intervals between order
    statistics, the interval of m - m' is

        m - m' - √((m - l)² + (u' - m')²)  to  m - m' + √((u - m)² + (m' - l')²).

    It needs no density and bears ties, and is infinite where draws are too few for an interval
    of each median. NaN and infinities lie beyond all numbers. Weighted and dependent draws count
    as their effective number: approximate.

    Example:
        >>> sides = Draws.of(np.arange(99.0) + 5), Draws.of(np.arange(99.0))
        >>> source, reference, shift = MedianShift().look(*sides, 0).at(0.95)
        >>> source.value, reference.value, shift.value
        (54.0, 49.0, 5.0)

    Source:
        Zou & Donner (2008), Statistics in Medicine 27(10), for two intervals as one.
    """

    name = "median"
    takes = Takes.ONE_COLUMN
    trust = Trust(name, 1)
    quantities = (*MEDIANS, SHIFT)

    def look(self, source: Draws, reference: Draws, seed: int) -> "MedianReading":
        """Check that there are medians; nothing is random.

        Raises:
            IncomparableSources: Half of a side's draws are not finite.
        """
        self.takes.check(self.name, source)
        require_draws(source, reference)
        for side in (source, reference):
            if 2 * side.weights[~side.is_finite].sum() >= side.weights.sum():
                raise IncomparableSources(
                    f"{side.num_not_finite} of {len(side)} draws are not finite or diverged: "
                    "there is no median"
                )
        return MedianReading(source, reference)


@dataclass(frozen=True)
class MedianReading:
    """The two samples."""

    source: Draws
    reference: Draws

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Read both medians off the ordered samples, and join their intervals."""
        sides = [
            replace(quantiles(draws, (0.5,), confidence=confidence)[0], name=quantity.name)
            for quantity, draws in zip(MEDIANS, (self.source, self.reference), strict=True)
        ]
        return (*sides, self._shift(sides[0], sides[1], confidence))

    def _shift(self, source: Estimate, reference: Estimate, confidence: float) -> Estimate:
        value = source.value - reference.value
        down = math.hypot(source.value - source.low, reference.high - reference.value)
        up = math.hypot(source.high - source.value, reference.value - reference.low)
        return two_sample_estimate(
            SHIFT.name,
            Interval(value, value - down, value + up),
            num_draws=(len(self.source), len(self.reference)),
            n_eff=(self.source.n_eff, self.reference.n_eff),
            unit="1",
            method="difference of medians of independent draws; exact binomial intervals of both, "
            "joined as by Zou & Donner",
            confidence=confidence,
            warnings=sample_warnings(self.source, self.reference),
        )
