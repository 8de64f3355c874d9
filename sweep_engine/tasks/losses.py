"""Losses, means over examples; labels and margins where outputs are classes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, UInt8

MAX_LABELS = 256
Outputs = Float[Array, "N C"]


@dataclass(frozen=True)
class Loss:
    """A loss, and how outputs are read as labels.

    Attributes:
        per_example: Maps outputs (N, C) and targets to losses (N,).
        num_labels: Size of the alphabet of labels; None for regression.
        labels: Maps outputs (N, C) to labels (N,).
        margins: Maps outputs and targets to signed margins (N,), positive when right.
        residuals: Maps outputs and targets to output - target, in the targets' shape, for
            squared error.
        target_size: How many numbers a target is; targets of several have shape (N, C).
        output_per_label: Whether two labels have an output each; more than two always have.
        has_log_odds: Whether outputs of a loss with labels and without residuals are log odds.
    """

    per_example: Callable[[Outputs, Array], Float[Array, " N"]]
    num_labels: int | None = None
    labels: Callable[[Outputs], UInt8[Array, " N"]] | None = None
    margins: Callable[[Outputs, Array], Float[Array, " N"]] | None = None
    residuals: Callable[[Outputs, Array], Float[Array, "N ..."]] | None = None
    target_size: int = 1
    output_per_label: bool = False
    has_log_odds: bool = True

    def mean(self, outputs: Outputs, targets: Array) -> Float[Array, ""]:
        """Mean loss over the examples."""
        return jnp.mean(self.per_example(outputs, targets))

    def error(self, outputs: Outputs, targets: Array) -> Float[Array, ""]:
        """Share of wrong labels; NaN for regression, and a NaN output is wrong."""
        if self.labels is None:
            return jnp.asarray(jnp.nan, jnp.float32)
        wrong = (self.labels(outputs) != targets) | jnp.any(jnp.isnan(outputs), axis=-1)
        return jnp.mean(wrong.astype(jnp.float32))

    @property
    def has_logits(self) -> bool:
        """Say whether outputs are log odds of labels, so that they say probabilities."""
        return self.num_labels is not None and self.residuals is None and self.has_log_odds

    def num_outputs(self) -> int:
        """How many outputs a network for this loss has."""
        if self.num_labels is None:
            return self.target_size
        return 1 if self.num_labels == 2 and not self.output_per_label else self.num_labels


def _sign(targets: Array) -> Array:
    return 2.0 * targets - 1.0


def _binary_labels(outputs: Outputs) -> Array:
    return (outputs[:, 0] > 0).astype(jnp.uint8)


def _binary_margins(outputs: Outputs, targets: Array) -> Array:
    return _sign(targets) * outputs[:, 0]


def _class_margins(outputs: Outputs, targets: Array) -> Array:
    chosen = jax.nn.one_hot(targets, outputs.shape[-1], dtype=bool)
    right = jnp.max(outputs, axis=-1, where=chosen, initial=-jnp.inf)
    other = jnp.max(outputs, axis=-1, where=~chosen, initial=-jnp.inf)
    return right - other


LOGISTIC = Loss(
    per_example=lambda f, y: jax.nn.softplus(-_binary_margins(f, y)),
    num_labels=2,
    labels=_binary_labels,
    margins=_binary_margins,
)
"""ln(1 + e^-yf) with y = 2 target - 1; the label is 1 where the logit is > 0."""

SQUARED_LABELS = Loss(
    per_example=lambda f, y: 0.5 * (f[:, 0] - _sign(y)) ** 2,
    num_labels=2,
    labels=_binary_labels,
    margins=_binary_margins,
    residuals=lambda f, y: f[:, 0] - _sign(y),
)
"""Half the squared error to -1 and 1; the label is 1 where the output is > 0."""

SQUARED = Loss(
    per_example=lambda f, y: 0.5 * (f[:, 0] - y) ** 2, residuals=lambda f, y: f[:, 0] - y
)
"""Half the squared error."""


@cache  # so that it can be known again
def squared(num_outputs: int = 1) -> Loss:
    """Half the squared error, summed over the outputs where there are several."""
    if num_outputs == 1:
        return SQUARED
    return Loss(
        per_example=lambda f, y: 0.5 * jnp.sum((f - y) ** 2, axis=-1),
        residuals=lambda f, y: f - y,
        target_size=num_outputs,
    )


@cache  # so that it can be known again
def cross_entropy(num_classes: int) -> Loss:
    """Cross-entropy over classes; the label is the largest logit, the first of equals.

    Raises:
        ValueError: there are more classes than a label's byte can tell apart.
    """
    if num_classes > MAX_LABELS:
        raise ValueError(f"{num_classes} classes: a label is a byte, at most {MAX_LABELS}")
    return Loss(
        per_example=optax.losses.softmax_cross_entropy_with_integer_labels,
        num_labels=num_classes,
        labels=lambda f: jnp.argmax(f, axis=-1).astype(jnp.uint8),
        margins=_class_margins,
        output_per_label=True,
    )


@cache  # so that it can be known again
def squared_classes(num_classes: int) -> Loss:
    """Half the squared distance to the label's unit vector; the label is the largest output.

    Raises:
        ValueError: there are more classes than a label's byte can tell apart.
    """
    return replace(
        cross_entropy(num_classes),
        per_example=lambda f, y: 0.5 * jnp.sum((f - jax.nn.one_hot(y, num_classes)) ** 2, axis=-1),
        has_log_odds=False,
    )


HINGE = replace(
    LOGISTIC,
    per_example=lambda f, y: jax.nn.relu(1 - _binary_margins(f, y)),
    has_log_odds=False,
)
"""max(0, 1 - yf) with y = 2 target - 1."""

EXPONENTIAL = replace(
    LOGISTIC, per_example=lambda f, y: jnp.exp(-_binary_margins(f, y)), has_log_odds=False
)
"""e^-yf with y = 2 target - 1."""


@cache  # so that it can be known again
def hinge(num_classes: int) -> Loss:
    """Hinge of the margin over the best other class: max(0, 1 - f_y + max f_other).

    Source:
        Crammer & Singer (2001), JMLR 2.
    """
    return replace(
        cross_entropy(num_classes),
        per_example=lambda f, y: jax.nn.relu(1 - _class_margins(f, y)),
        has_log_odds=False,
    )


@cache  # so that it can be known again
def exponential(num_classes: int) -> Loss:
    """Exponential loss: the sum of e^-(f_y - f_k) over the other classes k."""

    def per_example(outputs: Outputs, targets: Array) -> Float[Array, " N"]:
        chosen = jax.nn.one_hot(targets, num_classes, dtype=bool)
        right = jnp.max(outputs, axis=-1, where=chosen, initial=-jnp.inf)
        return jnp.sum(jnp.where(chosen, 0.0, jnp.exp(outputs - right[:, None])), axis=-1)

    return replace(cross_entropy(num_classes), per_example=per_example, has_log_odds=False)


LABEL_LOSSES: Mapping[str, tuple[Loss, Callable[[int], Loss]]] = {
    "logistic": (LOGISTIC, cross_entropy),
    "cross_entropy": (LOGISTIC, cross_entropy),
    "softmax": (cross_entropy(2), cross_entropy),
    "hinge": (HINGE, hinge),
    "exponential": (EXPONENTIAL, exponential),
    "squared": (SQUARED_LABELS, squared_classes),
}
"""By its name in a sweep file, the loss of two labels and what makes that of more."""


def label_loss(name: str, num_labels: int, smoothing: float | None = None) -> Loss:
    """Give a loss of labels, smoothed if that is asked for."""
    two, more = LABEL_LOSSES[name]
    loss = two if num_labels == 2 else more(num_labels)
    return loss if smoothing is None else smoothed(loss, smoothing)


def smoothed(loss: Loss, share: float) -> Loss:
    """Mix a loss with its mean over all labels: (1 - share) l(f, y) + share mean_k l(f, k).

    Source:
        Szegedy et al. (2016), CVPR, section 7.
    """
    assert loss.num_labels is not None
    labels = range(loss.num_labels)

    def per_example(outputs: Outputs, targets: Array) -> Float[Array, " N"]:
        every = [loss.per_example(outputs, jnp.full_like(targets, label)) for label in labels]
        mean = sum(every[1:], every[0]) / len(every)
        return (1 - share) * loss.per_example(outputs, targets) + share * mean

    return replace(loss, per_example=per_example)


def target_dtype(loss: Loss) -> type[np.generic]:
    """The dtype targets are stored in."""
    return np.float32 if loss.num_labels is None else np.int32
