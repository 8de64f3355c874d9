"""Data sets: scikit-learn's digits, and the user's own .npz or Parquet files."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from sweep_engine.data_files import sha256
from sweep_engine.errors import FieldError
from sweep_engine.keys import data_rng
from sweep_engine.spec.tasks import Digits, FileTask
from sweep_engine.tasks.losses import (
    LOGISTIC,
    SQUARED,
    SQUARED_LABELS,
    Loss,
    cross_entropy,
    squared_classes,
)
from sweep_engine.tasks.task import Task, make_task

DIGIT_LOSSES = {
    "cross_entropy": (LOGISTIC, cross_entropy),
    "squared": (SQUARED_LABELS, squared_classes),
}
"""The loss of two classes, and what makes that of more."""


def load_digits(spec: Digits, seed: int) -> Task:
    """Make the task from scikit-learn's digits, shuffled by the seed, pixels in [0, 1].

    Labels are positions in `classes`, in their order; two classes make a binary task with
    one output.

    Raises:
        ValueError: `train` is larger than the data.
    """
    from sklearn.datasets import load_digits as sklearn_digits

    data = sklearn_digits()
    chosen = np.isin(data.target, spec.classes)
    x = data.data[chosen] / 16
    y = np.argmax(data.target[chosen][:, None] == np.array(spec.classes), axis=1)
    two, more = DIGIT_LOSSES[spec.loss]
    loss = two if len(spec.classes) == 2 else more(len(spec.classes))
    return _shuffled(x, y, spec.train, loss, seed)


def load_file(spec: FileTask, seed: int, folder: Path) -> Task:
    """Make the task from a .npz or Parquet file.

    Raises:
        FieldError: the file is not the one whose hash the sweep holds, lacks a column, or
            its contents do not fit the loss.
    """
    path = folder / spec.path
    try:
        digest = sha256(path)
    except OSError as error:
        raise FieldError(("path",), f"{path} cannot be read: {error.strerror}") from error
    if digest != spec.sha256:
        raise FieldError(("path",), f"{path} has changed since the sweep was planned")
    data = spec.read(path)
    if spec.loss == "squared":
        return _shuffled(data.x, data.y, spec.train, SQUARED, seed)
    labels = spec.labels_in(data)
    y = positions_of(data.y, labels)
    loss = LOGISTIC if len(labels) == 2 else cross_entropy(len(labels))
    return replace(_shuffled(data.x, y, spec.train, loss, seed), labels=labels)


def positions_of(y: np.ndarray, labels: tuple[int, ...]) -> np.ndarray:
    """Number the classes by their place in `labels`.

    Raises:
        ValueError: there is another label.
    """
    if other := sorted(set(np.unique(y).tolist()) - set(labels)):
        raise ValueError(f"the label {other[0]:g} is none of the task's: {labels}")
    return np.argsort(labels)[np.searchsorted(np.sort(labels), y)]


def _shuffled(x: np.ndarray, y: np.ndarray, train: int, loss: Loss, seed: int) -> Task:
    if train > len(x):
        raise FieldError(("train",), f"asks for {train:,} examples of {len(x):,}")
    order = data_rng(seed, "shuffle").permutation(len(x))
    first, rest = order[:train], order[train:]
    return make_task((x[first], y[first]), (x[rest], y[rest]) if len(rest) else None, loss)
