"""What a network says of a set of examples: probabilities, labels and how sure it is of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Labelled(NamedTuple):
    """What a network says of examples.

    Attributes:
        log_p: ln of the probability of every class, shape (N, C).
        right: Which chosen labels are right.
        targets: The labels that are true.
        sureness: ln p - ln(1 - p) of the chosen label: it orders as its probability does, which
            is 1 for all that is surer than 17 nats in float32.
    """

    log_p: Float[Array, "N C"]
    right: Bool[Array, " N"]
    targets: Int[Array, " N"]
    sureness: Float[Array, " N"]

    @property
    def confidence(self) -> Float[Array, " N"]:
        """The probability of the chosen label."""
        return jnp.exp(jnp.max(self.log_p, axis=-1))

    @property
    def is_finite(self) -> Bool[Array, ""]:
        """Say whether all that it says are numbers."""
        return jnp.all(jnp.isfinite(self.log_p))


def read(outputs: Float[Array, "N C"], targets: Int[Array, " N"]) -> Labelled:
    """Read logits; one output is the log odds of the second of two classes."""
    if outputs.shape[-1] == 1:
        outputs = jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=-1)
    chosen = jnp.argmax(outputs, axis=-1)
    is_chosen = jax.nn.one_hot(chosen, outputs.shape[-1], dtype=bool)
    others = jax.nn.logsumexp(jnp.where(is_chosen, -jnp.inf, outputs), axis=-1)
    return Labelled(
        jax.nn.log_softmax(outputs), chosen == targets, targets, jnp.max(outputs, axis=-1) - others
    )
