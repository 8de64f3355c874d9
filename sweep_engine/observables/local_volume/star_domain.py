"""The measure of a star domain under a law, by lines from its centre.

In coordinates z in which the law is N(0, I) or uniform on [-1, 1]^D, around a centre z0 and
along w = A v, v uniform on the unit sphere, |det A| = 1, the measure is the mean over v of

    area of the unit sphere * int_0^r(v) s^(D-1) p(z0 + s w) ds,

r(v) the first place where the cost has risen by the threshold. Any fixed A is unbiased, so that
ln of the mean over finitely many lines is a stochastic lower bound: P(estimate > ln V + t) is at
most e^-t. The better A fits the domain, the less it falls short; r(v) constant has no variance.

A domain that holds much of the law is told better by lines through draws z of the law itself:
the mean of the share of each line's mass, int_0^r over int_0^infinity, of the same integrand.
From a centre in the law's bulk such lines go where its mass is; uniform ones hardly ever do.

Source:
    Scherlis & Belrose (2025), Estimating the probability of sampling a trained neural network
    at random, arXiv:2501.18812.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

GRID_DECADES, GRID_POINTS = 6, 96
"""Where the cost is looked at along a line: radii in steps of 15 %, over six decades."""

TAIL = 30.0
"""Integrals end where their integrand has fallen by e^-30."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)


class MeasureEstimate(NamedTuple):
    """An estimate of ln of a star domain's measure.

    Attributes:
        log_measure: ln of the mean over the lines, in nats; -inf where the law has no mass.
        n_eff: (sum of the lines' shares)^2 / sum of their squares. At the number of lines the
            estimate is exact; far below, most of the domain lies where no line went.
    """

    log_measure: Float[Array, ""]
    n_eff: Float[Array, ""]


def measure(
    inside: Callable[[Float[Array, " D"]], Bool[Array, ""]],
    centre: Float[Array, " D"],
    transform: Callable[[Float[Array, " D"]], Float[Array, " D"]] | None,
    key: Key[Array, ""],
    *,
    law: Literal["gaussian", "box"],
    directions: int,
) -> MeasureEstimate:
    """Estimate ln of the measure of what straight lines from the centre reach.

    Args:
        inside: Whether a point z belongs to the domain.
        centre: z0.
        transform: A, linear, |det A| = 1; None for lines through draws of the law.
        key: The stream of the directions.
        law: N(0, I), or uniform on [-1, 1]^D.
        directions: How many lines.
    """
    line = _gaussian_line if law == "gaussian" else _box_line
    size, dtype = len(centre), centre.dtype
    log_area = math.log(2) + size / 2 * math.log(math.pi) - math.lgamma(size / 2)

    def log_share(key: Key[Array, ""]) -> Float[Array, ""]:
        if transform is not None:
            v = jax.random.normal(key, (size,), dtype)
            w = transform(v / jnp.linalg.norm(v))
        elif law == "gaussian":
            w = jax.random.normal(key, (size,), dtype) - centre
        else:
            w = jax.random.uniform(key, (size,), dtype, minval=-1.0) - centre
        end, log_integral = line(centre, w)
        radius = first_crossing(lambda s: inside(centre + s * w), end)
        # In proportion to the whole line, the length of w and the sphere's area drop out.
        scale = log_area if transform is not None else -log_integral(end)
        return jnp.where(end > 0, log_integral(radius) + scale, -jnp.inf)

    logs = jax.lax.map(log_share, jax.random.split(key, directions))
    total = jax.nn.logsumexp(logs)
    return MeasureEstimate(
        log_measure=total - math.log(directions),
        n_eff=jnp.exp(2 * total - jax.nn.logsumexp(2 * logs)),
    )


