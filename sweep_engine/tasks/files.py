"""Data sets: scikit-learn's digits, and the user's own .npz or Parquet files."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from sweep_engine.data_files import Columns, sha256
from sweep_engine.errors import FieldError
from sweep_engine.keys import data_rng
from sweep_engine.spec.task_kind import DataFile, Split
from sweep_engine.spec.tasks import Digits, FileTask
from sweep_engine.tasks.losses import SQUARED, Loss, label_loss
from sweep_engine.tasks.preparation import prepared
from sweep_engine.tasks.task import Task, make_task


def load_digits(spec: Digits, seed: int) -> Task:
    """Make the task from scikit-learn's digits, shuffled by the seed, pixels in [0, 1].

    Labels are positions in `classes`, in their order; two classes make a binary task with
    one output.

    Raises:
        ValueError: `train` is larger than the data.
    """
    table = np.loadtxt(_digits_file(), delimiter=",")
    pixels, digits = table[:, :-1], table[:, -1].astype(int)
    chosen = np.isin(digits, spec.classes)
    x = in_rows(prepared(pixels[chosen].reshape(-1, 8, 8) / 16, spec.steps))
    y = positions_of(digits[chosen], spec.classes)
    loss = label_loss(spec.loss, len(spec.classes), spec.label_smoothing)
    return split(spec, x, y, loss, seed)


def _digits_file() -> Path:
    """Find scikit-learn's file: to import scikit-learn takes more than a second."""
    found = find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise ValueError("scikit-learn, whose digits these are, is not installed")
    return Path(found.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")


def load_file(spec: FileTask, seed: int, folder: Path) -> Task:
    """Make the task from a .npz or Parquet file.

    Raises:
        FieldError: the file is not the one whose hash the sweep holds, lacks a column, or
            its contents do not fit the loss.
    """
    for file in spec.data_files:
        _check_unchanged(folder / file.path, file)
    data = spec.read(folder / spec.path)
    labels = None if spec.loss == "squared" else spec.labels_in(data)
    loss = label_loss(spec.loss, len(labels), spec.label_smoothing) if labels else SQUARED
    task = split(spec, prepared(data.x, spec.steps), _targets(data, labels), loss, seed)
    test = spec.read_test(folder)
    if test is not None:
        task = _tested_on(task, spec, test, labels)
    return replace(task, labels=labels)


def _check_unchanged(path: Path, file: DataFile) -> None:
    try:
        digest = sha256(path)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise FieldError((*file.place, "path"), message) from error
    if digest != file.sha256:
        message = f"{path} has changed since the sweep was planned"
        raise FieldError((*file.place, "path"), message)


def _targets(data: Columns, labels: tuple[int, ...] | None) -> np.ndarray:
    return data.y if labels is None else positions_of(data.y, labels)


def _tested_on(task: Task, spec: FileTask, data: Columns, labels: tuple[int, ...] | None) -> Task:
    """Test on the rows of another file; those that do not train are left out."""
    try:
        test = prepared(data.x, spec.steps), _targets(data, labels)
        return make_task((task.train.x, task.train.y), test, task.loss)
    except ValueError as error:
        raise FieldError(("test_file", "path"), str(error)) from error


def positions_of(y: np.ndarray, labels: tuple[int, ...]) -> np.ndarray:
    """Number the classes by their place in `labels`.

    Raises:
        ValueError: there is another label.
    """
    if other := sorted(set(np.unique(y).tolist()) - set(labels)):
        raise ValueError(f"the label {other[0]:g} is none of the task's: {labels}")
    return np.argsort(labels)[np.searchsorted(np.sort(labels), y)]


def in_rows(x: np.ndarray) -> np.ndarray:
    """Lay the numbers of every input out in a row."""
    return x.reshape(len(x), -1)


def split(spec: Split, x: np.ndarray, y: np.ndarray, loss: Loss, seed: int) -> Task:
    """Split examples by a seeded shuffle: the first ones train, the next ones are the test set.

    Raises:
        FieldError: there are not so many examples.
    """
    train = spec.train
    order = data_rng(seed, "shuffle").permutation(len(x))
    if train > len(x):
        raise FieldError(("train",), f"asks for {train:,} examples of {len(x):,}")
    trains = np.arange(len(x)) < train
    if spec.stratified:
        trains = _quotas_filled(y[order], train)
    first, rest = order[trains], order[~trains]
    if spec.test is not None:
        if spec.test > len(rest):
            raise FieldError(
                ("test",), f"asks for {spec.test:,} examples of the other {len(rest):,}"
            )
        rest = rest[: spec.test]
    return make_task((x[first], y[first]), (x[rest], y[rest]) if len(rest) else None, loss)


def _quotas_filled(y: Int[np.ndarray, " N"], count: int) -> Bool[np.ndarray, " N"]:
    """Choose the first examples of every class, of each its share of the count.

    Shares that are no whole numbers are rounded down; those that lose most are given the rest.
    """
    classes, sizes = np.unique(y, return_counts=True)
    shares = sizes * count / len(y)
    quotas = np.floor(shares).astype(int)
    quotas[np.argsort(quotas - shares, kind="stable")[: count - quotas.sum()]] += 1
    chosen = np.zeros(len(y), bool)
    for label, quota in zip(classes, quotas, strict=True):
        chosen[np.flatnonzero(y == label)[:quota]] = True
    return chosen
