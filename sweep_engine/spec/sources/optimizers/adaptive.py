"""Optimisers that divide the gradient by what past gradients were."""

from typing import Annotated, Literal

from sweep_engine.spec.base import TRACED, Fraction, NonNegative, Positive
from sweep_engine.spec.sources.optimizers.optimizer import UnlimitedOptimizer


class Adam(UnlimitedOptimizer):
    """Adam; with `weight_decay` it is AdamW."""

    kind: Literal["adam", "adamw"] = "adam"
    learning_rate: Annotated[Positive, TRACED] = 1e-3
    b1: Annotated[Fraction, TRACED] = 0.9
    b2: Annotated[Fraction, TRACED] = 0.999
    eps: Annotated[Positive, TRACED] = 1e-8


class RmsProp(UnlimitedOptimizer):
    """RMSProp with momentum: g / sqrt(nu + eps), eps inside the root as in optax."""

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: Annotated[Positive, TRACED] = 1e-3
    decay: Annotated[Fraction, TRACED] = 0.9
    eps: Annotated[Positive, TRACED] = 1e-8
    momentum: Annotated[Fraction, TRACED] = 0.0


class GroupRmsProp(UnlimitedOptimizer):
    """RMSProp with one number for the whole network: g / (sqrt(nu) + eps).

    nu is the running mean of |g|^2, the squared norm over all parameters, divided by
    1 - decay^t as in Adam. The direction is the gradient's own.

    Source:
        Arora, Cohen, Hu & Luo (2019), NeurIPS, and the code published with it.
    """

    kind: Literal["group_rmsprop"] = "group_rmsprop"
    learning_rate: Annotated[Positive, TRACED] = 1e-2
    decay: Annotated[Fraction, TRACED] = 0.99
    eps: Annotated[Positive, TRACED] = 1e-6


class Adagrad(UnlimitedOptimizer):
    """Adagrad: g / sqrt(G + eps), G = `initial` plus the sum of squared gradients, as in optax.

    Source:
        Duchi, Hazan & Singer (2011), JMLR 12.
    """

    kind: Literal["adagrad"] = "adagrad"
    initial: Annotated[NonNegative, TRACED] = 0.1
    eps: Annotated[Positive, TRACED] = 1e-7
