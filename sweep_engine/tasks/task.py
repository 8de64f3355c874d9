"""Task: data, loss, and the inputs on which a function is identified."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from sweep_engine.float32 import check_columns
from sweep_engine.tasks.label_rule import LabelRule
from sweep_engine.tasks.losses import Loss, target_dtype


@dataclass(frozen=True)
class Examples:
    """Inputs and targets.

    Attributes:
        x: Shape (N, ...).
        y: Labels as integers or real targets, shape (N,); (N, C) where targets are rows.
    """

    x: Float[np.ndarray, "N ..."]
    y: Shaped[np.ndarray, "N ..."]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Task:
    """What networks are trained on and tested on.

    Attributes:
        train: The training set.
        test: The test set; None when there is none.
        loss: The loss.
        probe_inputs: Which inputs identify a function, in order: positions in `inputs`.
        finite: Whether these are the whole input set, so that a function's outputs on
            them are the function.
        labels: What the classes are called in a data file, in their order; None where they are
            called by their numbers.
        ood: A second set that networks are tested on, out of the distribution of the first; None
            when there is none.
        extra_inputs: Inputs that are neither trained nor tested on, after the others.
        levels: How real outputs are cut into levels; None where they are not, or are classes.
    """

    train: Examples
    test: Examples | None
    loss: Loss
    probe_inputs: Int[np.ndarray, " F"]
    finite: bool = False
    labels: tuple[int, ...] | None = None
    ood: Examples | None = None
    extra_inputs: Float[np.ndarray, "E ..."] | None = None
    levels: LabelRule | None = None

    @property
    def inputs(self) -> Float[np.ndarray, "N ..."]:
        """Training inputs, then test inputs, then those of neither."""
        parts = [self.train.x, None if self.test is None else self.test.x, self.extra_inputs]
        return np.concatenate([part for part in parts if part is not None])

    @property
    def label_rule(self) -> LabelRule | None:
        """Say how outputs are read as labels of a function; None where they are real numbers."""
        if self.loss.labels is None or self.loss.num_labels is None:
            return self.levels
        return LabelRule(self.loss.num_labels, self.loss.labels)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.train.x.shape[1:])

    @property
    def majority_error(self) -> float | None:
        """Test error of always answering the training set's commonest label."""
        if self.test is None or self.loss.num_labels is None:
            return None
        label = np.bincount(self.train.y).argmax()
        return float(np.mean(self.test.y != label))


def make_task(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray] | None,
    loss: Loss,
    *,
    probe_inputs: np.ndarray | None = None,
    finite: bool = False,
    ood: tuple[np.ndarray, np.ndarray] | None = None,
) -> Task:
    """Make a task from arrays, checking them.

    `probe_inputs` is the test inputs, or the training inputs without a test set, when left out.

    Raises:
        ValueError: shapes disagree, a number is not finite, or a label is out of range.
    """
    sets = [_examples(*part, loss) for part in (train, test) if part is not None]
    second = None if ood is None else _examples(*ood, loss)
    if len({part.x.shape[1:] for part in (*sets, *([second] if second else []))}) > 1:
        raise ValueError("training and test inputs have different shapes")
    if probe_inputs is None:
        probe_inputs = np.arange(sum(len(part) for part in sets[:-1]), sum(map(len, sets)))
    return Task(
        sets[0], sets[1] if test is not None else None, loss, probe_inputs, finite, ood=second
    )


def check_arrays(x: np.ndarray, y: np.ndarray, target_size: int = 1) -> None:
    """Raise ValueError unless x and y are finite real numbers for N > 0 examples.

    Args:
        x: Inputs.
        y: Targets.
        target_size: How many numbers a target is.
    """
    target_shape = () if target_size == 1 else (target_size,)
    if x.ndim < 2 or y.shape != (len(x), *target_shape) or len(x) == 0:
        of_y = "(N,)" if target_size == 1 else f"(N, {target_size})"
        raise ValueError(f"expected x of shape (N, ...) and y of {of_y}, got {x.shape}, {y.shape}")
    if x.dtype.kind not in "biuf" or y.dtype.kind not in "biuf":
        raise ValueError(f"x and y must be real numbers, got {x.dtype} and {y.dtype}")
    if not np.all(np.isfinite(x)) or not np.all(np.isfinite(y)):
        raise ValueError("x and y must be finite: there is an inf or a NaN in the data")
    check_columns(x)


def _examples(x: np.ndarray, y: np.ndarray, loss: Loss) -> Examples:
    x, y = np.asarray(x), np.asarray(y)
    check_arrays(x, y, loss.target_size)
    if loss.num_labels is None:
        check_columns(y)
    if loss.num_labels is not None and (
        np.any(y != np.round(y)) or y.min() < 0 or y.max() >= loss.num_labels
    ):
        raise ValueError(f"labels must be integers from 0 to {loss.num_labels - 1}")
    return Examples(x.astype(np.float32), y.astype(target_dtype(loss)))
