"""The sweep: one file that says what to run."""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from sweep_engine.shown import ShortTable, Shown
from sweep_engine.spec.axes import Axis, AxisSpec, Sobol
from sweep_engine.spec.base import Count, Growing, Name, PartName, Spec
from sweep_engine.spec.design import DesignSpec, drawn
from sweep_engine.spec.models import ModelSpec
from sweep_engine.spec.observables import Observables
from sweep_engine.spec.renamed import ESTIMATOR, IMPLEMENTATION
from sweep_engine.spec.sources import Accept, SourceSpec
from sweep_engine.spec.tasks import TaskSpec

_NO_TEXT = re.compile(
    r"0x[0-9a-f_]+|[0-9][0-9_-]*(e[0-9_-]*|t[0-9_-]*z?|[dfl])?|nan|inf|infinity|true|false|null|none|na"
)
"""What readers of Parquet take for a number, a date or a truth value in the name of a folder."""


def _kept_as_text(name: str, info: ValidationInfo) -> str:
    if _NO_TEXT.fullmatch(name) and info.context != "stored":
        raise ValueError(
            f"{name!r}: readers of its folder, source={name}, take this for no text, and 7 and 007 "
            f"for one: give a name with letters, such as run_{name}"
        )
    return name


SourceName = Annotated[PartName, AfterValidator(_kept_as_text)]
"""A folder of the results has it in its name, which readers give the type that it looks like."""


class Store(Spec):
    """Which rows keep their parameters."""

    params: Literal["all", "fit", "none"] = Field(
        default="all",
        description="whose parameters are stored: those of all rows, of rows that fit, or of none",
    )


class Execution(Spec):
    """How the programs compute; frozen in `sweep.json` by the first run."""

    precision: Literal["exact", "fast"] = Field(
        default="exact", description="exact: float32 products; fast: the device's default"
    )
    implementation: Annotated[
        Literal["auto", "xla", "cpu", "cpu_tiny", "cuda", "tpu"],
        IMPLEMENTATION.reader(),
    ] = Field(
        default="auto",
        description="XLA, a kernel, or what the first run finds best; the kernels cuda and tpu "
        "have not run on their hardware yet, and compute only where a self-test passes there",
    )
    lanes: Count | None = Field(
        default=None,
        description="networks per block; left out, a rule picks what a block can hold and the runs "
        "keep busy. The width decides the last bits of results, and stays as a sweep grows",
    )


Zipped = Annotated[dict[str, AxisSpec], Field(min_length=1)]


EstimatorName = Literal[
    "binned", "ks", "mean", "wasserstein", "energy", "mmd", "knn", "kde", "c2st", "flow",
    "correlate", "pairs", "ensemble", "decomposition", "median",
]  # fmt: skip

OWN_ESTIMATORS: set[str] = set()
"""The names of a user's own, which `sweep_engine.add_estimator` gave to this process."""


