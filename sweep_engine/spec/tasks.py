"""Tasks: the data, the loss, and the inputs on which a function is identified."""

from abc import abstractmethod
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sweep_engine.spec.base import Count, Index, NonNegative, Real, Spec
from sweep_engine.spec.custom import Custom

Rows = tuple[tuple[Real, ...], ...]


class Poison(Spec):
    """Inputs of the test set with wrong labels, added to the training set."""

    examples: Count = Field(description="how many")


class DataFile(NamedTuple):
    """A file that holds a task's data.

    Attributes:
        path: From the sweep file's folder.
        sha256: Its hash; None until the file has been read.
    """

    path: str
    sha256: str | None


class TaskKind(Spec):
    """Base of all tasks: what others must know of one, without a default."""

    @property
    @abstractmethod
    def data_file(self) -> DataFile | None:
        """The file that holds the data, if one does; its hash stands in a field `sha256`."""

    @property
    @abstractmethod
    def is_random_sample(self) -> bool:
        """Whether the training set is a random sample with the right labels.

        The law that it is drawn from must be that of the test set.
        """

    @property
    @abstractmethod
    def only_target(self) -> float | None:
        """What f(1) is to be where that is the only example; None elsewhere."""

    @property
    @abstractmethod
    def wrong_labels(self) -> Poison | None:
        """The wrongly labelled examples that are added to the training set, if any."""

    @abstractmethod
    def data_seed(self, sweep_seed: int) -> int:
        """The seed that what is drawn of the data comes from."""


class Drawn(TaskKind):
    """Base of tasks with a seed for what is drawn: the split, the examples, the wrong labels."""

    only_target: ClassVar[None] = None

    seed: Index | None = Field(
        default=None,
        description="of what is drawn of the data; left out, the sweep's. Swept, it gives other "
        "data sets, over which a comparison can average (`over: task.seed`)",
    )

    def data_seed(self, sweep_seed: int) -> int:
        return sweep_seed if self.seed is None else self.seed


class Boolean(Drawn):
    """A Boolean function of `bits` inputs, of which some train and the rest test.

    Input i is the binary expansion of i, most significant bit first.
    """

    data_file: ClassVar[None] = None

    kind: Literal["boolean"] = "boolean"
    bits: Annotated[int, Field(strict=True, ge=1, le=16)] = 7
    target: str = Field(
        default="x1",
        description="parity, majority, random(SEED), an expression such as x1 | (x2 & x3), "
        "or the truth table as 2^bits characters of 0 and 1",
    )
    train: Count | tuple[Index, ...] = Field(
        default=16, description="how many inputs train (drawn from the seed), or which ones"
    )
    inputs: Literal["zero_one", "plus_minus"] = "zero_one"
    loss: Literal["logistic", "squared"] = "logistic"
    poison: Poison | None = None

    @model_validator(mode="after")
    def _train_inputs_exist(self) -> Self:
        size = 2**self.bits
        chosen = (self.train,) if isinstance(self.train, int) else self.train
        limit = size if isinstance(self.train, int) else size - 1
        if not chosen or max(chosen) > limit or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"train: {self.bits} bits have {size} inputs, 0 to {size - 1}; "
                "give a count, or a list of different inputs"
            )
        return self

    @property
    def is_random_sample(self) -> bool:
        return isinstance(self.train, int) and self.poison is None

    @property
    def wrong_labels(self) -> Poison | None:
        return self.poison


class Regression(Drawn):
    """Given x and y, or drawn: x ~ N(0, I), y = x . w / sqrt(inputs) + noise, w ~ N(0, I)."""

    data_file: ClassVar[None] = None
    wrong_labels: ClassVar[None] = None

    kind: Literal["regression"] = "regression"
    x: Rows | None = None
    y: tuple[Real, ...] | None = None
    test_x: Rows | None = None
    test_y: tuple[Real, ...] | None = None
    examples: Count | None = None
    test_examples: Index = 0
    inputs: Count | None = None
    noise: NonNegative = 0.0
    loss: Literal["squared"] = "squared"

    @model_validator(mode="after")
    def _given_or_drawn(self) -> Self:
        given = self.x is not None and self.y is not None
        drawn = self.examples is not None and self.inputs is not None
        if given == drawn:
            raise ValueError("give x and y, or examples and inputs to draw them")
        if (self.test_x is None) != (self.test_y is None):
            raise ValueError("give test_x and test_y together")
        for x, y, name in ((self.x, self.y, "x"), (self.test_x, self.test_y, "test_x")):
            if x is not None and y is not None:
                check_rows(x, len(y), name)
        return self

    @property
    def is_random_sample(self) -> bool:
        return self.x is None


