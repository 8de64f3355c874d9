"""Tell kernels of a bucket's network and loss, and say which of them they know."""

from collections.abc import Iterator
from math import prod
from typing import Any

from sweep_engine.models import Network
from sweep_engine.models.cnn import CnnNetwork
from sweep_engine.models.networks import MlpNetwork
from sweep_engine.models.residual import NormalisedMlpNetwork, ResidualNetwork
from sweep_engine.sources.convolutions import convolutions_of
from sweep_engine.spec.models import ModelKind
from sweep_engine.tasks import LOGISTIC, SQUARED, SQUARED_LABELS, Loss, cross_entropy

KNOWN = MlpNetwork | NormalisedMlpNetwork | ResidualNetwork | CnnNetwork
"""Joins the modules that kernels know."""

_LOSSES = {"logistic": LOGISTIC, "squared": SQUARED, "squared_labels": SQUARED_LABELS}


def unknown_parts(network: Network, loss: Loss, model: ModelKind) -> Iterator[str]:
    """List what kernels do not know of a network and a loss."""
    module = network.module
    if not isinstance(module, KNOWN):
        yield (
            f"the model {model.title}, which is no chain of dense layers, residual blocks or "
            "convolutions"
        )
    elif module.activation == "sin":
        yield "the activation sin"
    if not isinstance(module, CnnNetwork) and len(network.input_shape) != 1:
        yield f"inputs of shape {network.input_shape}"
    if _loss_name(loss) is None:
        yield "losses other than logistic, squared error and cross-entropy of three classes or more"


def case_fields(network: Network, loss: Loss) -> dict[str, Any]:
    """Give the fields of a `Case` that say which network and loss it is, where both are known."""
    module = network.module
    assert isinstance(module, KNOWN)
    convolves = isinstance(module, CnnNetwork)
    image, convolutions = convolutions_of(module, network.input_shape) if convolves else ((), ())
    return {
        "widths": (prod(network.input_shape), *_hidden(module), module.num_outputs),
        "activation": module.activation,
        "bias": module.bias,
        "loss": _loss_name(loss),
        "convolutions": convolutions,
        "image": image,
        "norm": module.norm if isinstance(module, NormalisedMlpNetwork | ResidualNetwork) else None,
        "residual": isinstance(module, ResidualNetwork),
    }


def _loss_name(loss: Loss) -> str | None:
    for name, known in _LOSSES.items():
        if loss is known:
            return name
    labels = loss.num_labels
    is_known = labels is not None and labels > 2 and loss is cross_entropy(labels)
    return "cross_entropy" if is_known else None


def _hidden(module: KNOWN) -> tuple[int, ...]:
    """List the widths of hidden dense layers."""
    match module:
        case CnnNetwork():
            return module.dense
        case ResidualNetwork():
            return (module.width,) * (2 * module.blocks + 1)
        case _:
            return module.widths
