"""Observables of the volume around a solution."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sweep_engine.spec.base import Count, Growing, NonNegative, Positive, Share
from sweep_engine.spec.laws import Box, FanIn, Gaussian
from sweep_engine.spec.observables.kind import ObservableKind

Measure = Annotated[Box | Gaussian | FanIn, Field(discriminator="kind")]
"""Laws whose density makes a volume around a solution a probability."""


Preconditioner = Literal["law", "none", "hessian_diagonal", "adam", "low_rank"]


class LocalVolume(Growing, ObservableKind):
    """How much of a law lies in the basin around a solution, by star-domain Monte Carlo.

    The basin is what straight lines from the solution reach before `cost` has risen by
    `threshold`. Every preconditioner gives a stochastic lower bound of ln of its measure.
    Expensive: `directions` lines a preconditioner, some 70 passes over the training set each.
    With `examples` the landscape is that of the first so many training examples. Where
    `task.train` is swept, these are the same ones for all, unless `stratified`: so networks of
    large training sets can be measured in the landscape of a small one.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    later_keys: ClassVar[tuple[str, ...]] = ("examples",)

    kind: Literal["local_volume"] = "local_volume"
    cost: Literal["loss", "kl", "error"] = Field(
        default="loss",
        description="mean training loss, KL of the solution's outputs to the others' on the "
        "training inputs in nats, or training error",
    )
    threshold: NonNegative = Field(
        default=0.1, description="rise of the cost at which the basin ends"
    )
    law: Measure = Field(default=Gaussian(), description="the law whose mass is estimated")
    preconditioners: Annotated[tuple[Preconditioner, ...], Field(min_length=1)] = Field(
        default=("law", "hessian_diagonal", "low_rank"),
        description="where the lines go: through draws of the law, which suits wide basins, or "
        "uniformly, stretched by an estimate of the curvature, which suits narrow ones",
    )
    directions: Count = Field(
        default=64, description="random straight lines from the solution, for each preconditioner"
    )
    rank: Count = Field(default=16, description="Lanczos steps of `low_rank`")
    examples: Count | None = Field(
        default=None,
        description="measure the cost on the first training examples, so many at most, and end the "
        "names of the columns in this number; left out, on all",
    )

    @property
    def entry_names(self) -> tuple[str, ...]:
        return self.preconditioners

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
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["learning_coefficient"] = "learning_coefficient"
    temperature: Positive = Field(default=1e-3, description="1 / (n beta)")
    localisation: Positive = Field(
        default=1.0, description="strength of the pull back to the solution, per squared distance"
    )
    step_size: Positive = Field(
        default=1e-4, description="of SGLD; its bias is about step_size / 4 times the curvature"
    )
    batch_size: Count | Literal["full"] = Field(
        default="full", description="examples of an SGLD step; full: the whole training set"
    )
    chains: Annotated[int, Field(strict=True, ge=2)] = Field(
        default=8, description="independent chains from the solution"
    )
    steps: Annotated[int, Field(strict=True, ge=4)] = Field(
        default=4000, description="SGLD steps of each chain; the first half is not averaged"
    )


class VolumeExponent(ObservableKind):
    """The exponent lambda of V(e) ~ e^lambda, by uniform draws around the solution.

    For networks of few parameters: among `draws` points in the box of `half_width` those of
    least rise of the training loss, a share of `quantile`, give the exponent.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["volume_exponent"] = "volume_exponent"
    half_width: Positive = Field(
        default=1.0, description="of the box around the solution, in each parameter"
    )
    draws: Annotated[int, Field(strict=True, ge=100)] = Field(
        default=100_000, description="uniform draws from the box"
    )
    quantile: Share = Field(
        default=0.01, description="share of the draws, those of least loss, that give the exponent"
    )


class MapEstimate(ObservableKind):
    """Whether a network maximises a posterior density: is a MAP estimate, or a local one.

    The posterior is that of the source `posterior`: of a Gaussian law, and of losses whose sum is
    divided by `temperature`. Which penalty trains for it is said there; a run that stops at zero
    train error, or before it has converged, is none whatever its penalty. One gradient.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["map_estimate"] = "map_estimate"
    law: Annotated[Gaussian | FanIn, Field(discriminator="kind")] = Field(
        default=Gaussian(), description="the prior of the posterior"
    )
    temperature: Positive = Field(
        default=1.0,
        description="what the sum of losses is divided by; of squared error times the noise's "
        "variance; 1 where the prior is tempered too, whose maximum is the same",
    )

    @model_validator(mode="after")
    def _has_density(self) -> Self:
        if isinstance(self.law, FanIn) and self.law.bias_std == 0:
            raise ValueError("law: bias_std must be > 0; zero biases have no density")
        return self
