"""Losses, means over examples; labels and margins where outputs are classes."""

from collections.abc import Callable
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
    """

    per_example: Callable[[Outputs, Array], Float[Array, " N"]]
    num_labels: int | None = None
    labels: Callable[[Outputs], UInt8[Array, " N"]] | None = None
    margins: Callable[[Outputs, Array], Float[Array, " N"]] | None = None
    residuals: Callable[[Outputs, Array], Float[Array, "N ..."]] | None = None
    target_size: int = 1

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
        return self.num_labels is not None and self.residuals is None

    def num_outputs(self) -> int:
        """How many outputs a network for this loss has."""
        if self.num_labels is None or self.num_labels == 2:
            return self.target_size
        return self.num_labels


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
    )


def target_dtype(loss: Loss) -> type[np.generic]:
    """The dtype targets are stored in."""
    return np.float32 if loss.num_labels is None else np.int32