def _or_own(name: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Take a user's own estimator: where it is known, and wherever results name it."""
    is_own = isinstance(name, str) and (name in OWN_ESTIMATORS or info.context == "stored")
    return name if is_own else read(name)


Bound = Annotated[float, Field(strict=True)]
Span = tuple[Bound, Bound]


class Match(Spec):
    """Compare as if both sources had the same law of one column, bin by bin."""

    column: str = Field(
        description="a column of runs, such as a normalised margin or a loss",
        examples=["train_loss"],
    )
    bins: Annotated[int, Field(strict=True, ge=2, le=64)] = Field(
        default=8, description="how many bins, of equal mass in both sources together"
    )


ALL = "all"
"""`by` of a comparison that pools nothing."""

NETWORKS = "networks"
"""The observable of estimators that take the networks themselves."""


def _with_short_form(schema: dict[str, Any]) -> None:
    """Let editors know `correlate`, which stands for an observable with its estimator."""
    columns = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
    words = "two columns, whose rank correlation is estimated: in place of `observable`"
    schema["properties"]["correlate"] = columns | {"description": words}
    schema["examples"] = [
        {"source": "sgd", "reference": "init", "observable": "l2_norm"},
        {"source": "sgd", "correlate": ["l2_norm", "test_error"]},
    ]
    schema["required"] = ["source"]
    schema["anyOf"] = [{"required": ["observable"]}, {"required": ["correlate"]}]


class Comparison(Shown, Spec):
    """A source against a reference in one observable, per setting that both share.

    `{source: sgd, correlate: [a, b]}` looks at one source by itself: it is read as the observable
    `a, b` with the estimator `correlate` and the source as its own reference.
    """

    model_config = ConfigDict(json_schema_extra=_with_short_form)

    source: str = Field(description="the name of the source that is looked at", examples=["sgd"])
    reference: str = Field(
        default_factory=lambda data: data.get("source", ""),
        description="left out, the source itself",
    )
    observable: str = Field(
        description="a column of runs, or several, by commas; a column of lists, whose entries are "
        "coordinates; `function`; or `networks`, which are run again from their parameters",
        examples=["l2_norm"],
    )
    given: Literal["fit", "all"] = Field(
        default="all",
        description="fit: only networks that pass the acceptance rule; all: every network",
    )
    by: str | tuple[str, ...] | None = Field(
        default=None,
        description="a swept axis, or several: one estimate per value; `all`: every axis and "
        "factor, so that nothing is pooled",
        examples=["sources.sgd.optimizer.learning_rate"],
    )
    over: Literal["task.seed"] | None = Field(
        default=None, description="average over the swept data sets, not one estimate for each"
    )
    at: dict[str, Any] | None = Field(
        default=None,
        description="axis values: only settings that have them",
        examples=[{"task.bits": 7}],
    )
    where: dict[str, Span] | None = Field(
        default=None,
        description="column: [low, high]; only runs inside, ends included",
        examples=[{"train_loss": [0.0, 0.1]}],
    )
    match: Match | None = Field(
        default=None, description="weigh the reference's runs so that bins of a column agree"
    )
    estimator: Annotated[EstimatorName | None, WrapValidator(_or_own), ESTIMATOR.reader()] = Field(
        default=None,
        description="how it is estimated; left out, what suits the observable. In Python also the "
        "name of one of your own, given to `sweep_engine.add_estimator` before",
    )

    @model_validator(mode="before")
    @classmethod
    def _correlated(cls, data: Any) -> Any:
        """Write `correlate` out."""
        if not isinstance(data, dict) or "correlate" not in data:
            return data
        columns = data["correlate"]
        if both := data.keys() & {"observable", "estimator"}:
            raise ValueError(f"correlate says which columns and how: leave {min(both)} out")
        if not isinstance(columns, list | tuple) or len(columns) != 2:
            raise ValueError(f"correlate: name two columns, not {columns!r}")
        rest = {key: value for key, value in data.items() if key != "correlate"}
        return rest | {"observable": ", ".join(map(str, columns)), "estimator": "correlate"}

    def short_table(self) -> ShortTable:
        """Say what is compared, as the sweep file would."""
        given = self.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        return ShortTable("", ("key", "value"), [(key, str(text)) for key, text in given.items()])

    @property
    def is_within_one(self) -> bool:
        """Say whether a source is looked at by itself."""
        return self.source == self.reference

    @property
    def is_of_columns(self) -> bool:
        """Say whether what is compared are columns of `runs`."""
        return self.observable not in {"function", NETWORKS}

    @property
    def split_by(self) -> tuple[str, ...]:
        """The axes that `by` names one by one."""
        if self.by == ALL:
            return ()
        return (self.by,) if isinstance(self.by, str) else self.by or ()

    def is_split_by(self, path: str) -> bool:
        """Say whether every value of an axis has an estimate of its own."""
        return self.by == ALL or path in self.split_by


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, dict | Sobol) else value


