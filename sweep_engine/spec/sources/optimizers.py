"""Optimisers and their schedules: how a run steps."""

from abc import ABC, abstractmethod
from typing import Annotated, Literal

from pydantic import Field

from sweep_engine.spec.base import (
    TRACED,
    Flag,
    Fraction,
    NonNegative,
    Positive,
    Share,
    Spec,
    TracedCount,
)

Shrink = Annotated[Share, TRACED]


class Constant(Spec):
    """The learning rate stays as it is."""

    kind: Literal["constant"] = "constant"


class Cosine(Spec):
    """Half a cosine from 1 to `final_fraction` over `steps`, then constant."""

    kind: Literal["cosine"] = "cosine"
    steps: TracedCount = Field(description="optimiser steps until the end of the descent")
    final_fraction: Annotated[NonNegative, TRACED] = Field(
        default=0.0, description="share of the learning rate that is left at the end"
    )


class WarmUp(Spec):
    """Linear from 1/steps to 1 over the first `steps`, then constant."""

    kind: Literal["warm_up"] = "warm_up"
    steps: TracedCount = Field(description="optimiser steps until the full learning rate")


class StepDecay(Spec):
    """Times `factor` after every `every` steps."""

    kind: Literal["step"] = "step"
    every: TracedCount = Field(description="optimiser steps between two drops")
    factor: Annotated[Positive, TRACED] = Field(
        default=0.1, description="multiplies the learning rate at each drop"
    )


ScheduleSpec = Annotated[Constant | Cosine | WarmUp | StepDecay, Field(discriminator="kind")]
"""The schedules that can stand in a sweep file: this is the list of them."""


class Optimizer(Spec, ABC):
    """What every optimiser must answer."""

    @property
    @abstractmethod
    def compares_losses(self) -> bool:
        """Whether a step compares two losses, which must be of one and the same examples."""

    @property
    @abstractmethod
    def curvature_limit(self) -> float | None:
        """The largest curvature of a quadratic loss at which full-batch steps do not grow.

        None where that depends on more than one eigenvalue (adaptive steps), changes from step
        to step (a schedule), or means nothing (no gradients).
        """


class GradientOptimizer(Optimizer):
    """What all optimisers with gradients share.

    `l2` adds the gradient of the penalty (l2/2)|theta|^2 to the gradient; `weight_decay`
    shrinks the parameters by learning_rate * weight_decay beside the step (decoupled). Under
    plain SGD the two coincide. With momentum a run converges to where l2 is (1 - momentum)
    times the weight decay; under Adam and RMSProp the two are different algorithms.
    `Posterior` says which run is a MAP estimate of which prior.
    """

    learning_rate: Annotated[Positive, TRACED] = Field(
        default=0.1, description="size of a step, before the schedule"
    )
    weight_decay: Annotated[NonNegative, TRACED] = Field(
        default=0.0,
        description="decoupled decay: each step takes learning_rate x weight_decay of a parameter "
        "off it",
    )
    l2: Annotated[NonNegative, TRACED] = Field(
        default=0.0, description="adds l2 / 2 |theta|^2 to the mean loss whose gradient is taken"
    )
    schedule: ScheduleSpec = Field(
        default=Constant(), description="what the learning rate is multiplied by as steps go on"
    )

    @property
    def compares_losses(self) -> bool:
        return False


def _limit_of_plain_steps(optimizer: GradientOptimizer) -> float | None:
    """Give 2 / learning rate, less the curvature that decoupled decay adds."""
    if not isinstance(optimizer.schedule, Constant):
        return None
    return 2 / optimizer.learning_rate - optimizer.weight_decay


