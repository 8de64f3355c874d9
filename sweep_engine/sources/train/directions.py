"""The directions of the optimisers that are optax transformations of the gradient."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from sweep_engine.spec.sources.optimizers import (
    Adagrad,
    Adam,
    GroupRmsProp,
    Lion,
    Muon,
    RmsProp,
    Sam,
    Sgd,
    SignDescent,
    StraightThrough,
)


def heavy_ball(spec: Sam | StraightThrough) -> optax.GradientTransformation:
    """Accumulate the gradient: m <- momentum m + g."""
    return optax.trace(decay=spec.momentum)


def momentum(spec: Sgd) -> optax.GradientTransformation:
    """Accumulate the gradient, and look ahead under Nesterov's rule."""
    return optax.trace(decay=spec.momentum, nesterov=spec.nesterov)


def adam(spec: Adam) -> optax.GradientTransformation:
    """Divide the mean gradient by the root of its mean square, both without bias."""
    return optax.scale_by_adam(b1=spec.b1, b2=spec.b2, eps=spec.eps)


def rms_prop(spec: RmsProp) -> optax.GradientTransformation:
    """Divide by the root of the mean square, then accumulate."""
    return optax.chain(
        optax.scale_by_rms(decay=spec.decay, eps=spec.eps), optax.trace(decay=spec.momentum)
    )


def adagrad(spec: Adagrad) -> optax.GradientTransformation:
    """Divide by the root of the sum of squares."""
    return optax.scale_by_rss(spec.initial, spec.eps)


class GroupRmsState(NamedTuple):
    """State of GroupRMSprop.

    Attributes:
        step: Steps taken.
        square: Running mean of |g|^2, from 0.
    """

    step: Int[Array, ""]
    square: Float[Array, ""]


def group_rms_prop(spec: GroupRmsProp) -> optax.GradientTransformation:
    """Divide by the root of the mean of |g|^2 over steps, which is one number a network."""

    def update(gradient: Any, state: GroupRmsState, params: Any = None) -> Any:
        step = state.step + 1
        square = optax.tree.norm(gradient, squared=True)
        mean = spec.decay * state.square + (1 - spec.decay) * square
        size = jnp.sqrt(mean / (1 - spec.decay**step)) + spec.eps
        return jax.tree.map(lambda g: g / size, gradient), GroupRmsState(step, mean)

    def initial(params: Any) -> GroupRmsState:
        return GroupRmsState(jnp.int32(0), jnp.float32(0))

    return optax.GradientTransformation(initial, update)


def sign(spec: SignDescent) -> optax.GradientTransformation:
    """Take the signs of the accumulated gradient."""
    return optax.chain(optax.trace(decay=spec.momentum), optax.scale_by_sign())


def lion(spec: Lion) -> optax.GradientTransformation:
    """Take the signs of a mean of gradient and momentum."""
    return optax.scale_by_lion(b1=spec.b1, b2=spec.b2)


def muon(spec: Muon) -> optax.GradientTransformation:
    """Orthogonalise the momentum of kernels; Adam for vectors."""
    kernels = optax.chain(
        optax.contrib.scale_by_muon(
            ns_steps=spec.iterations,
            beta=spec.momentum,
            eps=spec.eps,
            weight_dimension_numbers=_as_matrices,
        ),
        optax.stateless(lambda updates, params: jax.tree.map(_for_its_shape, updates)),
    )
    vectors = optax.chain(
        optax.scale_by_adam(b1=spec.b1, b2=spec.b2, eps=spec.eps, nesterov=True),
        optax.scale(spec.vector_scale),
    )
    return optax.partition({"kernels": kernels, "vectors": vectors}, _kernels_and_vectors)


def _kernels_and_vectors(params: Any) -> Any:
    return jax.tree.map(lambda leaf: "kernels" if leaf.ndim >= 2 else "vectors", params)


def _as_matrices(params: Any) -> Any:
    """Say how kernels (..., fan_in, fan_out) are matrices: all but the last axis in rows."""

    def axes(leaf: Array) -> optax.contrib.MuonDimensionNumbers:
        return optax.contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)

    return jax.tree.map(axes, params)


def _for_its_shape(update: Array) -> Array:
    """Scale an orthogonal matrix so that it changes outputs by much the same at every width."""
    *rows, fan_out = update.shape
    return update * max(1.0, fan_out / math.prod(rows)) ** 0.5
