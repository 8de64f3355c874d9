"""Tasks: the data, the loss, and the inputs on which a function is identified."""

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from sweep_engine.data_files import LABELS_MAX, Columns, find_labels, read_columns, sha256
from sweep_engine.errors import FieldError
from sweep_engine.spec.base import Count, Index, NonNegative, Real, Spec
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.drawn_tasks import Modular, Teacher
from sweep_engine.spec.image_tasks import Digits, Mnist, Mnist1d
from sweep_engine.spec.task_kind import (
    DataFile,
    Drawn,
    Labelled,
    Probed,
    Rows,
    Split,
    TaskKind,
    check_drawn,
    check_rows,
    check_targets,
)

WholeNumber = Annotated[int, Field(strict=True)]

TwoClassLoss = Literal["logistic", "softmax", "hinge", "exponential", "squared"]
FileLoss = Literal["logistic", "cross_entropy", "softmax", "hinge", "exponential", "squared"]
TWO_CLASS_WORDS = (
    "with labels y of -1 and 1, logistic: ln(1 + exp(-y f)), in nats; softmax: the same with an "
    "output a label; hinge: max(0, 1 - y f); exponential: exp(-y f); squared: (f - y)^2 / 2"
)


class Boolean(Labelled):
    """A Boolean function of `bits` inputs, of which some train and the rest test.

    Input i is the binary expansion of i, most significant bit first.
    """

    data_files: ClassVar[tuple[()]] = ()
    probe_grid: ClassVar[None] = None

    kind: Literal["boolean"] = "boolean"
    bits: Annotated[int, Field(strict=True, ge=1, le=16)] = Field(
        default=7, description="how many inputs the function has; there are 2^bits different ones"
    )
    target: str = Field(
        default="x1",
        description="parity, majority, random(SEED), an expression such as x1 | (x2 & x3), "
        "or the truth table as 2^bits characters of 0 and 1",
    )
    train: Count | tuple[Index, ...] = Field(
        default=16, description="how many inputs train (drawn from the seed), or which ones"
    )
    inputs: Literal["zero_one", "plus_minus"] = Field(
        default="zero_one", description="how a bit enters the network: as 0 or 1, or as -1 or 1"
    )
    loss: TwoClassLoss = Field(default="logistic", description=TWO_CLASS_WORDS)

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
        return isinstance(self.train, int) and self.has_right_labels


