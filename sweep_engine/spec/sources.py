"""Sources: the laws from which networks are drawn, SGD among them."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sweep_engine.spec.base import (
    TRACED,
    Count,
    Flag,
    Fraction,
    Index,
    NonNegative,
    Positive,
    RunCount,
    Spec,
)
from sweep_engine.spec.laws import Box, Gaussian, Initialiser, LawSpec

TracedCount = Annotated[int, Field(strict=True, ge=1, lt=2**31), TRACED]


class Accept(Spec):
    """The rule that says when a network fits the training set: exactly one of these."""

    train_error: NonNegative | None = Field(
        default=None, description="share of training examples that are wrong, at most"
    )
    train_loss: NonNegative | None = Field(default=None, description="mean training loss, at most")
    max_residual: Positive | None = Field(
        default=None, description="largest |output - y| over the training set, at most"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("give exactly one of train_error, train_loss, max_residual")
        return self


class Constant(Spec):
    """The learning rate stays as it is."""

    kind: Literal["constant"] = "constant"


class Cosine(Spec):
    """Half a cosine from 1 to `final_fraction` over `steps`, then constant."""

    kind: Literal["cosine"] = "cosine"
    steps: TracedCount
    final_fraction: Annotated[NonNegative, TRACED] = 0.0


class WarmUp(Spec):
    """Linear from 1/steps to 1 over the first `steps`, then constant."""

    kind: Literal["warm_up"] = "warm_up"
    steps: TracedCount


class StepDecay(Spec):
    """Times `factor` after every `every` steps."""

    kind: Literal["step"] = "step"
    every: TracedCount
    factor: Annotated[Positive, TRACED] = 0.1


ScheduleSpec = Annotated[Constant | Cosine | WarmUp | StepDecay, Field(discriminator="kind")]


class Optimizer(Spec):
    """What all optimisers share.

    `l2` adds the gradient of the penalty (l2/2)|theta|^2 to the gradient; `weight_decay`
    shrinks the parameters by learning_rate * weight_decay beside the step (decoupled). Under
    plain SGD the two coincide; with momentum or Adam they do not.
    """

    learning_rate: Annotated[Positive, TRACED] = 0.1
    weight_decay: Annotated[NonNegative, TRACED] = 0.0
    l2: Annotated[NonNegative, TRACED] = 0.0
    schedule: ScheduleSpec = Constant()


class Sgd(Optimizer):
    """SGD with heavy-ball or Nesterov momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: Annotated[Fraction, TRACED] = 0.0
    nesterov: Flag = False


class Adam(Optimizer):
    """Adam; with `weight_decay` it is AdamW."""

    kind: Literal["adam", "adamw"] = "adam"
    learning_rate: Annotated[Positive, TRACED] = 1e-3
    b1: Annotated[Fraction, TRACED] = 0.9
    b2: Annotated[Fraction, TRACED] = 0.999
    eps: Annotated[Positive, TRACED] = 1e-8


class RmsProp(Optimizer):
    """RMSProp with momentum: g / sqrt(nu + eps), eps inside the root as in optax."""

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: Annotated[Positive, TRACED] = 1e-3
    decay: Annotated[Fraction, TRACED] = 0.9
    eps: Annotated[Positive, TRACED] = 1e-8
    momentum: Annotated[Fraction, TRACED] = 0.0


OptimizerSpec = Annotated[Sgd | Adam | RmsProp, Field(discriminator="kind")]


class Stop(Spec):
    """When a training run ends; it also ends when it diverges."""

    max_steps: TracedCount = 10_000
    fit: Flag = Field(default=True, description="end when the acceptance rule holds")
    train_loss: Annotated[Positive | None, TRACED] = Field(
        default=None, description="end at this mean training loss"
    )
    check_every: Count | None = Field(
        default=None,
        description="steps between checks; left out, every step at full batch, else every epoch",
    )
    extra_steps: Index = Field(
        default=0, description="steps to go on after the first fit; params then keeps both"
    )


