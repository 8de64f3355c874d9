"""Tasks: data and loss, from (seed, specification), the same for every run."""

from sweep_engine.tasks.boolean import all_inputs
from sweep_engine.tasks.label_rule import LabelRule, levels
from sweep_engine.tasks.load import LOADERS, load_task
from sweep_engine.tasks.losses import (
    LOGISTIC,
    SQUARED,
    SQUARED_LABELS,
    Loss,
    cross_entropy,
    label_loss,
    squared,
)
from sweep_engine.tasks.task import Examples, Task, make_task

__all__ = [
    "LOADERS",
    "LOGISTIC",
    "SQUARED",
    "SQUARED_LABELS",
    "Examples",
    "LabelRule",
    "Loss",
    "Task",
    "all_inputs",
    "cross_entropy",
    "label_loss",
    "levels",
    "load_task",
    "make_task",
    "squared",
]
