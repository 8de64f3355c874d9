"""Bases of tasks: of all, and of those with a seed, labels, or a grid of inputs."""

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple, Self

from pydantic import Field, model_validator

from sweep_engine.data_files import NUMBERS_MAX
from sweep_engine.spec.base import (
    Count,
    Flag,
    Growing,
    Index,
    Positive,
    Real,
    Share,
    Spec,
)
from sweep_engine.spec.ood import OodSpec, OtherColumns
from sweep_engine.spec.preparation import StepSpec

Rows = tuple[tuple[Real, ...], ...]
WholeNumber = Annotated[int, Field(strict=True)]


class Poison(Spec):
    """Inputs of the test set with wrong labels, added to the training set."""

    examples: Count = Field(description="how many")


class Probe(Spec):
    """A grid of inputs on which functions are identified, instead of the test inputs.

    For inputs of one or two numbers: the box around the training inputs. With it, planar and
    regression tasks have functions to count, to describe and to compare.
    """

    points: Annotated[int, Field(strict=True, ge=2, le=255)] = Field(
        default=16, description="a side, equally spaced"
    )
    extent: Positive = Field(
        default=1.0, description="1: as far as the training inputs go; more: beyond; less: inside"
    )
    levels: Annotated[int, Field(strict=True, ge=2, le=256)] | None = Field(
        default=None,
        description="of a task without labels: into how many levels of equal width, from the "
        "least to the largest training target, outputs are cut; the outer two are open",
    )


class DataFile(NamedTuple):
    """A file that holds a task's data.

    Attributes:
        path: From the sweep file's folder.
        sha256: Its hash; None until the file has been read.
        place: Of the fields `path` and `sha256` that name it, from the task.
    """

    path: str
    sha256: str | None
    place: tuple[str, ...] = ()


class TaskKind(Growing):
    """Base of all tasks: what others must know of one, without a default."""

    @property
    @abstractmethod
    def data_files(self) -> tuple[DataFile, ...]:
        """The files that hold the data, that of the training set first; none where none does."""

    @property
    @abstractmethod
    def is_random_sample(self) -> bool:
        """Say whether the training set is a random sample with the right labels.

        The law that it is drawn from must be that of the test set.
        """

    @property
    @abstractmethod
    def only_target(self) -> float | None:
        """Say what f(1) is to be where that is the only example; None elsewhere."""

    @property
    @abstractmethod
    def wrong_labels(self) -> Poison | None:
        """The wrongly labelled examples that are added to the training set, if any."""

    @property
    @abstractmethod
    def relabelled(self) -> float | None:
        """The share of the training examples that are given another label, if any."""

    @property
    @abstractmethod
    def second_set(self) -> OodSpec | None:
        """Say what makes the second set of inputs that networks are tested on, if there is one."""

    @property
    @abstractmethod
    def probe_grid(self) -> Probe | None:
        """The grid of inputs that identifies functions, if one is given."""

    @abstractmethod
    def data_seed(self, sweep_seed: int) -> int:
        """The seed that what is drawn of the data comes from."""

    def filled_in(self, folder: Path) -> Self:
        """Fill in what only the data files say.

        Args:
            folder: Where they are.

        Raises:
            FieldError: a file cannot be used.
        """
        # Asked only of kinds that name `data_files`; those that do say what they fill in.
        raise TypeError(f"{folder}: {type(self).__name__} has no data files")


class Drawn(TaskKind):
    """Base of tasks with a seed for what is drawn: the split, the examples, the wrong labels."""

    only_target: ClassVar[None] = None
    later_keys: ClassVar[tuple[str, ...]] = ("ood",)

    seed: Index | None = Field(
        default=None,
        description="of what is drawn of the data; left out, the sweep's. Swept, it gives other "
        "data sets, over which a comparison can average (`over: task.seed`)",
    )
    ood: OodSpec | None = Field(
        default=None,
        description="a second set, out of distribution, that networks are tested on as well: a "
        "corruption of the test set, or other columns of the file",
    )

    @model_validator(mode="after")
    def _has_other_columns(self) -> Self:
        if isinstance(self.ood, OtherColumns) and not self.data_files:
            raise ValueError("ood: columns are those of a file, and this task has none")
        return self

    @property
    def second_set(self) -> OodSpec | None:
        return self.ood

    def data_seed(self, sweep_seed: int) -> int:
        return sweep_seed if self.seed is None else self.seed


class Probed(Drawn):
    """Base of tasks whose functions may be identified on a grid of inputs."""

    later_keys: ClassVar[tuple[str, ...]] = ("ood", "probe")

    probe: Probe | None = Field(
        default=None,
        description="identify functions on a grid of inputs, and not on the test inputs",
    )

    @property
    def probe_grid(self) -> Probe | None:
        return self.probe


class Labelled(Drawn):
    """Base of tasks whose targets are labels."""

    later_keys: ClassVar[tuple[str, ...]] = ("ood", "label_noise", "label_smoothing")

    poison: Poison | None = Field(
        default=None, description="wrongly labelled test inputs that are added to the training set"
    )
    label_noise: Share | None = Field(
        default=None,
        description="share of the training examples that are given another label, each other one "
        "equally likely",
    )
    label_smoothing: Share | None = Field(
        default=None,
        description="share of the loss that is its mean over all labels, the right one among them",
    )

    @property
    def wrong_labels(self) -> Poison | None:
        return self.poison

    @property
    def relabelled(self) -> float | None:
        return self.label_noise

    @property
    def has_right_labels(self) -> bool:
        """Say whether all training examples have their own label."""
        return self.poison is None and self.label_noise is None


class Split(Labelled):
    """Base of tasks whose examples are there, and are split into a training and a test set."""

    later_keys: ClassVar[tuple[str, ...]] = (*Labelled.later_keys, "stratified", "test", "steps")

    train: Count
    test: Count | None = Field(
        default=None,
        description="how many of the other examples are the test set; left out, all of them",
    )
    steps: tuple[StepSpec, ...] | None = Field(
        default=None, description="what is done to the inputs first, in this order"
    )
    stratified: Flag | None = Field(
        default=None,
        description="true: of every class the share of the examples trains that trains of all, to "
        "within one example",
    )

    @property
    def is_random_sample(self) -> bool:
        return self.has_right_labels and not self.stratified


def check_drawn(examples: int, test_examples: int, inputs: int) -> None:
    """Raise ValueError where more numbers are to be drawn than are held in memory."""
    if (count := (examples + test_examples) * inputs) > NUMBERS_MAX:
        raise ValueError(
            f"examples: {examples:,} and test_examples: {test_examples:,} are {count:,} numbers; "
            f"a task is held in memory, at most {NUMBERS_MAX:,}"
        )


def check_rows(x: Rows, count: int, name: str) -> None:
    """Raise ValueError unless x is `count` rows of one non-zero length."""
    if not x or len(x) != count or len({len(row) for row in x}) != 1 or not x[0]:
        raise ValueError(f"{name}: give as many rows as values, all of one length, at least one")


def check_targets(y: tuple[float, ...] | Rows, name: str) -> None:
    """Raise ValueError unless targets are numbers, or rows of one length of two or more."""
    lengths = {len(row) if isinstance(row, tuple) else 1 for row in y}
    if len(lengths) > 1 or (isinstance(y[0], tuple) and len(y[0]) < 2):
        raise ValueError(f"{name}: give numbers, or rows of two numbers or more, all of one length")
