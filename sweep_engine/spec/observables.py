"""Observables: what is computed of every stored network."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from sweep_engine.spec.base import (
    Count,
    Flag,
    NonNegative,
    Positive,
    Share,
    Spec,
    canonical_json,
    kinds,
)
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.laws import Box, FanIn, Gaussian


class ProjectionPlane(NamedTuple):
    """Two columns that place a network in a plane.

    Attributes:
        columns: Their names.
        point: What is projected, in words.
        plane: What on, in words.
    """

    columns: tuple[str, str]
    point: str
    plane: str


class ObservableKind(Spec):
    """Base of all observables: what others must know of one, without a default."""

    @property
    @abstractmethod
    def fit_source(self) -> str | None:
        """The source on whose stored networks it is fitted, once all are there; else None."""

    @property
    @abstractmethod
    def projection_plane(self) -> ProjectionPlane | None:
        """The plane that its columns span, to draw networks in; None where they span none."""


class Bare(ObservableKind):
    """Base of the kinds without settings: in a file and in `sweep.json` they are names alone."""

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None

    kind: str

    @model_serializer
    def _name(self) -> str:
        return self.kind


class Norms(Bare):
    """Norms of theta and of each layer's weights, and their products over the layers."""

    kind: Literal["norms"] = "norms"


class Distance(Bare):
    """How far a run has moved from where it started; null for draws."""

    kind: Literal["distance"] = "distance"


class Margin(Bare):
    """The smallest margin over the training set, also over products of norms."""

    kind: Literal["margin"] = "margin"


class Path(Bare):
    """The path norm of a chain of dense layers, and the margin over it."""

    kind: Literal["path"] = "path"


class Confidence(Bare):
    """Mean probability of the chosen label, and Brier score, on the test set."""

    kind: Literal["confidence"] = "confidence"


class Function(Bare):
    """The labels of the probe inputs of a task with two labels, and how many are 1."""

    kind: Literal["function"] = "function"


class Complexity(Bare):
    """The Lempel-Ziv complexity of the labels of the probe inputs."""

    kind: Literal["complexity"] = "complexity"


class Balance(Bare):
    """Where a solution of ab = y lies along its curve."""

    kind: Literal["balance"] = "balance"


class Symmetry(Bare):
    """How many networks the symmetries of hidden units make of one."""

    kind: Literal["symmetry"] = "symmetry"


Measure = Annotated[Box | Gaussian | FanIn, Field(discriminator="kind")]
"""Laws whose density makes a volume around a solution a probability."""

Preconditioner = Literal["law", "none", "hessian_diagonal", "adam", "low_rank"]


class LocalVolume(ObservableKind):
    """How much of a law lies in the basin around a solution, by star-domain Monte Carlo.

    The basin is what straight lines from the solution reach before `cost` has risen by
    `threshold`. Every preconditioner gives a stochastic lower bound of ln of its measure.
    Expensive: `directions` lines a preconditioner, some 70 passes over the training set each.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None

    kind: Literal["local_volume"] = "local_volume"
    cost: Literal["loss", "kl", "error"] = Field(
        default="loss",
        description="mean training loss, KL of the solution's outputs to the others' on the "
        "training inputs in nats, or training error",
    )
    threshold: NonNegative = Field(
        default=0.1, description="rise of the cost at which the basin ends"
    )
    law: Measure = Gaussian()
    preconditioners: Annotated[tuple[Preconditioner, ...], Field(min_length=1)] = Field(
        default=("law", "hessian_diagonal", "low_rank"),
        description="where the lines go: through draws of the law, which suits wide basins, or "
        "uniformly, stretched by an estimate of the curvature, which suits narrow ones",
    )
    directions: Count = 64
    rank: Count = Field(default=16, description="Lanczos steps of `low_rank`")

    @model_validator(mode="after")
    def _has_volume(self) -> Self:
        if self.threshold == 0 and self.cost != "error":
            raise ValueError("threshold: 0 is for the error; another cost rises at once")
        if isinstance(self.law, FanIn) and self.law.bias_std == 0:
            raise ValueError("law: bias_std must be > 0; zero biases have no volume")
        return self


class LearningCoefficient(ObservableKind):
    """The local learning coefficient, by SGLD from the solution.

    Chains sample exp(-n beta L(w) - localisation |w - w*|^2 / 2); `temperature` is 1 / (n beta).
    Expensive: `chains` times `steps` gradients.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None

    kind: Literal["learning_coefficient"] = "learning_coefficient"
    temperature: Positive = Field(default=1e-3, description="1 / (n beta)")
    localisation: Positive = 1.0
    step_size: Positive = Field(
        default=1e-4, description="of SGLD; its bias is about step_size / 4 times the curvature"
    )
    batch_size: Count | Literal["full"] = "full"
    chains: Annotated[int, Field(strict=True, ge=2)] = 8
    steps: Annotated[int, Field(strict=True, ge=4)] = 4000


