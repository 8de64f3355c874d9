"""The acceptance rule: when a network fits the training set. One for all sources."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from sweep_engine.spec.sources import Accept
from sweep_engine.tasks import Loss


def accepts(
    accept: Accept, loss: Loss, outputs: Float[Array, "N C"], targets: Array
) -> Bool[Array, ""]:
    """Whether outputs on the training set pass the rule.

    `train_error` compares counts of wrong labels, so that a share such as 0.1 of 10
    examples means one of them whatever the rounding.
    """
    if accept.train_error is not None:
        allowed = accept.train_error * len(targets) + 1e-3
        return loss.error(outputs, targets) * len(targets) <= allowed
    if accept.train_loss is not None:
        return loss.mean(outputs, targets) <= accept.train_loss
    assert loss.residuals is not None
    assert accept.max_residual is not None
    return jnp.max(jnp.abs(loss.residuals(outputs, targets))) <= accept.max_residual


def check_rule(accept: Accept, loss: Loss) -> None:
    """Raise ValueError where the rule means nothing for the loss."""
    if accept.train_error is not None and loss.labels is None:
        raise ValueError(
            "accept.train_error needs labels; for squared error on real targets give "
            "max_residual or train_loss"
        )
    if accept.max_residual is not None and loss.residuals is None:
        raise ValueError("accept.max_residual needs a squared-error task")
