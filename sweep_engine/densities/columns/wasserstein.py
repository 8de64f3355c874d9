"""Wasserstein distance in one dimension: how far mass must move, in the observable's unit."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special, stats

from sweep_engine.densities.cells.ordered import are_many
from sweep_engine.densities.draws import LEFT_OUT, Draws, require_finite, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Estimator, Part, Quantity, Table, Takes, Verdict
from sweep_engine.densities.null import same_source_null
from sweep_engine.densities.trust import Trust

MIN_DRAWS = 20
MAX_DRAWS_NULL = 20_000
"""Beyond, the null has long shrunk to nothing beside the noise, and sorting costs seconds."""

_CHUNK = 2**20

DISTANCE = Quantity(
    "wasserstein_1",
    "Mass must move this far on average, in the column's unit.".format,
    Table.HEADLINES,
    Verdict.INTERVAL,
    part=Part.SIZE,
    clause="a network's value must move by {0.value:.3g} on average".format,
)

Values = Float[np.ndarray, " n"]


class Wasserstein(Estimator[Draws]):
    """Estimates W1 = ∫ |F - G| dx, the mean distance that mass must move.

    The plug-in is biased upwards. W1 is the supremum of E_P f - E_Q f over f of slope at
    most 1, so the f that is best on one half and measured on the other gives the low end;
    and the truth is below the plug-in plus the noise of the best f, whose variance is at most
    that of x. No moment beyond the second is needed.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sides = Draws.of(rng.normal(1, 1, 1000)), Draws.of(rng.normal(0, 1, 1000))
        >>> (distance,) = Wasserstein().look(*sides, 0).at(0.95)
        >>> distance.low < 1.0 < distance.high
        True

    Source:
        Kantorovich & Rubinstein (1958), for the duality.
    """

    name = "wasserstein"
    takes = Takes.ONE_COLUMN
    trust = Trust(name, MIN_DRAWS)
    quantities = (DISTANCE,)

    def look(self, source: Draws, reference: Draws, seed: int) -> "WassersteinReading":
        """Compute the plug-in, the dual's gap between halves, and the null."""
        self.takes.check(self.name, source)
        require_finite(source, reference)
        finite = source.finite, reference.finite
        self.trust.require(*(side.n_eff for side in finite))
        rng = np.random.default_rng([seed, 8])
        value = _plug_in(*finite)
        noise = math.hypot(*(_spread(side) / math.sqrt(side.n_eff) for side in finite))
        gap = _dual(*finite, rng)
        (null,) = same_source_null(
            lambda half, other: [_plug_in(half, other)],
            (_some(finite[0], rng), _some(finite[1], rng)),
            lambda side: side.halve(rng),
        )
        return WassersteinReading(source, reference, seed, value, noise, gap, null)


@dataclass(frozen=True)
class WassersteinReading:
    """The plug-in with its noise, and the dual's gap with its own.

    Attributes:
        source: All draws.
        reference: All draws.
        seed: Of the halves.
        value: The plug-in.
        noise: Standard error of the best f, at most.
        gap: Difference of the means of the f that one half chose, on the other, and its error.
        null: Of the plug-in.
    """

    source: Draws
    reference: Draws
    seed: int
    value: float
    noise: float
    gap: tuple[float, float]
    null: Interval

    def at(self, confidence: float) -> tuple[Estimate]:
        """Read the low end off the dual, the high end off the plug-in."""
        z = float(special.ndtri((1 + confidence) / 2))
        low = max(0.0, self.gap[0] - z * self.gap[1])
        estimate = two_sample_estimate(
            DISTANCE.name,
            Interval(self.value, min(low, self.value), self.value + z * self.noise),
            num_draws=(len(self.source), len(self.reference)),
            n_eff=(self.source.finite.n_eff, self.reference.finite.n_eff),
            unit="1",
            method="plug-in W1, in the column's unit; low end by the dual of one half measured on "
            "the other, high end the plug-in plus noise",
            confidence=confidence,
            seed=self.seed,
            warnings=sample_warnings(self.source, self.reference, LEFT_OUT),
        )
        return (estimate.with_null(self.null),)


def _plug_in(source: Draws, reference: Draws) -> float:
    if are_many(source, reference):
        return _merged_plug_in(source.values, reference.values)
    return float(
        stats.wasserstein_distance(
            source.values, reference.values, source.weights, reference.weights
        )
    )


def _merged_plug_in(source: Values, reference: Values) -> float:
    """Add up |F - G| between neighbours of the merged samples, in chunks: few arrays at a time."""
    values = np.concatenate([source, reference])
    order = np.argsort(values, kind="stable")
    values, is_source = values[order], order < len(source)
    distance, below = 0.0, 0
    for start in range(0, len(values) - 1, _CHUNK):
        steps = np.diff(values[start : start + _CHUNK + 1])
        of_source = below + np.cumsum(is_source[start : start + len(steps)])
        of_reference = np.arange(start + 1, start + 1 + len(steps)) - of_source
        gaps = of_source / len(source) - of_reference / len(reference)
        distance += float(np.abs(gaps) @ steps)
        below = int(of_source[-1])
    return distance


def _spread(draws: Draws) -> float:
    mean = np.average(draws.values, weights=draws.weights)
    return math.sqrt(float(np.average((draws.values - mean) ** 2, weights=draws.weights)))


def _some(draws: Draws, rng: np.random.Generator) -> Draws:
    """The null needs no more draws than tell it is small."""
    if draws.units is not None or len(draws) <= MAX_DRAWS_NULL:
        return draws
    return draws.select(rng.permutation(len(draws)) < MAX_DRAWS_NULL)


def _dual(source: Draws, reference: Draws, rng: np.random.Generator) -> tuple[float, float]:
    """Measure on one half the f that the other half finds best: its gap, and the gap's error."""
    (first, second), (first_ref, second_ref) = source.halve(rng), reference.halve(rng)
    if not all(len(part) for part in (first, second, first_ref, second_ref)):
        return 0.0, 0.0
    knots, heights = _best_slopes(first, first_ref)
    gaps = [
        Draws(np.interp(part.values, knots, heights), part.weights, part.units, part.design_effect)
        for part in (second, second_ref)
    ]
    means = [float(np.average(part.values, weights=part.weights)) for part in gaps]
    noise = math.hypot(*(_spread(part) / math.sqrt(part.n_eff) for part in gaps))
    return means[0] - means[1], noise


def _best_slopes(source: Draws, reference: Draws) -> tuple[Values, Values]:
    """The f with slope sign(G - F) everywhere, at its knots."""
    knots = np.unique(np.concatenate([source.values, reference.values]))
    below = [_cumulative(part, knots) for part in (source, reference)]
    slopes = np.sign(below[1] - below[0])[:-1]
    return knots, np.concatenate([[0.0], np.cumsum(slopes * np.diff(knots))])


def _cumulative(draws: Draws, at: Values) -> Values:
    order = np.argsort(draws.values, kind="stable")
    mass = np.concatenate([[0.0], np.cumsum(draws.weights[order])])
    share: Values = mass[np.searchsorted(draws.values[order], at, side="right")] / mass[-1]
    return share
