"""Observables: names of those that have no settings, and specifications of those that have."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from sweep_engine.spec.base import Count, Flag, NonNegative, Positive, Spec, canonical_json
from sweep_engine.spec.custom import Custom, wrap_custom
from sweep_engine.spec.laws import Box, FanIn, Gaussian

ObservableName = Literal[
    "norms",
    "distance",
    "margin",
    "path",
    "confidence",
    "function",
    "complexity",
    "balance",
    "symmetry",
]

Measure = Annotated[Box | Gaussian | FanIn, Field(discriminator="kind")]
"""Laws whose density makes a volume around a solution a probability."""

Preconditioner = Literal["law", "none", "hessian_diagonal", "adam", "low_rank"]


class LocalVolume(Spec):
    """How much of a law lies in the basin around a solution, by star-domain Monte Carlo.

    The basin is what straight lines from the solution reach before `cost` has risen by
    `threshold`. Every preconditioner gives a stochastic lower bound of ln of its measure.
    Expensive: `directions` lines a preconditioner, some 70 passes over the training set each.
    """

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


class LearningCoefficient(Spec):
    """The local learning coefficient, by SGLD from the solution.

    Chains sample exp(-n beta L(w) - localisation |w - w*|^2 / 2); `temperature` is 1 / (n beta).
    Expensive: `chains` times `steps` gradients.
    """

    kind: Literal["learning_coefficient"] = "learning_coefficient"
    temperature: Positive = Field(default=1e-3, description="1 / (n beta)")
    localisation: Positive = 1.0
    step_size: Positive = Field(
        default=1e-4, description="of SGLD; its bias is about step_size / 4 times the curvature"
    )
    batch_size: Count | Literal["full"] = "full"
    chains: Annotated[int, Field(strict=True, ge=2)] = 8
    steps: Annotated[int, Field(strict=True, ge=4)] = 4000


class VolumeExponent(Spec):
    """The exponent lambda of V(e) ~ e^lambda, by uniform draws around the solution.

    For networks of few parameters: among `draws` points in the box of `half_width` those of
    least rise of the training loss, a share of `quantile`, give the exponent.
    """

    kind: Literal["volume_exponent"] = "volume_exponent"
    half_width: Positive = 1.0
    draws: Annotated[int, Field(strict=True, ge=100)] = 100_000
    quantile: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.01


class Coordinates(Spec):
    """Low-dimensional coordinates of theta, in columns such as `canonical_pca_1`.

    `pca`: principal components of every other stored network of `reference` (every other
    repetition or chain), fitted once when its runs are done and then kept in the results; those
    networks get no coordinates. `random`: fixed orthonormal directions.
    """

    kind: Literal["coordinates"] = "coordinates"
    method: Literal["pca", "random"] = "pca"
    reference: str | None = Field(default=None, description="the source that pca is fitted on")
    canonical: Flag = Field(
        default=True,
        description="of the canonical form: permutations and signs of hidden units divided out",
    )
    scaling: Flag = Field(
        default=False,
        description="divide out the scales of relu and linear units too: KL can then only fall",
    )
    components: Annotated[int, Field(strict=True, ge=1, le=64)] = 2

    @model_validator(mode="after")
    def _has_reference(self) -> Self:
        if (self.method == "pca") != (self.reference is not None):
            raise ValueError("reference: pca needs the source that it is fitted on, random none")
        if self.scaling and not self.canonical:
            raise ValueError("scaling goes with canonical")
        return self


ObservableSpec = Annotated[
    LocalVolume | LearningCoefficient | VolumeExponent | Coordinates,
    Field(discriminator="kind"),
]
DefaultName = Literal["local_volume", "learning_coefficient", "volume_exponent"]
"""A kind by its name alone: with its default settings."""


def _expanded(value: Any, info: Any) -> Any:
    """Write a kind's name out; describe a user's own object."""
    if isinstance(value, str):
        return {"kind": value} if value in get_args(DefaultName) else value
    return wrap_custom(value, info)


Observables = tuple[
    Annotated[ObservableName | DefaultName | ObservableSpec | Custom, BeforeValidator(_expanded)],
    ...,
]


def merge(stored: Sequence[Any], given: Sequence[Any]) -> tuple[Any, ...]:
    """Join two lists of observables: the stored ones in their order, then what is new.

    Of a user's own object the stored list holds a description: the object takes its place.
    """
    objects = {_identity(one): one for one in given}
    kept = [objects.pop(_identity(one), one) for one in stored]
    return (*kept, *objects.values())


def _identity(one: Any) -> str:
    return canonical_json(one.model_dump(mode="json") if isinstance(one, Spec) else one)
