"""Say what kernels that read the labels of multilayer perceptrons do not know."""

from collections.abc import Iterator
from typing import Literal, get_args

from sweep_engine.kernels.prior_scan.case import Norm
from sweep_engine.models.networks import MlpNetwork
from sweep_engine.sources.bucket import Bucket
from sweep_engine.spec.sources.acceptance import Accept

Activation = Literal["relu", "tanh", "gelu", "linear"]

ACTIVATIONS: dict[str, Activation] = {name: name for name in get_args(Activation)}
"""Has the activations that such kernels know, by their name in a model."""

NORMS: dict[str, Norm] = {name: name for name in get_args(Norm)}
"""Has the norms that such kernels divide margins by, by their name in a rule."""

MOST_VALUES = 2**22
"""Limits the numbers in all inputs: every thread has a copy, tile by tile, that should stay in its
cache."""

RULES = {"train_error", "margin"}
"""Lists the acceptance rules that labels and margins decide."""


def perceptron_obstacles(bucket: Bucket, accept: Accept) -> Iterator[str]:
    """List what such kernels do not know of some runs, but for the law.

    Args:
        bucket: What the runs share.
        accept: The rule that they are held to.
    """
    module = bucket.network.module
    if not isinstance(module, MlpNetwork):
        yield f"the model {bucket.setting.model.title}, which is no chain of dense layers"
    elif module.activation not in ACTIVATIONS:
        yield f"the activation {module.activation}"
    if bucket.execution.precision != "exact":
        yield f"precision {bucket.execution.precision}"
    if len(bucket.network.input_shape) != 1:
        yield f"inputs of shape {bucket.network.input_shape}"
    if bucket.task.loss.labels is None:
        yield "targets that are not labels"
    if not RULES.issuperset(accept.rules):
        yield f"the acceptance rule {' and '.join(accept.rules)}"
    if accept.normalise is not None and accept.normalise not in NORMS:
        yield f"margins normalised by {accept.normalise}"
    if bucket.task.inputs.size > MOST_VALUES:
        yield f"inputs of more than {MOST_VALUES:,} numbers in all"


def norm_of(accept: Accept) -> Norm | None:
    """Say what a rule that such kernels know divides margins by."""
    return None if accept.normalise is None else NORMS[accept.normalise]
