"""Sampling and log-density of the laws a sweep file can name."""

import math

import jax
import jax.numpy as jnp
from jax.scipy import stats
from jaxtyping import Array, Float, Key

from sweep_engine.models import Layout, Leaf
from sweep_engine.spec.laws import (
    Ball,
    Box,
    FanIn,
    Gaussian,
    Initialiser,
    LawSpec,
    Sphere,
)

VARIANCE_FACTOR = {"lecun": 1.0, "he": 2.0, "glorot": 1.0}


def sample(law: LawSpec, layout: Layout, key: Key[Array, ""]) -> Float[Array, " P"]:
    """Draw one theta.

    Ball and sphere are one law over all parameters together; the radius of a ball is
    radius * U^(1/P).

    Source:
        LeCun et al. (1998), Glorot & Bengio (2010), He et al. (2015) for the standard
        initialisations; their normal laws are not truncated here.
    """
    size = (layout.num_params,)
    match law:
        case Box():
            return jax.random.uniform(key, size, minval=-1.0) * law.half_width
        case Gaussian():
            return jax.random.normal(key, size) * law.std
        case Sphere():
            return _direction(key, layout.num_params) * law.radius
        case Ball():
            radial, angular = jax.random.split(key)
            radius = law.radius * jax.random.uniform(radial) ** (1 / layout.num_params)
            return _direction(angular, layout.num_params) * radius
        case FanIn() | Initialiser():
            keys = jax.random.split(key, len(layout.leaves))
            parts = [_leaf(law, leaf, k) for leaf, k in zip(layout.leaves, keys, strict=True)]
            return jnp.concatenate(parts)
        case _:
            raise TypeError(f"{law.kind} is sampled by the network itself")


def log_density(law: LawSpec, layout: Layout, theta: Float[Array, " P"]) -> Float[Array, ""]:
    """Compute the log-density at theta, in nats; -inf outside the support.

    For the sphere the density is with respect to area, for laws that fix the biases at
    zero with respect to the weights' volume: these are singular in the whole space.
    """
    p = layout.num_params
    radius = jnp.linalg.norm(theta)
    match law:
        case Box():
            inside = jnp.all(jnp.abs(theta) <= law.half_width)
            return jnp.where(inside, -p * jnp.log(2 * law.half_width), -jnp.inf)
        case Gaussian():
            return jnp.sum(stats.norm.logpdf(theta, scale=law.std))
        case Ball():
            volume = _log_ball(p) + p * jnp.log(law.radius)
            return jnp.where(radius <= law.radius, -volume, -jnp.inf)
        case Sphere():
            area = _log_ball(p) + math.log(p) + (p - 1) * jnp.log(law.radius)
            on_it = jnp.abs(radius - law.radius) <= 1e-5 * law.radius
            return jnp.where(on_it, -area, -jnp.inf)
        case FanIn() | Initialiser():
            parts = [
                _leaf_log_density(law, leaf, theta[leaf.offset : leaf.offset + leaf.size])
                for leaf in layout.leaves
            ]
            return jnp.sum(jnp.stack(parts))
        case _:
            raise TypeError(f"{law.kind} has no log-density here")


def support(law: LawSpec) -> str:
    """Say where the law's mass lies."""
    match law:
        case Box():
            return f"[-{law.half_width}, {law.half_width}]^P"
        case Ball():
            return f"ball of radius {law.radius}"
        case Sphere():
            return f"sphere of radius {law.radius}"
        case Gaussian():
            return "R^P"
        case FanIn():
            return "R^P" if law.bias_std > 0 else "R^P with biases 0"
        case Initialiser():
            return ("box per layer" if "uniform" in law.kind else "R^P") + " with biases 0"
        case _:
            return "the module's own"


def _direction(key: Key[Array, ""], num_params: int) -> Float[Array, " P"]:
    normal = jax.random.normal(key, (num_params,))
    return normal / jnp.linalg.norm(normal)


def _log_ball(dimension: int) -> float:
    """Ln of the unit ball's volume."""
    return dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2 + 1)


def _std(law: FanIn | Initialiser, leaf: Leaf) -> Array | float:
    fan_in, fan_out = leaf.fans
    if isinstance(law, FanIn):
        return law.bias_std if leaf.is_bias else law.weight_std / math.sqrt(fan_in)
    if leaf.is_bias:
        return 0.0
    family = law.kind.split("_")[0]
    fan = (fan_in + fan_out) / 2 if family == "glorot" else fan_in
    return law.scale * math.sqrt(VARIANCE_FACTOR[family] / fan)


def _is_uniform(law: FanIn | Initialiser) -> bool:
    return isinstance(law, Initialiser) and law.kind.endswith("uniform")


def _leaf(law: FanIn | Initialiser, leaf: Leaf, key: Key[Array, ""]) -> Float[Array, " n"]:
    if isinstance(law, Initialiser) and leaf.is_bias:
        return jnp.zeros(leaf.size)
    std = _std(law, leaf)
    if _is_uniform(law):
        return jax.random.uniform(key, (leaf.size,), minval=-1.0) * std * math.sqrt(3)
    return jax.random.normal(key, (leaf.size,)) * std


def _leaf_log_density(
    law: FanIn | Initialiser, leaf: Leaf, values: Float[Array, " n"]
) -> Float[Array, ""]:
    std = jnp.asarray(_std(law, leaf))
    at_zero = jnp.where(jnp.all(values == 0), 0.0, -jnp.inf)
    if _is_uniform(law):
        half = std * math.sqrt(3)
        inside = jnp.all(jnp.abs(values) <= half)
        density = jnp.where(inside, -leaf.size * jnp.log(2 * half), -jnp.inf)
    else:
        density = jnp.sum(stats.norm.logpdf(values, scale=jnp.where(std > 0, std, 1.0)))
    return jnp.where(std > 0, density, at_zero)
