"""Needs: what an observable needs of task, model or source, each with its own answer."""

from collections.abc import Callable

from sweep_engine.spec.models import ModelKind
from sweep_engine.tasks import Task


def _labels(task: Task, model: ModelKind) -> str | None:
    return "needs a task with labels" if task.loss.labels is None else None


def _binary(task: Task, model: ModelKind) -> str | None:
    return "needs a task with two labels" if task.loss.num_labels != 2 else None


def _logits(task: Task, model: ModelKind) -> str | None:
    has_logits = task.loss.has_logits
    return None if has_logits else "needs outputs that say probabilities: logistic, cross_entropy"


def _ood(task: Task, model: ModelKind) -> str | None:
    return "needs a second set: give the task `ood`" if task.ood is None else None


def _test(task: Task, model: ModelKind) -> str | None:
    return "needs a test set" if task.test is None else None


def _start(task: Task, model: ModelKind) -> str | None:
    """Refuse nothing: of a network that started nowhere the columns are null."""
    return None


def _dense(task: Task, model: ModelKind) -> str | None:
    return None if model.is_dense else "needs a model of dense layers, such as mlp"


def _scalar_product(task: Task, model: ModelKind) -> str | None:
    return None if model.is_scalar_product else "needs the model scalar_factorisation"


NEEDS: dict[str, Callable[[Task, ModelKind], str | None]] = {
    "labels": _labels,
    "binary": _binary,
    "logits": _logits,
    "ood": _ood,
    "test": _test,
    "start": _start,
    "dense": _dense,
    "scalar_factorisation": _scalar_product,
}
"""Every need, with what says why a task or a model does not meet it; None where it does."""
