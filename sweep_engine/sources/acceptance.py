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


def level(
    accept: Accept, loss: Loss, outputs: Float[Array, "N C"], targets: Array
) -> Float[Array, ""]:
    """Compute a number without ties that is positive where the rule holds, and only there.

    Sampling from a law conditioned on fitting climbs it. For a share of wrong labels that
    allows k of them it is the (k+1)-th smallest margin. A network without biases may
    output exactly 0, an atom of the margin: it counts as inf where the label rule makes
    it right, as -inf where wrong. NaN is -inf.
    """
    if accept.train_error is not None:
        assert loss.margins is not None
        assert loss.labels is not None
        margins = loss.margins(outputs, targets)
        right = loss.labels(outputs) == targets
        margins = jnp.where(margins == 0, jnp.where(right, jnp.inf, -jnp.inf), margins)
        margins = jnp.where(jnp.isnan(margins), -jnp.inf, margins)
        allowed = int(accept.train_error * len(targets) + 1e-3)
        if allowed >= len(targets):
            return jnp.float32(jnp.inf)
        return jnp.sort(margins)[allowed]
    if accept.train_loss is not None:
        found = accept.train_loss - loss.mean(outputs, targets)
    else:
        assert loss.residuals is not None
        assert accept.max_residual is not None
        found = accept.max_residual - jnp.max(jnp.abs(loss.residuals(outputs, targets)))
    return jnp.where(jnp.isnan(found), -jnp.inf, found)


def check_rule(accept: Accept, loss: Loss) -> None:
    """Raise ValueError where the rule means nothing for the loss."""
    if accept.train_error is not None and loss.labels is None:
        raise ValueError(
            "accept.train_error needs labels; for squared error on real targets give "
            "max_residual or train_loss"
        )
    if accept.max_residual is not None and loss.residuals is None:
        raise ValueError("accept.max_residual needs a squared-error task")