class Regression(Probed):
    """Given x and y, or drawn: x ~ N(0, I), y = x . w / sqrt(inputs) + noise, w ~ N(0, I).

    Of several outputs, y are rows of numbers; each has a w of its own.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"examples": 32, "inputs": 4},
                {"x": [[0.0], [1.0]], "y": [0.0, 1.0]},
                {"x": [[0.0], [1.0]], "y": [0.0, 1.0], "test_x": [[0.5]], "test_y": [0.5]},
            ]
        }
    )

    later_keys: ClassVar[tuple[str, ...]] = ("ood", "probe", "outputs")

    data_files: ClassVar[tuple[()]] = ()
    wrong_labels: ClassVar[None] = None
    relabelled: ClassVar[None] = None

    kind: Literal["regression"] = "regression"
    x: Rows | None = Field(
        default=None, description="the training inputs, a row of numbers each; give y with them"
    )
    y: tuple[Real, ...] | Rows | None = Field(
        default=None, description="the training targets, as many as rows of x"
    )
    test_x: Rows | None = Field(
        default=None, description="the test inputs, a row of numbers each; give test_y with them"
    )
    test_y: tuple[Real, ...] | Rows | None = Field(
        default=None, description="the test targets, as many as rows of test_x"
    )
    examples: Count | None = Field(
        default=None, description="how many training examples are drawn, in place of x and y"
    )
    test_examples: Index = Field(default=0, description="how many test examples are drawn")
    inputs: Count | None = Field(default=None, description="how many numbers each drawn input has")
    outputs: Count | None = Field(default=None, description="of drawn examples; left out, 1")
    noise: NonNegative = Field(
        default=0.0, description="standard deviation of the noise on drawn targets"
    )
    loss: Literal["squared"] = Field(
        default="squared", description="half the squared error, summed over outputs"
    )

    @model_validator(mode="after")
    def _given_or_drawn(self) -> Self:
        given = self.x is not None and self.y is not None
        drawn = self.examples is not None and self.inputs is not None
        if given == drawn:
            raise ValueError("give x and y, or examples and inputs to draw them")
        if self.examples is not None and self.inputs is not None:
            numbers = self.inputs + (self.outputs or 1)
            check_drawn(self.examples, self.test_examples, numbers)
        elif self.outputs is not None:
            raise ValueError("outputs: is for drawn examples; given ones have as many as y says")
        if (self.test_x is None) != (self.test_y is None):
            raise ValueError("give test_x and test_y together")
        for x, y, name in ((self.x, self.y, "x"), (self.test_x, self.test_y, "test_x")):
            if x is not None and y is not None:
                check_rows(x, len(y), name)
                check_targets(y, name.replace("x", "y"))
        return self

    @property
    def is_random_sample(self) -> bool:
        return self.x is None


class MatrixSensing(Drawn):
    """A matrix M of low rank and Frobenius norm 1, known by linear measurements y = <A, M>.

    M = U V' with Gaussian U and V of `rank` columns. Measurements `gaussian` have independent
    Gaussian entries and norm 1; `entries` are different entries of M (matrix completion).

    The test set is what they leave unknown: an orthonormal basis B of the matrices at right
    angles to all of them. So `test_loss` is half of |P (W - M)|^2 / k, with P the projection on
    these k = size^2 - examples dimensions.

    Source:
        Arora, Cohen, Hu & Luo (2019), NeurIPS; Alexander et al. (2025), arXiv 2506.03931, whose
        losses are without the half.
    """

    data_files: ClassVar[tuple[()]] = ()
    is_random_sample: ClassVar[bool] = False
    wrong_labels: ClassVar[None] = None
    relabelled: ClassVar[None] = None
    probe_grid: ClassVar[None] = None

    kind: Literal["matrix_sensing"] = "matrix_sensing"
    size: Count = Field(default=5, description="sides of M")
    rank: Count = Field(default=1, description="of M")
    examples: Count = Field(default=15, description="how many measurements")
    measurements: Literal["gaussian", "entries"] = Field(
        default="gaussian",
        description="gaussian: of independent Gaussian entries; entries: single entries of M",
    )
    loss: Literal["squared"] = Field(
        default="squared", description="half the squared error of a measurement"
    )

    @model_validator(mode="after")
    def _leaves_something_unknown(self) -> Self:
        if self.rank > self.size:
            raise ValueError(f"rank: a matrix of {self.size} rows has at most that rank")
        if self.examples >= self.size**2:
            raise ValueError(
                f"examples: {self.size**2} measurements say all of the matrix; give fewer, so "
                "that there is something to test"
            )
        check_drawn(self.size**2, 0, self.size**2)
        return self


class Factorisation(TaskKind):
    """f = a b is to equal `target`: one example, x = 1."""

    data_files: ClassVar[tuple[()]] = ()
    is_random_sample: ClassVar[bool] = False
    second_set: ClassVar[None] = None
    wrong_labels: ClassVar[None] = None
    relabelled: ClassVar[None] = None
    probe_grid: ClassVar[None] = None

    kind: Literal["factorisation"] = "factorisation"
    target: Real = Field(default=1.0, description="the value that the product a b is to have")
    loss: Literal["squared"] = Field(default="squared", description="(f - target)^2 / 2")

    @property
    def only_target(self) -> float:
        return self.target

    def data_seed(self, sweep_seed: int) -> int:
        return sweep_seed


class Planar(Labelled, Probed):
    """Two classes in the plane: a named set drawn from the seed, or given points.

    `two_slab`: x1 separates the classes linearly; x2 separates them by slabs (one class in
    the middle, the other on both sides). `slabs`: the same of four slabs, class 1 the first and
    the third from above, as published. `kink`: the boundary is x2 = |x1| - 1/2, and points are
    spread over both sides. `tents`: the data set that is published as kink, class 1 on
    x2 = -|x1| and class 0 right above it. `swiss_roll`: two arms of a spiral, one within the
    other.

    Source:
        Chiang et al. (2023), ICLR, for kink (here `tents`) and slab (here `slabs`), as in their
        code, whose margins are 0.25 and 0.1; Huang et al. (2020), for a swiss roll of two classes.
    """

    later_keys: ClassVar[tuple[str, ...]] = (*Labelled.later_keys, "probe")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"set": "two_slab"},
                {"points": [[0.0, 1.0], [1.0, 0.0]], "labels": [0, 1]},
            ]
        }
    )

    data_files: ClassVar[tuple[()]] = ()

    kind: Literal["planar"] = "planar"
    set: Literal["two_slab", "slabs", "kink", "tents", "swiss_roll"] | None = Field(
        default=None,
        description="the named set that examples are drawn from; left out, give points and labels",
    )
    examples: Count = Field(
        default=64, description="how many training examples are drawn of a named set"
    )
    test_examples: Count = Field(
        default=256, description="how many test examples are drawn of a named set"
    )
    margin: NonNegative = Field(
        default=0.1,
        description="how far the classes of a named set are apart, in the unit of x2; in two_slab "
        "twice as far along x1, in slabs twice as far along both",
    )
    points: Rows | None = Field(
        default=None, description="training inputs, two coordinates each; give labels with them"
    )
    labels: tuple[Annotated[int, Field(strict=True, ge=0, le=1)], ...] | None = Field(
        default=None, description="the label of each point, 0 or 1"
    )
    loss: TwoClassLoss = Field(default="logistic", description=TWO_CLASS_WORDS)

    @model_validator(mode="after")
    def _given_or_named(self) -> Self:
        given = self.points is not None and self.labels is not None
        if given == (self.set is not None):
            raise ValueError("give a set, such as two_slab or kink, or points and labels")
        check_drawn(self.examples, self.test_examples, 2)
        if self.points is not None and self.labels is not None:
            check_rows(self.points, len(self.labels), "points")
            if len(self.points[0]) != 2:
                raise ValueError("points: each has two coordinates")
        return self

    @property
    def is_random_sample(self) -> bool:
        return self.set is not None and self.has_right_labels


def _below_the_sweep_file(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or not path.endswith((".npz", ".parquet")):
        raise ValueError(
            "give a .npz or .parquet file in the sweep file's folder or below it, "
            "without '..' (from Python, pass a task object for data elsewhere)"
        )
    return path


class FileAt(Spec):
    """Names a data file."""

    path: Annotated[str, AfterValidator(_below_the_sweep_file)] = Field(
        description="a .npz or .parquet file, from the sweep file's folder", examples=["data.npz"]
    )
    sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="checked; filled in when left out",
        examples=["0" * 64],
    )

    def pinned(self, folder: Path, place: tuple[str, ...] = ()) -> Self:
        """Fill in the hash.

        Raises:
            FieldError: the file cannot be read.
        """
        path = folder / self.path
        try:
            return self.model_copy(update={"sha256": sha256(path)})
        except OSError as error:
            raise FieldError((*place, "path"), f"cannot read {path}: {error.strerror}") from error


class FileTask(FileAt, Split, Probed):
    """x and y from a .npz or Parquet file beside the sweep file.

    With `loss: squared` y are values; else they are labels, any integers: two make a logistic
    task of one output, more a class each, in the order of `labels`.
    """

    later_keys: ClassVar[tuple[str, ...]] = (*Split.later_keys, "probe", "labels", "test_file")

    kind: Literal["file"] = "file"
    x: Annotated[tuple[str, ...], Field(min_length=1)] | str = Field(
        default="x", description="the columns with the inputs, or the array of a .npz file"
    )
    y: str = Field(default="y", description="the column or array with the targets")
    labels: Annotated[tuple[WholeNumber, ...], Field(min_length=2)] | None = Field(
        default=None,
        description="the classes, in the order of the network's; filled in when left out, unless "
        "they are 0 to C - 1 already",
        examples=[[0, 1]],
    )
    train: Count = Field(description="the first so many rows of a seeded shuffle train")
    test_file: FileAt | None = Field(
        default=None,
        description="a file whose rows, all of them, are the test set, with the same columns; "
        "left out, the test set is rows that do not train",
    )
    loss: FileLoss = Field(
        default="cross_entropy",
        description="of labels in nats, cross_entropy: of two with one output; logistic: of two "
        "alone; softmax: an output for each of two; hinge, exponential: of the margin; squared: "
        "values, half the squared error",
    )

    @model_validator(mode="after")
    def _columns_once(self) -> Self:
        names = (self.x,) if isinstance(self.x, str) else self.x
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"x: {twice[0]!r} is listed twice")
        if self.y in names:
            raise ValueError(f"x: {self.y!r} is the target: a network would be given the answer")
        if self.labels is not None and len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: give different integers")
        return self

    @model_validator(mode="after")
    def _values_have_no_labels(self) -> Self:
        names = ("stratified", "poison", "label_noise", "label_smoothing")
        given = [name for name in names if getattr(self, name)]
        if self.loss == "squared" and given and given != ["poison"]:  # whose own message is later
            raise ValueError(f"{given[0]}: is for labels, and loss: squared makes y values")
        return self

    @model_validator(mode="after")
    def _one_test_set(self) -> Self:
        if self.test is not None and self.test_file is not None:
            raise ValueError("test: counts rows of the training file, and test_file names another")
        return self

    @property
    def is_random_sample(self) -> bool:
        return super().is_random_sample and self.test_file is None

    @property
    def data_files(self) -> tuple[DataFile, ...]:
        first = DataFile(self.path, self.sha256)
        if self.test_file is None:
            return (first,)
        return first, DataFile(self.test_file.path, self.test_file.sha256, ("test_file",))

    def read_test(self, folder: Path) -> Columns | None:
        """Read the test set, if it has a file of its own.

        Raises:
            FieldError: it cannot be read, or is not fit to test on.
        """
        if self.test_file is None:
            return None
        try:
            data = read_columns(folder / self.test_file.path, self.x, self.y)
            if self.loss == "squared":
                data.check_values()
        except FieldError as error:
            raise FieldError(("test_file", "path"), str(error)) from error
        return data

    def read(self, path: Path) -> Columns:
        """Read the data that networks are trained on.

        Raises:
            FieldError: they cannot be read, or are not enough or not fit to train on.
        """
        data = read_columns(path, self.x, self.y)
        if self.train > len(data.y):
            message = f"asks for {self.train:,} examples of {len(data.y):,}"
            raise FieldError(("train",), message)
        if self.loss == "squared":
            data.check_values()
        return data

    def labels_in(self, data: Columns) -> tuple[int, ...]:
        """The classes in their order, for a loss that has classes.

        Raises:
            FieldError: the data have other labels.
        """
        is_binary = self.loss == "logistic"
        found = find_labels(data, at_most=2 if is_binary else LABELS_MAX)
        labels = self.labels
        if labels is None and (is_binary or len(found) > 2):
            labels = tuple(range(len(found)))
        if labels is None or set(labels) != set(found):
            given = "left out" if self.labels is None else ", ".join(map(str, self.labels[:8]))
            there = ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
            message = f"{given}, but {data.target!r} has {there}: list these"
            raise FieldError(("labels",), message)
        return labels

    def filled_in(self, folder: Path) -> Self:
        """Fill in the hashes, and the labels where they are not 0 to C - 1, of C that loss has."""
        update: dict[str, Any] = {}
        if self.test_file is not None:
            update["test_file"] = self.test_file.pinned(folder, ("test_file",))
        pinned = self.pinned(folder)
        data = self.read(folder / self.path)
        if self.loss != "squared":
            try:
                self.labels_in(data)
            except FieldError as error:
                if error.field != ("labels",) or self.labels is not None:
                    raise
                update["labels"] = find_labels(data)
        return pinned.model_copy(update=update)


class CustomTask(Custom, TaskKind):
    """A task of the user's own: how its data come about is not known."""

    data_files: ClassVar[tuple[()]] = ()
    is_random_sample: ClassVar[bool] = False
    only_target: ClassVar[None] = None
    second_set: ClassVar[None] = None
    wrong_labels: ClassVar[None] = None
    relabelled: ClassVar[None] = None
    probe_grid: ClassVar[None] = None

    def data_seed(self, sweep_seed: int) -> int:
        return sweep_seed


TaskSpec = Annotated[
    Boolean | Regression | Factorisation | MatrixSensing | Planar | Digits | Mnist | Mnist1d
    | Modular | Teacher | FileTask | CustomTask,
    Field(discriminator="kind"),
    BeforeValidator(CustomTask.wrap_object),
]  # fmt: skip
"""The tasks that may stand in a sweep; `tasks.LOADERS` has the loader of each."""
