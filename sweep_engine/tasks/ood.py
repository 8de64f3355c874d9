"""The second set of a task: its test set corrupted, or other columns of its file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sweep_engine.data_files import read_columns
from sweep_engine.errors import FieldError
from sweep_engine.keys import data_rng
from sweep_engine.spec.base import Spec, check_complete
from sweep_engine.spec.ood import Mask, Noise, OodSpec, OtherColumns, Shuffle
from sweep_engine.spec.tasks import FileTask, TaskKind
from sweep_engine.tasks.files import positions_of
from sweep_engine.tasks.preparation import prepared
from sweep_engine.tasks.task import Examples, Task, make_task

Inputs = Float[np.ndarray, "N ..."]
Maker = Callable[[Task, TaskKind, int, Path], Examples]


def with_second_set(task: Task, spec: TaskKind, seed: int, folder: Path) -> Task:
    """Add the second set that a task names, drawn from its seed.

    Raises:
        FieldError: there is no test set to corrupt, or the columns cannot be used.
    """
    named = spec.second_set
    assert named is not None
    try:
        return replace(task, ood=MAKERS[type(named)](task, spec, seed, folder))
    except FieldError as error:
        raise FieldError(("ood", *error.field), str(error)) from error
    except ValueError as error:
        raise FieldError(("ood",), str(error)) from error


def _corrupted(corrupt: Callable[[Any, Inputs, np.random.Generator], Inputs]) -> Maker:
    """Make what corrupts the test inputs; their labels stay."""

    def make(task: Task, spec: TaskKind, seed: int, folder: Path) -> Examples:
        if task.test is None:
            raise ValueError("there is no test set to corrupt")
        x = corrupt(spec.second_set, task.test.x, data_rng(seed, "ood"))
        return Examples(x.astype(np.float32), task.test.y)

    return make


def _noisy(spec: Noise, x: Inputs, rng: np.random.Generator) -> Inputs:
    return x + spec.std * rng.standard_normal(x.shape)


def _masked(spec: Mask, x: Inputs, rng: np.random.Generator) -> Inputs:
    return np.where(rng.random(x.shape) < spec.share, 0.0, x)


def _shuffled(spec: Shuffle, x: Inputs, rng: np.random.Generator) -> Inputs:
    flat = x.reshape(len(x), -1)
    return flat[:, rng.permutation(flat.shape[1])].reshape(x.shape)


def _other_columns(task: Task, spec: TaskKind, seed: int, folder: Path) -> Examples:
    assert isinstance(spec, FileTask)
    assert isinstance(spec.ood, OtherColumns)
    data = read_columns(folder / spec.path, spec.ood.x, spec.ood.y)
    y = data.y if task.labels is None else positions_of(data.y, task.labels)
    pair = (task.train.x, task.train.y)
    second = make_task(pair, None, task.loss, ood=(prepared(data.x, spec.steps), y)).ood
    assert second is not None
    return second


MAKERS: dict[type[Spec], Maker] = {
    Noise: _corrupted(_noisy),
    Mask: _corrupted(_masked),
    Shuffle: _corrupted(_shuffled),
    OtherColumns: _other_columns,
}
"""What makes every second set, from (task, its specification, seed, folder)."""

check_complete(OodSpec, MAKERS, "sweep_engine.tasks.ood.MAKERS")
