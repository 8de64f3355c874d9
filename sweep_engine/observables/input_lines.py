"""Lines of inputs through the data and beyond them."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sweep_engine.spec.observables import Smoothness


class InputLines(NamedTuple):
    """Equally spaced inputs on lines.

    Attributes:
        points: Shape (L, n, ...). Of a square or box: its n rows, then its n columns. NaN where
            three inputs that lie on one line span no plane.
        steps: Distance of neighbours (between rows, within a row) of a square or box; None of
            other lines.
    """

    points: Float[Array, "L n ..."]
    steps: tuple[Float[Array, ""], Float[Array, ""]] | None


def input_lines(spec: Smoothness, inputs: Float[Array, "N ..."]) -> InputLines:
    """Choose the lines of an observable, by the training inputs."""
    match spec.on:
        case "line":
            return _pairs(spec, inputs)
        case "plane":
            return _plane(spec, inputs)
        case "grid":
            return _box(spec, inputs)


def _pairs(spec: Smoothness, inputs: Float[Array, "N ..."]) -> InputLines:
    """Draw pairs of different inputs; with `extent: 1` a line ends at them."""
    rng, count = np.random.default_rng(len(inputs)), len(inputs)
    first = rng.integers(0, count, spec.lines)
    second = (first + rng.integers(1, count, spec.lines)) % count
    start, end = inputs[first], inputs[second]
    along = (0.5 + 0.5 * _offsets(spec)).reshape(-1, *[1] * (inputs.ndim - 1))
    points = start[:, None] * (1 - along) + end[:, None] * along
    return InputLines(points, None)


def _plane(spec: Smoothness, inputs: Float[Array, "N ..."]) -> InputLines:
    """Draw three inputs; with `extent: 1` the square around their mean holds all three.

    Source:
        Somepalli et al. (2022), CVPR (decision regions in the plane of three inputs).
    """
    chosen = np.random.default_rng(len(inputs)).choice(len(inputs), 3, replace=False)
    corners = inputs[chosen].reshape(3, -1)
    centre = jnp.mean(corners, axis=0)
    reach = jnp.max(jnp.sqrt(jnp.sum((corners - centre) ** 2, axis=1)))
    one, other = corners[1] - corners[0], corners[2] - corners[0]
    one = one / jnp.sqrt(jnp.sum(one**2))
    rest = other - one * jnp.sum(one * other)
    size = jnp.sqrt(jnp.sum(rest**2))
    is_plane = size > 1e-4 * jnp.sqrt(jnp.sum(other**2))
    axes = jnp.stack([one, rest / jnp.where(is_plane, size, jnp.nan)])
    return _square(spec, centre, axes * reach, inputs.shape[1:])


def _box(spec: Smoothness, inputs: Float[Array, "N D"]) -> InputLines:
    """Take the box around all inputs: of one number each, a single line."""
    low, high = jnp.min(inputs, axis=0), jnp.max(inputs, axis=0)
    centre, reach = (low + high) / 2, (high - low) / 2
    if inputs.shape[1] == 1:
        return InputLines(centre + reach * _offsets(spec)[None, :, None], None)
    return _square(spec, centre, jnp.diag(reach), inputs.shape[1:])


def _square(
    spec: Smoothness, centre: Float[Array, " D"], axes: Float[Array, "2 D"], shape: tuple[int, ...]
) -> InputLines:
    """Lay lines through centre + s axes[0] + t axes[1], |s| and |t| at most the extent."""
    offsets = _offsets(spec)
    rows = centre + offsets[:, None, None] * axes[0] + offsets[None, :, None] * axes[1]
    points = jnp.concatenate([rows, rows.swapaxes(0, 1)])
    sides = 2 * spec.extent * jnp.sqrt(jnp.sum(axes**2, axis=1)) / (spec.points - 1)
    return InputLines(points.reshape(*points.shape[:2], *shape), (sides[0], sides[1]))


def _offsets(spec: Smoothness) -> Float[Array, " n"]:
    """List the places on a line, from -extent to extent."""
    return jnp.asarray(np.linspace(-spec.extent, spec.extent, spec.points), jnp.float32)
