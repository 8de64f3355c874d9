"""The acceptance rule: when a network fits the training set. One for all sources."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from sweep_engine.models import Network
from sweep_engine.observables.scales import scale_of
from sweep_engine.spec.models import ModelKind
from sweep_engine.spec.sources.acceptance import Accept, Bin
from sweep_engine.tasks import Loss

Outputs = Float[Array, "N C"]
Scale = Float[Array, ""] | None
"""What outputs are divided by; None where the rule takes them as they are."""


def output_scale(
    accept: Accept, network: Network, params: Any, inputs: Float[Array, "N ..."]
) -> Scale:
    """Compute what the rule divides a network's outputs by; `inputs` are the training inputs."""
    if accept.normalise is None:
        return None
    return scale_of(accept.normalise, network, params, inputs)


def accepts(
    accept: Accept,
    loss: Loss,
    outputs: Float[Array, "N C"],
    targets: Array,
    scale: Scale = None,
) -> Bool[Array, ""]:
    """Whether outputs on the training set pass the rule: where `level` is positive.

    `train_error` compares counts of wrong labels, which is the faster way, so that a share
    such as 0.1 of 10 examples means one of them whatever the rounding.

    Args:
        accept: The rule.
        loss: The task's loss.
        outputs: The network's outputs on the training inputs.
        targets: The training targets.
        scale: `output_scale` of the network.

    Raises:
        ValueError: the rule is normalised and there is no scale, or the other way round.
    """
    rest = [rule for rule in accept.rules if rule != "train_error"]
    fits = _lowest(rest, accept, loss, outputs, targets, scale) > 0
    if accept.train_error is None:
        return fits
    allowed = accept.train_error * len(targets) + 1e-3
    few = loss.error(outputs, targets) * len(targets) <= allowed
    return few & fits if rest else few


def level(
    accept: Accept,
    loss: Loss,
    outputs: Float[Array, "N C"],
    targets: Array,
    scale: Scale = None,
) -> Float[Array, ""]:
    """Compute a number without ties that is positive where the rule holds, and only there.

    Sampling from a law conditioned on fitting climbs it. For a share of wrong labels that
    allows k of them it is the (k+1)-th smallest margin; for a bin the distance to its nearer
    end, negative outside; of several rules the lowest of their numbers. A network without
    biases may output exactly 0, an atom of the margin: it counts as inf where the label rule
    makes it right, as -inf where wrong. NaN is -inf, and so is a network whose scale is not a
    positive number.

    Args:
        accept: The rule.
        loss: The task's loss.
        outputs: The network's outputs on the training inputs.
        targets: The training targets.
        scale: `output_scale` of the network.

    Raises:
        ValueError: the rule is normalised and there is no scale, or the other way round.
    """
    return _lowest(accept.rules, accept, loss, outputs, targets, scale)


def error_level(
    accept: Accept, loss: Loss, outputs: Float[Array, "N C"], targets: Array
) -> Float[Array, ""]:
    """Compute a level that passes the numbers of wrong labels one by one.

    Positive where the rule, a `train_error` alone, holds. Else it is the number of wrong labels
    too many, with a minus, plus a number below 1 that tells ties apart: it grows to 1 as the
    margin of the wrong label that is nearest to right goes to 0. `level` may pass from half of
    the labels wrong to none in one leap, by outputs that shrink.

    Args:
        accept: The rule.
        loss: The task's loss.
        outputs: The network's outputs on the training inputs.
        targets: The training targets.
    """
    too_many = labels_allowed(accept, len(targets))
    margins = _margins(loss, outputs, targets)
    wrong = jnp.sum(margins <= 0)
    nearest = jnp.max(jnp.where(margins <= 0, margins, -jnp.inf))
    # The fourth root, since float32 holds few numbers between -5 and -5 + 1e-6.
    share = 1 / (1 + jnp.abs(nearest) ** 0.25)
    return jnp.where(wrong > too_many, too_many - wrong + share, 1.0)


def labels_allowed(accept: Accept, num_examples: int) -> int:
    """Count the labels that may be wrong, by a rule of the training error."""
    assert accept.train_error is not None
    return int(accept.train_error * num_examples + 1e-3)


def _lowest(
    rules: Sequence[str],
    accept: Accept,
    loss: Loss,
    outputs: Float[Array, "N C"],
    targets: Array,
    scale: Scale,
) -> Float[Array, ""]:
    """Compute the lowest of some rules' levels: it is positive where all of them hold."""
    divided = _divided(accept, outputs, scale)
    levels = [
        _LEVELS[rule](accept, loss, divided if rule in NORMALISED else outputs, targets)
        for rule in rules
    ]
    return functools.reduce(jnp.minimum, levels) if levels else jnp.float32(jnp.inf)


