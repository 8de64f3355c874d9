"""Data sets: scikit-learn's digits, and the user's own .npz or Parquet files."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sweep_engine.keys import data_rng
from sweep_engine.spec.tasks import Digits, FileTask
from sweep_engine.tasks.losses import LOGISTIC, SQUARED, Loss, cross_entropy
from sweep_engine.tasks.task import Task, check_arrays, make_task


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
    loss = LOGISTIC if len(spec.classes) == 2 else cross_entropy(len(spec.classes))
    return _shuffled(x, y, spec.train, loss, seed)


def load_file(spec: FileTask, seed: int, folder: Path) -> Task:
    """Make the task from a .npz or Parquet file.

    Raises:
        ValueError: the file is not the one whose hash the sweep holds, lacks a column, or
            its contents do not fit the loss.
    """
    path = folder / spec.path
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if digest != spec.sha256:
        raise ValueError(f"{path} has changed since the sweep was planned")
    try:
        x, y = (_read_npz if path.suffix == ".npz" else _read_parquet)(path, spec)
    except (OSError, EOFError, TypeError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    check_arrays(x, y)
    return _shuffled(x, y, spec.train, _loss(spec, y), seed)


def _loss(spec: FileTask, y: np.ndarray) -> Loss:
    if spec.loss == "cross_entropy":
        return cross_entropy(max(3, int(y.max()) + 1))
    return LOGISTIC if spec.loss == "logistic" else SQUARED


def _shuffled(x: np.ndarray, y: np.ndarray, train: int, loss: Loss, seed: int) -> Task:
    if train > len(x):
        raise ValueError(f"train: asks for {train} examples of {len(x)}")
    order = data_rng(seed, "shuffle").permutation(len(x))
    first, rest = order[:train], order[train:]
    return make_task((x[first], y[first]), (x[rest], y[rest]) if len(rest) else None, loss)


def _read_npz(path: Path, spec: FileTask) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(spec.x, str):
        raise ValueError("x: name one array of a .npz file")
    zipfile.ZipFile(path).close()  # np.load takes other files too, and leaves a broken one open
    with np.load(path, allow_pickle=False) as arrays:
        missing = {spec.x, spec.y} - set(arrays)
        if missing:
            raise ValueError(f"{path.name} has no array {sorted(missing)}, only {sorted(arrays)}")
        return arrays[spec.x], arrays[spec.y]


def _read_parquet(path: Path, spec: FileTask) -> tuple[np.ndarray, np.ndarray]:
    table = pq.read_table(path, page_checksum_verification=True)
    names = [spec.x] if isinstance(spec.x, str) else list(spec.x)
    missing = {*names, spec.y} - set(table.column_names)
    if missing:
        raise ValueError(f"{path.name} has no column {sorted(missing)}")
    if len(names) == 1 and table[names[0]].type.num_fields:
        x = np.stack(table[names[0]].to_numpy())
    else:
        x = np.stack([table[name].to_numpy() for name in names], axis=1)
    return x, table[spec.y].to_numpy()
