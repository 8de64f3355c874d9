"""From the specification of a task to its data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweep_engine.errors import FieldError
from sweep_engine.spec.base import check_complete
from sweep_engine.spec.tasks import (
    Boolean,
    CustomTask,
    Digits,
    Factorisation,
    FileTask,
    MatrixSensing,
    Mnist,
    Mnist1d,
    Modular,
    Planar,
    Regression,
    TaskKind,
    TaskSpec,
    Teacher,
)
from sweep_engine.tasks.boolean import load_boolean
from sweep_engine.tasks.drawn import load_factorisation, load_planar, load_regression
from sweep_engine.tasks.files import load_digits, load_file
from sweep_engine.tasks.matrix_sensing import load_matrix_sensing
from sweep_engine.tasks.mnist import load_mnist, load_mnist1d
from sweep_engine.tasks.modular import load_modular
from sweep_engine.tasks.ood import with_second_set
from sweep_engine.tasks.poison import poisoned, relabelled
from sweep_engine.tasks.probe import probed
from sweep_engine.tasks.task import Task
from sweep_engine.tasks.teacher import load_teacher

Loader = Callable[[Any, int, Path], Task]


def load_task(spec: TaskKind, seed: int, folder: Path) -> Task:
    """Load a task's data.

    Args:
        spec: The task.
        seed: The sweep's seed, from which splits and drawn data come if the task has none.
        folder: Where a data file's path starts.

    Raises:
        FieldError: the data cannot be had or do not fit the task.
    """
    seed = spec.data_seed(seed)
    try:
        task = LOADERS[type(spec)](spec, seed, folder)
        task = task if spec.probe_grid is None else probed(task, spec.probe_grid)
        if spec.relabelled is not None:
            task = relabelled(task, spec.relabelled, seed)
        if spec.wrong_labels is not None:
            task = poisoned(task, spec.wrong_labels, seed)
        return task if spec.second_set is None else with_second_set(task, spec, seed, folder)
    except FieldError:
        raise
    except ValueError as error:
        raise FieldError((), str(error)) from error


def _without_file(load: Callable[[Any, int], Task]) -> Loader:
    return lambda spec, seed, folder: load(spec, seed)


def _load_own(spec: CustomTask, seed: int) -> Task:
    task = spec.value.load(seed)
    if not isinstance(task, Task):
        raise ValueError(f"{spec.target}.load(seed) must return a Task (see make_task)")
    return task


LOADERS: dict[type[TaskKind], Loader] = {
    Boolean: _without_file(load_boolean),
    Regression: _without_file(load_regression),
    Factorisation: lambda spec, seed, folder: load_factorisation(spec),
    MatrixSensing: _without_file(load_matrix_sensing),
    Planar: _without_file(load_planar),
    Digits: _without_file(load_digits),
    Mnist: _without_file(load_mnist),
    Mnist1d: _without_file(load_mnist1d),
    Modular: _without_file(load_modular),
    Teacher: _without_file(load_teacher),
    FileTask: load_file,
    CustomTask: _without_file(_load_own),
}
"""What loads every task, without wrong labels, from its seed and the sweep file's folder."""

check_complete(TaskSpec, LOADERS, "sweep_engine.tasks.load.LOADERS")
