"""Bases of all optimisers, and of those that use gradients."""

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from sweep_engine.spec.base import TRACED, Growing, NonNegative, Positive, Titled
from sweep_engine.spec.sources.optimizers.schedules import Constant, ScheduleSpec


class Optimizer(Titled, Growing, ABC):
    """Ask what every optimiser must answer."""

    @property
    @abstractmethod
    def compares_losses(self) -> bool:
        """Say whether a step compares two losses, which must be of one and the same examples."""

    @property
    @abstractmethod
    def curvature_limit(self) -> float | None:
        """The largest curvature of a quadratic loss at which full-batch steps do not grow.

        None where that depends on more than one eigenvalue (adaptive steps), changes from step
        to step (a schedule), or means nothing (no gradients).
        """


class GradientOptimizer(Optimizer):
    """Base of optimisers that use gradients.

    `l2` adds the gradient of the penalty (l2/2)|theta|^2 to the gradient; `weight_decay`
    shrinks the parameters by learning_rate * weight_decay beside the step (decoupled). Under
    plain SGD the two coincide. With momentum a run converges to where l2 is (1 - momentum)
    times the weight decay; under Adam and RMSProp the two are different algorithms.
    `Posterior` says which run is a MAP estimate of which prior.
    """

    later_keys: ClassVar[tuple[str, ...]] = ("clip_norm",)

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
    clip_norm: Annotated[Positive | None, TRACED] = Field(
        default=None,
        description="largest Euclidean norm of a network's whole gradient; a larger one is scaled "
        "down to it, before l2 is added",
    )
    schedule: ScheduleSpec = Field(
        default=Constant(), description="what the learning rate is multiplied by as steps go on"
    )

    @property
    def compares_losses(self) -> bool:
        return False


class EdgeOptimizer(GradientOptimizer):
    """Base of those whose learning rate may be a share of the edge along the first step.

    `of_edge` gives each run a learning rate of its own, measured at its start on the whole
    training set: that share of 2 g.u / |u.Hu|, where u is the optimiser's first step at rate 1, g
    the gradient and H the Hessian of the loss with its `l2`. Along a step that is longer than this
    edge the loss rises, to second order. So rates of different optimisers, starts and models
    compare; the column `learning_rate` has them.

    Source:
        Roulet et al. (2024), Stepping on the edge: curvature aware learning rate tuners, NeurIPS.
    """

    later_keys: ClassVar[tuple[str, ...]] = (*GradientOptimizer.later_keys, "of_edge")

    of_edge: Annotated[Positive | None, TRACED] = Field(
        default=None,
        description="learning rate as a share of the edge along the run's first step; then leave "
        "learning_rate out",
    )

    @model_validator(mode="after")
    def _has_one_rate(self) -> Self:
        usual = type(self).model_fields["learning_rate"].default
        if self.of_edge is not None and self.learning_rate != usual:
            raise ValueError("of_edge gives every run its own rate: leave learning_rate out")
        return self


class UnlimitedOptimizer(EdgeOptimizer):
    """Base of those whose stability on a quadratic is no matter of its largest curvature alone."""

    @property
    def curvature_limit(self) -> None:
        return None


def limit_of_plain_steps(optimizer: EdgeOptimizer) -> float | None:
    """Give 2 / learning rate, less the curvature that decoupled decay adds; None if rates vary.

    A clipped gradient changes nothing of it: near a minimum no gradient is large.
    """
    if not isinstance(optimizer.schedule, Constant) or optimizer.of_edge is not None:
        return None
    return 2 / optimizer.learning_rate - optimizer.weight_decay