def _of_error(accept: Accept, loss: Loss, outputs: Outputs, targets: Array) -> Float[Array, ""]:
    allowed = labels_allowed(accept, len(targets))
    if allowed >= len(targets):
        return jnp.float32(jnp.inf)
    margins = _margins(loss, outputs, targets)
    return jnp.sort(margins)[allowed] if allowed else jnp.min(margins)


def _of_margin(accept: Accept, loss: Loss, outputs: Outputs, targets: Array) -> Float[Array, ""]:
    assert accept.margin is not None
    return within(jnp.min(_margins(loss, outputs, targets)), accept.margin)


def _of_loss(accept: Accept, loss: Loss, outputs: Outputs, targets: Array) -> Float[Array, ""]:
    assert accept.loss is not None
    return within(loss.mean(outputs, targets), accept.loss)


def _of_train_loss(
    accept: Accept, loss: Loss, outputs: Outputs, targets: Array
) -> Float[Array, ""]:
    assert accept.train_loss is not None
    return _at_most(loss.mean(outputs, targets), accept.train_loss)


def _of_residual(accept: Accept, loss: Loss, outputs: Outputs, targets: Array) -> Float[Array, ""]:
    assert loss.residuals is not None
    assert accept.max_residual is not None
    return _at_most(jnp.max(jnp.abs(loss.residuals(outputs, targets))), accept.max_residual)


_LEVELS = {
    "train_error": _of_error,
    "train_loss": _of_train_loss,
    "max_residual": _of_residual,
    "margin": _of_margin,
    "loss": _of_loss,
}
"""The level of each rule."""

NORMALISED = ("margin", "loss")
"""The rules whose outputs are divided where the rule is normalised."""


def _divided(accept: Accept, outputs: Float[Array, "N C"], scale: Scale) -> Float[Array, "N C"]:
    if (accept.normalise is None) != (scale is None):
        raise ValueError("scale: give what output_scale gives for this rule and network")
    if scale is None:
        return outputs
    usable = (scale > 0) & jnp.isfinite(scale)
    return jnp.where(usable, outputs / jnp.where(usable, scale, 1.0), jnp.nan)


def _margins(loss: Loss, outputs: Float[Array, "N C"], targets: Array) -> Float[Array, " N"]:
    """Margins, but +-inf by the label rule where there is none: at 0, or between infinities."""
    assert loss.margins is not None
    assert loss.labels is not None
    margins = loss.margins(outputs, targets)
    right = (loss.labels(outputs) == targets) & ~jnp.any(jnp.isnan(outputs), axis=-1)
    undecided = (margins == 0) | jnp.isnan(margins)
    return jnp.where(undecided, jnp.where(right, jnp.inf, -jnp.inf), margins)


def _at_most(value: Float[Array, ""], limit: float) -> Float[Array, ""]:
    return _signed(limit - value, value <= limit)


def within(value: Float[Array, "*R"], ends: Bin) -> Float[Array, "*R"]:
    """Compute the distance to the nearer end, positive inside; an infinite value is outside."""
    low, high = ends_of(ends)
    inside = jnp.isfinite(value) & (value > low) & (value < high)
    return _signed(jnp.minimum(value - low, high - value), inside)


def ends_of(ends: Bin) -> tuple[float, float]:
    """Return both ends of a bin, infinite where it has none."""
    low = -math.inf if ends.above is None else ends.above
    return low, math.inf if ends.below is None else ends.below


def _signed(distance: Float[Array, "*R"], holds: Bool[Array, "*R"]) -> Float[Array, "*R"]:
    """The distance, with the sign of the rule where subtraction rounds to 0; NaN is -inf."""
    tiny = float(np.finfo(np.float32).tiny)
    found = jnp.where(holds, jnp.maximum(distance, tiny), jnp.minimum(distance, 0.0))
    return jnp.where(jnp.isnan(found), -jnp.inf, found)


def check_rule(accept: Accept, loss: Loss, model: ModelKind) -> None:
    """Raise ValueError where the rule means nothing for the loss or the model."""
    if loss.labels is None and (accept.train_error is not None or accept.margin is not None):
        given = "train_error" if accept.margin is None else "margin"
        raise ValueError(
            f"accept.{given} needs labels; for squared error on real targets give "
            "max_residual, train_loss or loss"
        )
    if accept.max_residual is not None and loss.residuals is None:
        raise ValueError("accept.max_residual needs a squared-error task")
    if accept.normalise is not None and loss.labels is None:
        raise ValueError("accept.normalise needs labels: real targets set the scale of the outputs")
    if accept.normalise == "path" and not model.is_dense:
        raise ValueError(
            "accept.normalise: path needs a model of dense layers, such as mlp: no path norm is "
            f"known of {model.title}; lipschitz needs none"
        )
