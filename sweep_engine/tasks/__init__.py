"""Tasks: data and loss, from (seed, specification), the same for every run."""

from pathlib import Path

from sweep_engine.spec.custom import Custom
from sweep_engine.spec.tasks import (
    Boolean,
    Digits,
    Factorisation,
    FileTask,
    Planar,
    Regression,
    TaskSpec,
)
from sweep_engine.tasks.boolean import load_boolean
from sweep_engine.tasks.drawn import load_factorisation, load_planar, load_regression
from sweep_engine.tasks.files import load_digits, load_file
from sweep_engine.tasks.losses import LOGISTIC, SQUARED, SQUARED_LABELS, Loss, cross_entropy
from sweep_engine.tasks.poison import poisoned
from sweep_engine.tasks.task import Examples, Task, make_task

__all__ = [
    "LOGISTIC",
    "SQUARED",
    "SQUARED_LABELS",
    "Examples",
    "Loss",
    "Task",
    "cross_entropy",
    "load_task",
    "make_task",
]


def load_task(spec: TaskSpec, seed: int, folder: Path) -> Task:
    """Load a task's data.

    Args:
        spec: The task.
        seed: The sweep's seed, from which splits and drawn data come if the task has none.
        folder: Where a data file's path starts.

    Raises:
        ValueError: the data cannot be had or do not fit the task.
    """
    own = getattr(spec, "seed", None)
    seed = seed if own is None else own
    task = _load_clean(spec, seed, folder)
    poison = getattr(spec, "poison", None)
    return task if poison is None else poisoned(task, poison, seed)


def _load_clean(spec: TaskSpec, seed: int, folder: Path) -> Task:
    match spec:
        case Boolean():
            return load_boolean(spec, seed)
        case Regression():
            return load_regression(spec, seed)
        case Factorisation():
            return load_factorisation(spec, seed)
        case Planar():
            return load_planar(spec, seed)
        case Digits():
            return load_digits(spec, seed)
        case FileTask():
            return load_file(spec, seed, folder)
        case Custom():
            task = spec.value.load(seed)
            if not isinstance(task, Task):
                raise ValueError(f"{spec.target}.load(seed) must return a Task (see make_task)")
            return task
