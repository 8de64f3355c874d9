"""Functions on a grid of inputs, for tasks whose inputs are one or two numbers."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from sweep_engine.errors import FieldError
from sweep_engine.spec.task_kind import Probe
from sweep_engine.tasks.label_rule import LabelRule, levels
from sweep_engine.tasks.losses import Loss
from sweep_engine.tasks.task import Task


def probed(task: Task, probe: Probe) -> Task:
    """Identify functions on a grid of inputs, neither trained nor tested on.

    The grid fills the box around the training inputs, times `extent`; points are in the order of
    the first number, then the second.

    Raises:
        FieldError: the task's inputs span no such box, or `levels` do not suit its targets.
    """
    grid = _grid(task.train.x, probe)
    known = len(task.inputs)
    return replace(
        task,
        extra_inputs=grid,
        probe_inputs=np.arange(known, known + len(grid)),
        finite=False,
        levels=_levels(task.loss, task.train.y, probe),
    )


def _grid(x: Float[np.ndarray, "N ..."], probe: Probe) -> Float[np.ndarray, "F D"]:
    if x.ndim != 2 or x.shape[1] > 2:
        raise FieldError(("probe",), f"inputs of shape {x.shape[1:]}: it needs one or two numbers")
    low, high = x.min(axis=0).astype(float), x.max(axis=0).astype(float)
    if np.any(low == high):
        raise FieldError(("probe",), "the training inputs do not vary: there is no box around them")
    centre, reach = (low + high) / 2, probe.extent * (high - low) / 2
    sides = [np.linspace(c - r, c + r, probe.points) for c, r in zip(centre, reach, strict=True)]
    points = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, x.shape[1])
    return points.astype(np.float32)


def _levels(loss: Loss, targets: np.ndarray, probe: Probe) -> LabelRule | None:
    """Cut the range of the training targets into levels, for a task without labels."""
    if loss.num_labels is not None:
        if probe.levels is not None:
            raise FieldError(("probe", "levels"), "this task has labels: leave it out")
        return None
    if loss.target_size > 1:
        raise FieldError(("probe",), "outputs are rows of numbers, which have no levels")
    if probe.levels is None:
        raise FieldError(("probe", "levels"), "outputs are real numbers: say how many levels")
    if targets.min() == targets.max():
        raise FieldError(("probe", "levels"), "the training targets do not vary: give no probe")
    return levels(float(targets.min()), float(targets.max()), probe.levels)
