"""Optimisers that divide the gradient by what past gradients were."""

from typing import Annotated, Literal

from pydantic import Field

from sweep_engine.spec.base import TRACED, Fraction, NonNegative, Positive
from sweep_engine.spec.sources.optimizers.optimizer import UnlimitedOptimizer


class Adam(UnlimitedOptimizer):
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


class RmsProp(UnlimitedOptimizer):
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


class GroupRmsProp(UnlimitedOptimizer):
    """RMSProp with one number for the whole network: g / (sqrt(nu) + eps).

    nu is the running mean of |g|^2, the squared norm over all parameters, divided by
    1 - decay^t as in Adam. The direction is the gradient's own.

    Source:
        Arora, Cohen, Hu & Luo (2019), NeurIPS, and the code published with it.
    """

    kind: Literal["group_rmsprop"] = "group_rmsprop"
    learning_rate: Annotated[Positive, TRACED] = Field(
        default=1e-2, description="size of a step, before the schedule"
    )
    decay: Annotated[Fraction, TRACED] = Field(
        default=0.99, description="share of the mean of |g|^2 that is kept at each step"
    )
    eps: Annotated[Positive, TRACED] = Field(
        default=1e-6, description="added to the root of the mean of |g|^2"
    )


class Adagrad(UnlimitedOptimizer):
    """Adagrad: g / sqrt(G + eps), G = `initial` plus the sum of squared gradients, as in optax.

    Source:
        Duchi, Hazan & Singer (2011), JMLR 12.
    """

    kind: Literal["adagrad"] = "adagrad"
    initial: Annotated[NonNegative, TRACED] = Field(
        default=0.1, description="what the sum of squared gradients starts from"
    )
    eps: Annotated[Positive, TRACED] = Field(
        default=1e-7, description="added to the sum, inside the root"
    )