class Factorisation(TaskKind):
    """f = a b is to equal `target`: one example, x = 1."""

    data_file: ClassVar[None] = None
    is_random_sample: ClassVar[bool] = False
    wrong_labels: ClassVar[None] = None

    kind: Literal["factorisation"] = "factorisation"
    target: Real = 1.0
    loss: Literal["squared"] = "squared"

    @property
    def only_target(self) -> float:
        return self.target

    def data_seed(self, sweep_seed: int) -> int:
        return sweep_seed


class Planar(Drawn):
    """Two classes in the plane: a named set drawn from the seed, or given points.

    `two_slab`: x1 separates the classes linearly; x2 separates them by slabs (one class in
    the middle, the other on both sides). `kink`: the boundary is x2 = |x1| - 1/2.
    """

    data_file: ClassVar[None] = None

    kind: Literal["planar"] = "planar"
    set: Literal["two_slab", "kink"] | None = None
    examples: Count = 64
    test_examples: Count = 256
    margin: NonNegative = 0.1
    points: Rows | None = None
    labels: tuple[Annotated[int, Field(strict=True, ge=0, le=1)], ...] | None = None
    loss: Literal["logistic", "squared"] = "logistic"
    poison: Poison | None = None

    @model_validator(mode="after")
    def _given_or_named(self) -> Self:
        given = self.points is not None and self.labels is not None
        if given == (self.set is not None):
            raise ValueError("give a set (two_slab, kink), or points and labels")
        if self.points is not None and self.labels is not None:
            check_rows(self.points, len(self.labels), "points")
            if len(self.points[0]) != 2:
                raise ValueError("points: each has two coordinates")
        return self

    @property
    def is_random_sample(self) -> bool:
        return self.set is not None and self.poison is None

    @property
    def wrong_labels(self) -> Poison | None:
        return self.poison


class Digits(Drawn):
    """scikit-learn's 1,797 digits, 8 x 8 pixels scaled to [0, 1]; the rest is the test set."""

    data_file: ClassVar[None] = None

    kind: Literal["digits"] = "digits"
    classes: tuple[Annotated[int, Field(strict=True, ge=0, le=9)], ...] = tuple(range(10))
    train: Count = 1437
    loss: Literal["cross_entropy"] = "cross_entropy"
    poison: Poison | None = None

    @field_validator("classes")
    @classmethod
    def _at_least_two(cls, classes: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(classes)) < max(2, len(classes)):
            raise ValueError("give two or more different digits")
        return classes

    @property
    def is_random_sample(self) -> bool:
        return self.poison is None

    @property
    def wrong_labels(self) -> Poison | None:
        return self.poison


class FileTask(Drawn):
    """x and y from a .npz or Parquet file beside the sweep file."""

    kind: Literal["file"] = "file"
    path: str
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="checked; filled in when left out"
    )
    x: tuple[str, ...] | str = "x"
    y: str = "y"
    train: Count = Field(description="the first so many rows of a seeded shuffle train")
    loss: Literal["logistic", "cross_entropy", "squared"] = "cross_entropy"
    poison: Poison | None = None

    @field_validator("path")
    @classmethod
    def _below_the_sweep_file(cls, path: str) -> str:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or not path.endswith((".npz", ".parquet")):
            raise ValueError(
                "give a .npz or .parquet file in the sweep file's folder or below it, "
                "without '..' (from Python, pass a task object for data elsewhere)"
            )
        return path

    @property
    def data_file(self) -> DataFile:
        return DataFile(self.path, self.sha256)

    @property
    def is_random_sample(self) -> bool:
        return self.poison is None

    @property
    def wrong_labels(self) -> Poison | None:
        return self.poison


class CustomTask(Custom, TaskKind):
    """A task of the user's own: how its data come about is not known."""

    data_file: ClassVar[None] = None
    is_random_sample: ClassVar[bool] = False
    only_target: ClassVar[None] = None
    wrong_labels: ClassVar[None] = None

    def data_seed(self, sweep_seed: int) -> int:
        return sweep_seed


TaskSpec = Annotated[
    Boolean | Regression | Factorisation | Planar | Digits | FileTask | CustomTask,
    Field(discriminator="kind"),
    BeforeValidator(CustomTask.wrap_object),
]
"""The tasks that may stand in a sweep; `tasks.LOADERS` has the loader of each."""


def check_rows(x: Rows, count: int, name: str) -> None:
    """Raise ValueError unless x is `count` rows of one non-zero length."""
    if not x or len(x) != count or len({len(row) for row in x}) != 1 or not x[0]:
        raise ValueError(f"{name}: give as many rows as values, all of one length, at least one")
