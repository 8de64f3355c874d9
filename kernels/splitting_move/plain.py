"""A move of splitting in plain JAX: the truth that the kernel is held to."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf
from jaxtyping import Array, Float, Int

from sweep_engine.kernels.prior_scan import plain as scans
from sweep_engine.kernels.prior_scan.case import Block as ScanBlock
from sweep_engine.kernels.prior_scan.case import Case as ScanCase
from sweep_engine.kernels.splitting_move.case import Case, Draws, Moved, Rule, ends_of

IMAGES: dict[str, Callable[[Array], Array]] = {
    "normal": lambda z: z,
    "uniform": lambda z: erf(z / np.sqrt(2)),
}


def move(
    case: Case,
    rule: Rule,
    normals: Float[Array, "R M"],
    level: Float[Array, " R"],
    draws: Draws,
    scales: Float[Array, " A"],
    x: Float[Array, "N D"],
    targets: Int[Array, " N"],
    threshold: Float[Array, ""],
    width: Float[Array, ""],
) -> Moved:
    """Move particles so that N(0, I) given {level > threshold} stays as it is.

    With nu ~ N(0, I) and the angle phi uniform in a bracket of the given width about 0,
    z cos(phi) + nu sin(phi) replaces z in the window; where its level is not above the threshold
    the bracket shrinks to phi, and another angle is tried, as many as are drawn.

    Args:
        case: What is static.
        rule: What level is climbed, static too.
        normals: Where particles are.
        level: The level of each.
        draws: What each move draws.
        scales: What the parameters of each array of theta are multiplied by.
        x: The inputs.
        targets: The label of each.
        threshold: The level that they stay above.
        width: Of the bracket, in radians.

    Source:
        Murray, Adams & MacKay (2010), Elliptical slice sampling, AISTATS; Neal (2003), Annals of
        Statistics 31(3), for the bracket.
    """
    level_of = partial(_level, case, rule, scales, x, targets)
    return jax.vmap(partial(_move_one, case, level_of, threshold, width))(normals, level, draws)


def theta_of(case: Case, scales: Float[Array, " A"], z: Float[Array, " M"]) -> Float[Array, " P"]:
    """Map normals to parameters."""
    parts, first = [], 0
    for size, image, scale in zip(case.sizes, case.images, scales, strict=True):
        if image == "ones":
            parts.append(jnp.full(size, scale))
        else:
            parts.append(scale * IMAGES[image](z[first : first + size]))
            first += size
    return jnp.concatenate(parts)


def _move_one(
    case: Case,
    level_of: Callable[[Float[Array, " M"]], Float[Array, ""]],
    threshold: Float[Array, ""],
    width: Float[Array, ""],
    normals: Float[Array, " M"],
    level: Float[Array, ""],
    draws: Draws,
) -> Moved:
    nu, (first, count) = jax.random.normal(draws.keys, normals.shape), draws.windows
    window = (jnp.arange(case.num_normals) - first) % case.num_normals < count
    low = -width * draws.shares[0]
    high, moved = low + width, Moved(normals, level, jnp.bool_(False))
    for share in draws.shares[1:]:
        phi = low + (high - low) * share
        turned = jnp.where(window, normals * jnp.cos(phi) + nu * jnp.sin(phi), normals)
        proposed = Moved(turned, level_of(turned), jnp.bool_(True))
        is_new = ~moved.found & (proposed.level > threshold)
        moved = Moved(*(jnp.where(is_new, *pair) for pair in zip(proposed, moved, strict=True)))
        low, high = jnp.where(phi < 0, phi, low), jnp.where(phi < 0, high, phi)
    return moved


def _level(
    case: Case,
    rule: Rule,
    scales: Float[Array, " A"],
    x: Float[Array, "N D"],
    targets: Int[Array, " N"],
    z: Float[Array, " M"],
) -> Float[Array, ""]:
    """Compute the level of a network, positive where the rule holds."""
    blocks = tuple(ScanBlock("ones", 1) for _ in case.images)
    network = ScanCase(case.widths, blocks, case.activation, case.bias, case.num_inputs, case.norm)
    theta = theta_of(case, scales, z)
    margins = scans.margins_of(scans.outputs(network, theta, x), targets)
    if rule.climbs_errors:
        return _errors(rule, margins)
    smallest = jnp.sort(margins)
    levels = [jnp.float32(jnp.inf)]
    if rule.allowed is not None and rule.allowed < case.num_inputs:
        levels.append(smallest[rule.allowed])
    if rule.margin is not None:
        margin = scans.divided(network, smallest[0], theta)
        levels.append(_between(margin, *ends_of(rule)))
    return jnp.min(jnp.stack(levels))


def _errors(rule: Rule, margins: Float[Array, " N"]) -> Float[Array, ""]:
    wrong, allowed = jnp.sum(margins <= 0), rule.allowed or 0
    nearest = jnp.max(margins, where=margins <= 0, initial=-jnp.inf)
    share = 1 / (1 + jnp.abs(nearest) ** 0.25)
    return jnp.where(wrong > allowed, allowed - wrong + share, 1.0)


def _between(value: Array, low: np.float32, high: np.float32) -> Float[Array, ""]:
    """Compute the distance to the nearer end; where it rounds to 0 it keeps its sign."""
    inside = jnp.isfinite(value) & (value > low) & (value < high)
    distance = jnp.minimum(value - low, high - value)
    tiny = np.finfo(np.float32).tiny
    signed = jnp.where(inside, jnp.maximum(distance, tiny), jnp.minimum(distance, 0.0))
    return jnp.where(jnp.isnan(signed), -jnp.inf, signed)