_RATE, _MOMENTUM = "sources.sgd.optimizer.learning_rate", "sources.sgd.optimizer.momentum"
_AXES: list[Any] = [
    {_RATE: [0.01, 0.1]},
    {"zip": [{_RATE: [0.01, 0.1], _MOMENTUM: [0.9, 0.0]}]},
    {"sobol": [{"points": 8, "over": {_RATE: {"log_uniform": [0.01, 1.0]}}}]},
]


class Axes(Spec):
    """What is swept: crossed axes by their paths, and groups of zipped or Sobol axes."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": _AXES},
    )
    __pydantic_extra__: dict[str, AxisSpec] = Field(init=False)

    zip: Annotated[tuple[Zipped, ...], BeforeValidator(_listed)] = Field(
        default=(),
        description="groups of axes of equal length that move together: first values with first "
        "values",
    )
    sobol: Annotated[tuple[Sobol, ...], BeforeValidator(_listed)] = Field(
        default=(),
        description="groups of axes that are drawn jointly, and so fill their box evenly",
    )

    @property
    def crossed(self) -> dict[str, Axis]:
        """The axes that stand alone, by path."""
        return self.__pydantic_extra__


class Sweep(Growing):
    """The sources crossed with swept axes, the observables and the comparisons."""

    later_keys: ClassVar[tuple[str, ...]] = ("design",)

    name: Name = Field(description="what the sweep is called in reports and messages")
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = Field(
        default=0, description="where all randomness starts: another seed gives other runs"
    )
    task: TaskSpec = Field(
        description="the data, the loss, and the inputs that tell functions apart"
    )
    model: ModelSpec = Field(description="the network that is trained or drawn")
    sources: Annotated[dict[SourceName, SourceSpec], Field(min_length=1)] = Field(
        description="where networks come from: a name of your own each, and a way to train or to "
        "draw"
    )
    accept: Accept = Field(
        default=Accept(train_error=0.0),
        description="when a network fits the training set; a source may have a rule of its own",
    )
    axes: Axes = Field(
        default=Axes(),
        description="what is swept: the path of a field, and the values that it takes",
    )
    design: Annotated[DesignSpec | None, AfterValidator(drawn)] = Field(
        default=None,
        description="factors with named levels, and which rows of levels are run; every row meets "
        "every point of the axes",
    )
    observables: Observables = Field(
        default=(), description="what is computed of every stored network, as columns of runs"
    )
    store: Store = Field(default=Store(), description="what is stored of the runs")
    execution: Execution = Field(default=Execution(), description="how the programs compute")
    compare: tuple[Comparison, ...] = Field(
        default=(), description="which sources are compared, and in what"
    )

    _document: Any = PrivateAttr(default=None)
    _folder: Path | None = PrivateAttr(default=None)
    _is_stored: bool = PrivateAttr(default=False)

    @property
    def folder(self) -> Path:
        """The folder that the sweep file's own paths start from."""
        return self._folder or Path.cwd()

    @property
    def is_stored(self) -> bool:
        """Whether it was read back from results, which are not judged again."""
        return self._is_stored

    def problem(self, location: tuple[str | int, ...], message: str) -> str:
        """Word a problem with its place in the sweep file, where there is one."""
        dotted = ".".join(str(part) for part in location)
        if self._document is None:
            return f"{dotted}: {message}" if dotted else message
        line, column = self._document.place(location)
        return f"{self._document.name}:{line}:{column}: {dotted}: {message}"

    @property
    def has_time(self) -> bool:
        """Say whether a source has a time beside its steps."""
        return any(source.has_time for source in self.sources.values())

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns of `runs` that some of the sources alone fill, each once."""
        return tuple(dict.fromkeys(c for s in self.sources.values() for c in s.own_columns))

    def accept_of(self, source: str) -> Accept:
        """The acceptance rule that holds for a source."""
        return self.sources[source].accept or self.accept
