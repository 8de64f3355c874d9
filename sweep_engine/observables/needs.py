"""Needs: what an observable needs of task, model or source, each with its own answer."""

from collections.abc import Callable

import numpy as np

from sweep_engine.models import Network, build
from sweep_engine.observables.factorisations import Factorisation, factorisation
from sweep_engine.spec.models import ModelKind
from sweep_engine.tasks import Task, all_inputs

MAX_LIFTING = 4096
"""Coordinates of phi that are listed; more take random projections."""

MAX_PARAMS = 128
"""Of networks whose derivatives of phi are held whole; phi has as many coordinates at most."""


def _labels(task: Task, model: ModelKind) -> str | None:
    return "needs a task with labels" if task.loss.labels is None else None


def _functions(task: Task, model: ModelKind) -> str | None:
    return "needs a task with labels, or a probe with levels" if task.label_rule is None else None


def _binary(task: Task, model: ModelKind) -> str | None:
    is_binary = task.label_rule is not None and task.label_rule.num_labels == 2
    return None if is_binary else "needs a task with two labels"


def _boolean_inputs(task: Task, model: ModelKind) -> str | None:
    """Look at the data, so that a user's own task may be of Boolean inputs too."""
    x = task.inputs[task.probe_inputs]
    size = len(x)
    is_whole = task.finite and x.ndim == 2 and size == 2 ** x.shape[1]
    if is_whole and np.array_equal(x > x.min(), all_inputs(x.shape[1])) and len(np.unique(x)) == 2:
        return None
    return "needs all inputs of some bits as probe inputs, as the task boolean has them"


def _logits(task: Task, model: ModelKind) -> str | None:
    if task.loss.has_logits:
        return None
    return "needs outputs that say probabilities: logistic, cross_entropy, softmax"


def _ood(task: Task, model: ModelKind) -> str | None:
    return "needs a second set: give the task `ood`" if task.ood is None else None


def _test(task: Task, model: ModelKind) -> str | None:
    return "needs a test set" if task.test is None else None


def _two_inputs(task: Task, model: ModelKind) -> str | None:
    return "needs two training inputs or more" if len(task.train) < 2 else None


def _three_inputs(task: Task, model: ModelKind) -> str | None:
    if len(task.train) < 3 or np.prod(task.input_shape) < 2:
        return "needs three training inputs or more, of two numbers or more"
    return None


def _one_or_two_numbers(task: Task, model: ModelKind) -> str | None:
    if len(task.train) < 2 or task.input_shape not in {(1,), (2,)}:
        return "needs two training inputs or more, of one or two numbers"
    return None


def _start(task: Task, model: ModelKind) -> str | None:
    """Refuse nothing: of a network that started nowhere the columns are null.

    What needs it is not computed there at all; with `start_if_known` it is, without a start.
    """
    return None


def _dense(task: Task, model: ModelKind) -> str | None:
    if model.is_dense:
        return None
    return (
        "needs a model of dense layers, such as mlp: no canonical form or path norm is known of "
        f"{model.title}"
    )


def _scalar_product(task: Task, model: ModelKind) -> str | None:
    return None if model.is_scalar_product else "needs the model scalar_factorisation"


def _hidden_layers(task: Task, model: ModelKind) -> str | None:
    if model.is_dense:
        leaves = _network(task, model).layout.leaves
        if sum(not leaf.is_bias for leaf in leaves) > 1:
            return None
    return "needs a chain of dense layers with hidden ones, such as mlp"


def _network(task: Task, model: ModelKind) -> Network:
    return build(model, task.input_shape, task.loss.num_outputs())


def _factorised(task: Task, model: ModelKind) -> Factorisation | None:
    try:
        return factorisation(_network(task, model))
    except ValueError:  # a model that does not fit the task
        return None


def _factorisation(task: Task, model: ModelKind) -> str | None:
    if _factorised(task, model) is not None:
        return None
    return (
        "needs a model of which is known what gradient flow conserves: mlp with activation relu "
        "or linear and no norm, deep_linear, matrix_factorisation, diagonal, scalar_factorisation"
    )


def _short_lifting(task: Task, model: ModelKind) -> str | None:
    known = _factorised(task, model)
    if known is None or known.size <= MAX_LIFTING:
        return None
    return (
        f"needs at most {MAX_LIFTING:,} coordinates of phi, and here are {known.size:,}: give it "
        "`projections`"
    )


def _short_theta(task: Task, model: ModelKind) -> str | None:
    known = _factorised(task, model)
    if known is None:
        return None
    size, num_params = known.size, known.network.layout.num_params
    if size <= MAX_PARAMS and num_params <= MAX_PARAMS:
        return None
    return (
        f"needs at most {MAX_PARAMS} parameters and coordinates of phi, and here are "
        f"{num_params:,} and {size:,}"
    )


NEEDS: dict[str, Callable[[Task, ModelKind], str | None]] = {
    "labels": _labels,
    "functions": _functions,
    "binary": _binary,
    "logits": _logits,
    "ood": _ood,
    "boolean_inputs": _boolean_inputs,
    "test": _test,
    "two_inputs": _two_inputs,
    "three_inputs": _three_inputs,
    "one_or_two_numbers": _one_or_two_numbers,
    "start": _start,
    "start_if_known": _start,
    "dense": _dense,
    "hidden_layers": _hidden_layers,
    "factorisation": _factorisation,
    "short_lifting": _short_lifting,
    "short_theta": _short_theta,
    "scalar_factorisation": _scalar_product,
}
"""Every need, with what says why a task or a model does not meet it; None where it does."""
