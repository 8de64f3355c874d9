"""The solver of gradient flow: a Runge-Kutta step, its error, and the next step's size.

Written out, and not a call of diffrax's solver, whose stages are a loop that XLA cannot fuse: a
block of small networks takes 1.7 times as long. `tests/sources/flow` holds it to diffrax.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

STAGES = (
    (0.161,),
    (-0.008480655492356989, 0.335480655492357),
    (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
    (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
    (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401,
     -0.028269050394068383),
    (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
     2.324710524099774),
)  # fmt: skip
"""What each stage after the first takes of the slopes before it; the last one is the step."""

ERROR = (
    0.0017800110522257773, 0.0008164344596567463, -0.007880878010261994, 0.1447110071732629,
    -0.5823571654525552, 0.45808210592918686, -0.015151515151515152,
)  # fmt: skip
"""The step less one of order 4."""

ORDER = 5
SAFETY, LEAST_FACTOR, MOST_FACTOR = 0.9, 0.2, 10.0

INTEGRAL, PROPORTIONAL = 0.3, 0.4
"""How the next step's size follows this error and the last. Where curvature limits the step, as
it does near a minimum, the proportional part keeps sizes from swinging."""

SMALLEST_SIZE = 1e-6
"""Of a first step, where a start at 0, or without a slope, gives no scale."""


def attempt(
    field: Callable[[Any], Any], params: Any, slope: Any, size: Float[Array, ""]
) -> tuple[Any, Any, Any]:
    """Compute one step of order 5: parameters, slope there, and an estimate of the error.

    Source:
        Tsitouras (2011), Runge-Kutta pairs of order 5(4) satisfying only the first column
        simplifying assumption, Computers & Mathematics with Applications 62.

    Args:
        field: d theta / dt, which does not depend on the time.
        params: Where the step starts.
        slope: The field there.
        size: Of the step, in time.
    """
    slopes, found = [slope], params
    for stage in STAGES:
        moved = _combined(stage, slopes)
        found = jax.tree.map(lambda start, move: start + size * move, params, moved)
        slopes.append(field(found))
    error = jax.tree.map(lambda leaf: size * leaf, _combined(ERROR, slopes))
    return found, slopes[-1], error


def _combined(weights: tuple[float, ...], slopes: list[Any]) -> Any:
    def combine(*leaves: Array) -> Array:
        terms = [weight * leaf for weight, leaf in zip(weights, leaves, strict=True)]
        return sum(terms[1:], start=terms[0])

    return jax.tree.map(combine, *slopes)


def error_ratio(error: Any, before: Any, after: Any, rtol: float, atol: float) -> Float[Array, ""]:
    """Compute error / (atol + rtol |theta|), root mean square; infinite where it is no number."""

    def scaled(error: Array, before: Array, after: Array) -> Array:
        return error / (atol + rtol * jnp.maximum(jnp.abs(before), jnp.abs(after)))

    ratio = _root_mean_square(jax.tree.map(scaled, error, before, after))
    return jnp.where(jnp.isnan(ratio), jnp.inf, ratio)


def next_size(
    size: Float[Array, ""], ratio: Float[Array, ""], margin: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Choose the next step's size: size x 0.9 (1 / ratio)^(0.7 / 5) margin^(-0.4 / 5), clipped.

    A step that was kept is followed by none smaller, one that was taken back by a smaller one.

    Source:
        Hairer & Wanner (1996), Solving Ordinary Differential Equations II, section IV.2.

    Args:
        size: Of the step tried.
        ratio: Its `error_ratio`: below 1 it is kept.
        margin: 1 / ratio of the last step that was kept.

    Returns:
        The size, and the margin of this step.
    """
    kept = ratio < 1
    mine = 1 / ratio
    factor = (
        SAFETY * mine ** ((INTEGRAL + PROPORTIONAL) / ORDER) * margin ** (-PROPORTIONAL / ORDER)
    )
    least = jnp.where(kept, 1.0, LEAST_FACTOR)
    most = jnp.where(kept, MOST_FACTOR, SAFETY)
    told: Bool[Array, ""] = (mine > 0) & jnp.isfinite(mine)
    return size * jnp.clip(factor, least, most), jnp.where(told, mine, 1.0)


def first_size(params: Any, slope: Any, rtol: float, atol: float) -> Float[Array, ""]:
    """Choose the first step's size: a hundredth of |theta| / |slope|, both by the tolerance.

    Source:
        Hairer, Norsett & Wanner (1993), Solving Ordinary Differential Equations I, section II.4.
    """

    def scaled(leaf: Array, start: Array) -> Array:
        return leaf / (atol + rtol * jnp.abs(start))

    size = _root_mean_square(jax.tree.map(scaled, params, params))
    speed = _root_mean_square(jax.tree.map(scaled, slope, params))
    is_told = (size > 1e-5) & (speed > 1e-5) & jnp.isfinite(size) & jnp.isfinite(speed)
    ratio = 0.01 * size / jnp.where(is_told, speed, 1.0)
    return jnp.where(is_told, jnp.maximum(ratio, SMALLEST_SIZE), SMALLEST_SIZE)


def _root_mean_square(params: Any) -> Float[Array, ""]:
    leaves = jax.tree.leaves(params)
    total = sum((jnp.sum(leaf**2) for leaf in leaves), start=jnp.float32(0))
    return jnp.sqrt(total / sum(leaf.size for leaf in leaves))