class VolumeExponent(ObservableKind):
    """The exponent lambda of V(e) ~ e^lambda, by uniform draws around the solution.

    For networks of few parameters: among `draws` points in the box of `half_width` those of
    least rise of the training loss, a share of `quantile`, give the exponent.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None

    kind: Literal["volume_exponent"] = "volume_exponent"
    half_width: Positive = 1.0
    draws: Annotated[int, Field(strict=True, ge=100)] = 100_000
    quantile: Share = 0.01


class Coordinates(ObservableKind):
    """Low-dimensional coordinates of theta, in columns such as `canonical_pca_1`.

    `pca`: principal components of every other stored network of the source `fitted_on` (every
    other repetition or chain), fitted once when its runs are done and then kept in the results;
    those networks get no coordinates. `random`: fixed orthonormal directions.
    """

    # Ids and stored bases are hashes of this key, so that it is written as it has always been.
    model_config = ConfigDict(serialize_by_alias=True)

    kind: Literal["coordinates"] = "coordinates"
    method: Literal["pca", "random"] = "pca"
    fitted_on: str | None = Field(
        default=None,
        serialization_alias="reference",
        description="the source that pca is fitted on",
    )
    canonical: Flag = Field(
        default=True,
        description="of the canonical form: permutations and signs of hidden units divided out",
    )
    scaling: Flag = Field(
        default=False,
        description="divide out the scales of relu and linear units too: KL can then only fall",
    )
    components: Annotated[int, Field(strict=True, ge=1, le=64)] = 2

    @model_validator(mode="before")
    @classmethod
    def _former_key(cls, data: Any) -> Any:
        """Read `reference`, the key of earlier files."""
        if not isinstance(data, dict) or "reference" not in data:
            return data
        if "fitted_on" in data:
            raise ValueError("reference is the former name of fitted_on: give one of them")
        rest = {key: value for key, value in data.items() if key != "reference"}
        return rest | {"fitted_on": data["reference"]}

    @model_validator(mode="after")
    def _has_source(self) -> Self:
        if (self.method == "pca") != (self.fitted_on is not None):
            raise ValueError("fitted_on: pca needs the source that it is fitted on, random none")
        if self.scaling and not self.canonical:
            raise ValueError("scaling goes with canonical")
        return self

    @property
    def fit_source(self) -> str | None:
        return self.fitted_on

    @property
    def column_names(self) -> list[str]:
        """The columns: what is projected, how, and the number of the coordinate, from 1."""
        point = ("scaled" if self.scaling else "canonical") if self.canonical else "theta"
        return [f"{point}_{self.method}_{i}" for i in range(1, self.components + 1)]

    @property
    def projection_plane(self) -> ProjectionPlane | None:
        if self.components != 2:
            return None
        first, second = self.column_names
        point = "canonical theta" if self.canonical else "theta"
        fitted = self.fitted_on
        plane = f"the principal plane of {fitted}" if fitted else "a random plane"
        return ProjectionPlane((first, second), point, plane)


class CustomObservable(Custom, ObservableKind):
    """An `Observable` of the user's own."""

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None


ObservableSpec = Annotated[
    Norms
    | Distance
    | Margin
    | Path
    | Confidence
    | Function
    | Complexity
    | Balance
    | Symmetry
    | LocalVolume
    | LearningCoefficient
    | VolumeExponent
    | Coordinates
    | CustomObservable,
    Field(discriminator="kind"),
]
"""The observables that may stand in a sweep; `observables.OBSERVABLES` has what computes each."""


def _expanded(value: Any, info: ValidationInfo) -> Any:
    """Write a kind's name out, with its default settings; describe a user's own object."""
    if isinstance(value, str):
        return {"kind": value}
    return CustomObservable.wrap_object(value, info)


def _stands_alone(kind: type[Spec]) -> bool:
    try:
        kind()
    except ValidationError:
        return False
    return True


_Name = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "enum": [
                kind.model_fields["kind"].default
                for kind in kinds(ObservableSpec)
                if _stands_alone(kind)
            ],
        }
    ),
]

Observables = tuple[
    Annotated[
        ObservableSpec, BeforeValidator(_expanded, json_schema_input_type=_Name | ObservableSpec)
    ],
    ...,
]


def merge(
    stored: Sequence[ObservableKind], given: Sequence[ObservableKind]
) -> tuple[ObservableKind, ...]:
    """Join two lists of observables: the stored ones in their order, then what is new.

    Of a user's own object the stored list holds a description: the object takes its place.
    """
    added = {_identity(observable): observable for observable in given}
    kept = [added.pop(_identity(observable), observable) for observable in stored]
    return (*kept, *added.values())


def _identity(observable: ObservableKind) -> str:
    return canonical_json(observable.model_dump(mode="json"))
