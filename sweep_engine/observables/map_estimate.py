"""Whether a network is a MAP estimate: how far below the maximum of the posterior it may be."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine import laws
from sweep_engine.columns import Column
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.spec.observables import MapEstimate

GAP_AT_MOST = 0.1
"""Nats below the maximum at which a network still counts as the maximum."""


def map_estimate(spec: MapEstimate) -> Observable:
    """Make the observable.

    In z = theta / std, minus the log posterior is E(z) = |z|^2 / 2 + (sum of losses) / temperature.
    Where the losses are convex, E has curvature 1 or more in every direction, so that

        E(z) - min E <= |grad E(z)|^2 / 2

    (Polyak-Lojasiewicz): a bound on how far the network is from its maximum, from one gradient.
    Where they are not, a vanishing gradient may be a saddle's, and the maximum is a local one.
    """
    return Observable(
        columns=(
            Column("map_gap_at_most", "float32", "nats",
                   "the log posterior's maximum is at most so much higher, where the losses are "
                   "convex between; NaN where the gradient is not finite"),
            Column("is_map_estimate", "bool", "",
                   f"that is at most {GAP_AT_MOST:g}: else the run has not converged, or to the "
                   "maximum of another posterior"),
        ),
        compute=lambda outcome: _gap(spec, outcome),
    )  # fmt: skip


def _gap(spec: MapEstimate, outcome: Outcome) -> dict[str, Array]:
    std = jnp.asarray(laws.std(spec.law, outcome.layout), outcome.theta.dtype)
    num_examples = len(outcome.train_inputs)

    def energy(theta: Float[Array, " P"]) -> Float[Array, ""]:
        losses = num_examples * outcome.train_loss(theta)
        return jnp.sum((theta / std) ** 2) / 2 + losses / spec.temperature

    gap = jnp.sum((std * jax.grad(energy)(outcome.theta)) ** 2) / 2
    gap = jnp.where(jnp.isfinite(gap), gap, jnp.nan)
    return {"map_gap_at_most": gap, "is_map_estimate": gap <= GAP_AT_MOST}