def first_crossing(
    inside: Callable[[Float[Array, ""]], Bool[Array, ""]], end: Float[Array, ""]
) -> Float[Array, ""]:
    """Find the first radius that is not inside, or the end of the line.

    The line is walked outward in steps of 15 %, and the step in which it leaves is bisected to
    rounding: an excursion within one step is not seen.
    """
    ratio = 10.0 ** (GRID_DECADES / GRID_POINTS)

    def radius(step: Array) -> Array:
        return jnp.where(step < 0, 0.0, end * ratio ** (step - GRID_POINTS).astype(end.dtype))

    def goes_on(step: Array) -> Array:
        return (step <= GRID_POINTS) & inside(radius(step))

    step = jax.lax.while_loop(goes_on, lambda step: step + 1, jnp.int32(0))

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        is_in = inside(middle)
        return jnp.where(is_in, middle, low), jnp.where(is_in, high, middle)

    bits = jnp.finfo(end.dtype).nmant + 1
    low, high = jax.lax.fori_loop(0, bits, halve, (radius(step - 1), radius(step)))
    return jnp.where(step > GRID_POINTS, end, (low + high) / 2)


LogIntegral = Callable[[Float[Array, ""]], Float[Array, ""]]


def _box_line(z0: Float[Array, " D"], w: Float[Array, " D"]) -> tuple[Array, LogIntegral]:
    """Where the line leaves the box, and ln of the integral up to r: r^D / (D 2^D).

    About a centre outside, the box is no star domain: the line then has no length.
    """
    size = len(z0)
    end = jnp.min(jnp.where(w == 0, jnp.inf, (1 - jnp.sign(w) * z0) / jnp.abs(w)))
    end = jnp.where(jnp.any(jnp.abs(z0) > 1), 0.0, end)

    def log_integral(r: Array) -> Array:
        return size * jnp.log(r) - math.log(size) - size * math.log(2)

    return end, log_integral


def _gaussian_line(z0: Float[Array, " D"], w: Float[Array, " D"]) -> tuple[Array, LogIntegral]:
    """Where the integrand has died away, and ln of the integral up to r.

    The integrand exp g, g(s) = (D-1) ln s - (|z0|^2 + 2 s z0.w + s^2 |w|^2) / 2, is log-concave:
    from its peak below r it is followed to both sides until it has fallen by e^-30, and
    integrated there by 64 Gauss-Legendre nodes. With s = sqrt(D) t the terms stay near 1.
    """
    size = len(z0)
    root = math.sqrt(size)
    across, along, slope = z0 @ z0, w @ w, (z0 @ w) / root

    def g(t: Array) -> Array:
        power = (size - 1) * jnp.log(t) if size > 1 else 0.0
        return power - size * (along * t**2 / 2 + slope * t)

    # g' = 0: along t^2 + slope t = (D - 1) / D, in the form that loses no digits.
    ahead = jnp.sqrt(slope**2 + 4 * along * (size - 1) / size)
    peak = jnp.where(
        slope > 0, 2 * (size - 1) / size / (slope + ahead), (ahead - slope) / (2 * along)
    )
    peak = jnp.maximum(peak, jnp.finfo(z0.dtype).tiny)
    reach = math.sqrt(2 * TAIL / size) / jnp.sqrt(along)  # g'' <= -D along everywhere
    end = _fallen(g, peak, peak + reach)

    def log_integral(r: Array) -> Array:
        high = jnp.minimum(r / root, end)
        top = jnp.minimum(high, peak)
        low = _fallen(g, top, jnp.zeros_like(top))
        nodes = jnp.asarray(NODES, z0.dtype)
        t = low + (high - low) * (1 + nodes) / 2
        terms = g(t) - g(top)
        mass = jnp.sum(jnp.asarray(WEIGHTS, z0.dtype) * jnp.exp(terms)) * (high - low) / 2
        constant = size / 2 * math.log(size) - size / 2 * math.log(2 * math.pi)
        return constant + g(top) - across / 2 + jnp.log(mass)

    return end * root, log_integral


def _fallen(g: Callable[[Array], Array], top: Array, far: Array) -> Array:
    """Where a concave g, between its top and a far point, has fallen by `TAIL`."""
    level = g(top) - TAIL

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        near, far = ends
        middle = (near + far) / 2
        above = g(middle) > level
        return jnp.where(above, middle, near), jnp.where(above, far, middle)

    return jax.lax.fori_loop(0, 30, halve, (top, far))[1]