class Sgd(GradientOptimizer):
    """SGD with heavy-ball or Nesterov momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: Annotated[Fraction, TRACED] = Field(
        default=0.0, description="share of the last step that is added to this one"
    )
    nesterov: Flag = Field(default=False, description="take the gradient one momentum step ahead")

    @property
    def curvature_limit(self) -> float | None:
        """Where a root of the step's characteristic polynomial reaches -1.

        Source:
            Cohen, Kaur, Li, Kolter & Talwalkar (2021), ICLR, appendix B, without decay.
        """
        plain = _limit_of_plain_steps(self)
        if plain is None:
            return None
        growth = (1 + self.momentum) / (1 + 2 * self.momentum if self.nesterov else 1)
        return growth * plain - self.l2


class Adam(GradientOptimizer):
    """Adam; with `weight_decay` it is AdamW."""

    kind: Literal["adam", "adamw"] = "adam"
    learning_rate: Annotated[Positive, TRACED] = Field(
        default=1e-3, description="size of a step, before the schedule"
    )
    b1: Annotated[Fraction, TRACED] = Field(
        default=0.9, description="share of the mean gradient that is kept at each step"
    )
    b2: Annotated[Fraction, TRACED] = Field(
        default=0.999, description="share of the mean squared gradient that is kept at each step"
    )
    eps: Annotated[Positive, TRACED] = Field(
        default=1e-8, description="added to the root of the mean squared gradient"
    )

    @property
    def curvature_limit(self) -> None:
        return None


class RmsProp(GradientOptimizer):
    """RMSProp with momentum: g / sqrt(nu + eps), eps inside the root as in optax."""

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: Annotated[Positive, TRACED] = Field(
        default=1e-3, description="size of a step, before the schedule"
    )
    decay: Annotated[Fraction, TRACED] = Field(
        default=0.9, description="share of the mean squared gradient that is kept at each step"
    )
    eps: Annotated[Positive, TRACED] = Field(
        default=1e-8, description="added to the mean squared gradient, inside the root"
    )
    momentum: Annotated[Fraction, TRACED] = Field(
        default=0.0, description="share of the last step that is added to this one"
    )

    @property
    def curvature_limit(self) -> None:
        return None


class Langevin(GradientOptimizer):
    """Gradient descent with noise: theta <- theta - lr g + sqrt(2 lr T / n) xi, xi ~ N(0, I).

    g is the gradient of the mean loss over n training examples, plus the penalty's. At small
    learning rates and full batch its stationary law is exp(-sum of losses / T) times
    N(0, T / (n l2)): a prior of deviation s is l2 = T / (n s^2), and without `l2` it is flat.
    On a quadratic of curvature a the variance is 2T / (n a (2 - lr a)) exactly, T / (n a) for
    small lr. Minibatches add their own noise (then it is SGLD), and T = 0 is SGD.

    Source:
        Welling & Teh (2011), ICML, equation 4, with a constant step 2 lr T / n.
    """

    kind: Literal["langevin"] = "langevin"
    temperature: Annotated[NonNegative, TRACED] = Field(
        default=1.0, description="T, of the noise: the law is exp(-sum of losses / T); 0: no noise"
    )

    @property
    def curvature_limit(self) -> float | None:
        plain = _limit_of_plain_steps(self)
        return None if plain is None else plain - self.l2


class Search(Optimizer):
    """What the searches that compute no gradients share."""

    @property
    def compares_losses(self) -> bool:
        return True

    @property
    def curvature_limit(self) -> None:
        return None


class RandomSearch(Search):
    """Greedy random search: noise on all parameters, kept where the training loss falls.

    It computes no gradients. A step is one candidate.
    """

    kind: Literal["random_search"] = "random_search"
    std: Annotated[Positive, TRACED] = Field(default=0.1, description="of the noise, at first")
    patience: TracedCount = Field(
        default=100, description="refusals in a row after which std shrinks"
    )
    shrink: Shrink = Field(
        default=0.5, description="multiplies std after `patience` refusals in a row"
    )


class PatternSearch(Search):
    """Pattern search: one parameter up or down by a step, kept where the training loss falls.

    It computes no gradients. A step is one candidate; a sweep is 2P of them, both moves of
    every parameter in random order.
    """

    kind: Literal["pattern_search"] = "pattern_search"
    step_size: Annotated[Positive, TRACED] = Field(default=1.0, description="of a move, at first")
    shrink: Shrink = Field(default=0.5, description="after a sweep without improvement")


OptimizerSpec = Annotated[
    Sgd | Adam | RmsProp | Langevin | RandomSearch | PatternSearch, Field(discriminator="kind")
]
"""The optimisers that can stand in a sweep file: this is the list of them."""
