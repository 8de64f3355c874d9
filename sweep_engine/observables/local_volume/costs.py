"""How far a network has moved from the solution: costs that are 0 there."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.observables.observable import Outcome
from sweep_engine.tasks import Loss

Cost = Callable[[Float[Array, " P"]], Float[Array, ""]]


def rise_of(cost: str, outcome: Outcome) -> Cost:
    """The rise over the solution of the loss or the error, or the KL of its outputs."""
    loss, targets, centre = outcome.loss, outcome.train_targets, outcome.train_outputs
    if cost == "kl":
        return lambda theta: mean_kl(loss, centre, outcome.outputs(theta))
    measure = loss.mean if cost == "loss" else loss.error
    at_centre = measure(centre, targets)
    return lambda theta: measure(outcome.outputs(theta), targets) - at_centre


def mean_kl(
    loss: Loss, centre: Float[Array, "N C"], outputs: Float[Array, "N C"]
) -> Float[Array, ""]:
    """Mean KL of the laws of the label that two lists of outputs stand for, in nats.

    Logits for a loss whose outputs are log odds; elsewhere means of Gaussians of variance 1.
    """
    if not loss.has_logits:
        return jnp.mean(jnp.sum((outputs - centre) ** 2, axis=-1)) / 2
    p, q = (_log_probabilities(values) for values in (centre, outputs))
    return jnp.mean(jnp.sum(jnp.exp(p) * (p - q), axis=-1))


def _log_probabilities(outputs: Float[Array, "N C"]) -> Float[Array, "N K"]:
    if outputs.shape[-1] == 1:
        return jax.nn.log_sigmoid(jnp.concatenate([-outputs, outputs], axis=-1))
    return jax.nn.log_softmax(outputs)