class Train(Spec):
    """Draw from `init`, then optimise until a stopping rule holds."""

    COUNTED: ClassVar[frozenset[str]] = frozenset({"runs"})

    kind: Literal["train"] = "train"
    init: LawSpec = Initialiser()
    optimizer: OptimizerSpec = Sgd()
    batch_size: Count | Literal["full"] = "full"
    sampling: Literal["without_replacement", "with_replacement"] = "without_replacement"
    stop: Stop = Stop()
    runs: RunCount
    accept: Accept | None = None


class Prior(Spec):
    """Draws from a law, trained by nothing."""

    COUNTED: ClassVar[frozenset[str]] = frozenset({"draws", "keep"})

    kind: Literal["prior"] = "prior"
    law: LawSpec = Box()
    draws: RunCount
    keep: Literal["all", "fit", "none"] | Count = Field(
        default="all", description="which draws become rows; tallies count every draw"
    )
    accept: Accept | None = None


class GuessAndCheck(Spec):
    """A law conditioned on fitting, by rejection: a number of draws, or of acceptances."""

    COUNTED: ClassVar[frozenset[str]] = frozenset({"draws", "max_draws"})

    kind: Literal["guess_and_check"] = "guess_and_check"
    law: LawSpec = Box()
    draws: RunCount | None = None
    accepted: RunCount | None = None
    max_draws: RunCount = Field(
        default=100_000_000, description="with `accepted`: give up after so many draws"
    )
    accept: Accept | None = None

    @model_validator(mode="after")
    def _one_stopping_rule(self) -> Self:
        if (self.draws is None) == (self.accepted is None):
            raise ValueError("give draws (a fixed number) or accepted (stop at the k-th)")
        return self


class Splitting(Spec):
    """A law conditioned on fitting, by adaptive multilevel splitting: for rare fits.

    Each repetition is a unit of its own: `particles` draws of equal weight and an estimate
    of ln P(fit).
    """

    COUNTED: ClassVar[frozenset[str]] = frozenset({"repetitions"})

    kind: Literal["splitting"] = "splitting"
    law: LawSpec = Gaussian()
    particles: Annotated[Count, Field(ge=8)] = 4096
    repetitions: Annotated[RunCount, Field(le=2**20)] = 8
    moves: Count = Field(default=20, description="Markov moves of every particle at every level")
    survivors: Annotated[Positive, Field(lt=1)] = Field(
        default=0.5, description="share of the particles that the next level leaves"
    )
    max_levels: Count = Field(
        default=2000, description="give up after so many levels: the repetition did not fit"
    )
    accept: Accept | None = None


class Posterior(Spec):
    """Draws from exp(-sum of losses / temperature) times the law, by Markov chains.

    Each chain is a unit of its own: `draws` draws, `thin` transitions apart.
    """

    COUNTED: ClassVar[frozenset[str]] = frozenset({"chains"})

    kind: Literal["posterior"] = "posterior"
    law: LawSpec = Gaussian()
    method: Literal["nuts", "hmc", "sgld"] = "nuts"
    chains: RunCount = 16
    draws: Annotated[Count, Field(le=2**20)] = 1000
    temperature: Annotated[Positive, TRACED] = 1.0
    accept: Accept | None = None


SourceSpec = Annotated[
    Train | Prior | GuessAndCheck | Splitting | Posterior, Field(discriminator="kind")
]


def law_of(source: SourceSpec) -> LawSpec:
    """The law a source's networks start from."""
    return source.init if isinstance(source, Train) else source.law


def unit_size(source: SourceSpec) -> int:
    """How many draws depend on one another: those of a repetition or a chain; else 1."""
    match source:
        case Splitting(particles=particles):
            return particles
        case Posterior(draws=draws):
            return draws
        case _:
            return 1
