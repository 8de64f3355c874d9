"""Wasserstein distance in one dimension: how far mass must move, in the observable's unit."""

import math

import numpy as np
from jaxtyping import Float
from scipy import special, stats

from sweep_engine.densities.draws import Draws, require_draws, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.null import same_source_null
from sweep_engine.errors import InsufficientSamples

MIN_DRAWS = 20
MAX_DRAWS_NULL = 20_000

Values = Float[np.ndarray, " n"]


def wasserstein(
    source: Draws, reference: Draws, *, seed: int, confidence: float = 0.95
) -> Estimate:
    """Estimate W1 = ∫ |F - G| dx, the mean distance that mass must move.

    The plug-in is biased upwards. W1 is the supremum of E_P f - E_Q f over f of slope at
    most 1, so the f that is best on one half and measured on the other gives the low end;
    and the truth is below the plug-in plus the noise of the best f, whose variance is at most
    that of x. No moment beyond the second is needed.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = wasserstein(
        ...     Draws.of(rng.normal(1, 1, 1000)), Draws.of(rng.normal(0, 1, 1000)), seed=0)
        >>> found.low < 1.0 < found.high
        True

    Args:
        source: One column.
        reference: The same column.
        seed: Of the halves.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: Fewer than 20 effective draws on one side.

    Source:
        Kantorovich & Rubinstein (1958), for the duality.
    """
    finite = source.finite, reference.finite
    require_draws(*finite)
    if min(side.n_eff for side in finite) < MIN_DRAWS:
        raise InsufficientSamples(
            f"wasserstein needs at least {MIN_DRAWS} effective draws on each side, got "
            f"{finite[0].n_eff:.4g} of the source and {finite[1].n_eff:.4g} of the reference"
        )
    rng = np.random.default_rng([seed, 8])
    value, z = _plug_in(*finite), float(special.ndtri((1 + confidence) / 2))
    noise = math.hypot(*(_spread(side) / math.sqrt(side.n_eff) for side in finite))
    low = _dual(finite[0], finite[1], rng, z)
    (null,) = same_source_null(
        lambda one, other: [_plug_in(one, other)],
        (_some(finite[0], rng), _some(finite[1], rng)),
        lambda side: side.halve(rng),
    )
    return two_sample_estimate(
        "wasserstein_1",
        Interval(value, min(low, value), value + z * noise),
        num_draws=(len(source), len(reference)),
        n_eff=(finite[0].n_eff, finite[1].n_eff),
        unit="1",
        method="plug-in W1, in the column's unit; low end by the dual of one half measured on the "
        "other, high end the plug-in plus noise",
        confidence=confidence,
        seed=seed,
        warnings=sample_warnings(source, reference),
    ).with_null(null)


def _plug_in(source: Draws, reference: Draws) -> float:
    return float(
        stats.wasserstein_distance(
            source.values, reference.values, source.weights, reference.weights
        )
    )


def _spread(draws: Draws) -> float:
    mean = np.average(draws.values, weights=draws.weights)
    return math.sqrt(float(np.average((draws.values - mean) ** 2, weights=draws.weights)))


def _some(draws: Draws, rng: np.random.Generator) -> Draws:
    """The null needs no more draws than tell it is small."""
    if draws.units is not None or len(draws) <= MAX_DRAWS_NULL:
        return draws
    return draws.select(rng.permutation(len(draws)) < MAX_DRAWS_NULL)


def _dual(source: Draws, reference: Draws, rng: np.random.Generator, z: float) -> float:
    (one, two), (one_ref, two_ref) = source.halve(rng), reference.halve(rng)
    if not all(len(part) for part in (one, two, one_ref, two_ref)):
        return 0.0
    knots, heights = _best_slopes(one, one_ref)
    gaps = [
        Draws(np.interp(part.values, knots, heights), part.weights, part.units, part.design_effect)
        for part in (two, two_ref)
    ]
    means = [float(np.average(part.values, weights=part.weights)) for part in gaps]
    noise = math.hypot(*(_spread(part) / math.sqrt(part.n_eff) for part in gaps))
    return max(0.0, means[0] - means[1] - z * noise)


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
