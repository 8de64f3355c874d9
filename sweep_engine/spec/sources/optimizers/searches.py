"""Optimisers that compute no gradients."""

from typing import Annotated, Literal

from pydantic import Field

from sweep_engine.spec.base import TRACED, Positive, Share, TracedCount
from sweep_engine.spec.sources.optimizers.optimizer import Optimizer

Shrink = Annotated[Share, TRACED]


class Search(Optimizer):
    """Base of searches that compute no gradients."""

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
