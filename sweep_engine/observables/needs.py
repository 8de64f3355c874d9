"""Needs: what an observable needs of task, model or source, each with its own answer."""

from collections.abc import Callable

import numpy as np

from sweep_engine.spec.models import ModelKind
from sweep_engine.tasks import Task, all_inputs


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
    has_logits = task.loss.has_logits
    return None if has_logits else "needs outputs that say probabilities: logistic, cross_entropy"


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
    """Refuse nothing: of a network that started nowhere the columns are null."""
    return None


def _dense(task: Task, model: ModelKind) -> str | None:
    return None if model.is_dense else "needs a model of dense layers, such as mlp"


def _scalar_product(task: Task, model: ModelKind) -> str | None:
    return None if model.is_scalar_product else "needs the model scalar_factorisation"


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
    "dense": _dense,
    "scalar_factorisation": _scalar_product,
}
"""Every need, with what says why a task or a model does not meet it; None where it does."""
