"""A move of splitting in plain JAX: the truth that the kernel is held to."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf
from jaxtyping import Array, Float, Int, Key

from sweep_engine.kernels.prior_scan import plain as scans
from sweep_engine.kernels.prior_scan.case import Case as ScanCase
from sweep_engine.kernels.splitting_move.case import PROPOSALS, Case, Draws, Moved, Rule, ends_of

IMAGES = {"normal": lambda z: z, "uniform": lambda z: erf(z / np.sqrt(2))}


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
    the bracket shrinks to phi, and another angle is tried, `PROPOSALS` in all.

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
    of_theta = partial(_level, case, rule, scales, x, targets)
    return jax.vmap(partial(_move_one, case, of_theta, threshold, width))(normals, level, draws)


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


def _move_one(case, of_theta, threshold, width, normals, level, draws) -> Moved:  # type: ignore[no-untyped-def]  # mapped, as `move` says
    nu, (first, count) = jax.random.normal(draws.keys, normals.shape), draws.windows
    window = (jnp.arange(case.num_normals) - first) % case.num_normals < count
    low = -width * draws.shares[0]
    high, moved = low + width, Moved(normals, level, jnp.bool_(False))
    for share in draws.shares[1 : 1 + PROPOSALS]:
        phi = low + (high - low) * share
        turned = jnp.where(window, normals * jnp.cos(phi) + nu * jnp.sin(phi), normals)
        proposed = Moved(turned, of_theta(turned), jnp.bool_(True))
        is_new = ~moved.found & (proposed.level > threshold)
        moved = jax.tree.map(partial(jnp.where, is_new), proposed, moved)
        low, high = jnp.where(phi < 0, phi, low), jnp.where(phi < 0, high, phi)
    return moved
