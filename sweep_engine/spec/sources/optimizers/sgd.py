"""Optimisers that step along the gradient itself, at the network or beside it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sweep_engine.spec.base import TRACED, Count, Flag, Fraction, NonNegative, Positive
from sweep_engine.spec.sources.optimizers.optimizer import (
    EdgeOptimizer,
    GradientOptimizer,
    UnlimitedOptimizer,
    limit_of_plain_steps,
)


class Sgd(EdgeOptimizer):
    """SGD with heavy-ball or Nesterov momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: Annotated[Fraction, TRACED] = Field(
        default=0.0, description="share of the last step that is added to this one"
    )
    nesterov: Flag = Field(default=False, description="take the gradient one momentum step ahead")

    @property
    def curvature_limit(self) -> float | None:
        """Say where a root of the step's characteristic polynomial reaches -1.

        Source:
            Cohen, Kaur, Li, Kolter & Talwalkar (2021), ICLR, appendix B, without decay.
        """
        plain = limit_of_plain_steps(self)
        if plain is None:
            return None
        growth = (1 + self.momentum) / (1 + 2 * self.momentum if self.nesterov else 1)
        return growth * plain - self.l2


class Langevin(EdgeOptimizer):
    """Gradient descent with noise: theta <- theta - lr g + sqrt(2 lr T / n) xi, xi ~ N(0, I).

    g is the gradient of the mean loss over n training examples, plus the penalty's. At small
    learning rates and full batch its stationary law is exp(-sum of losses / T) times
    N(0, T / (n l2)): a prior of deviation s is l2 = T / (n s^2), and without `l2` it is flat.
    On a quadratic of curvature a the variance is 2T / (n a (2 - lr a)) exactly, T / (n a) for
    small lr. Minibatches add their own noise (then it is SGLD), and T = 0 is SGD. Under
    `clip_norm` none of this holds.

    Source:
        Welling & Teh (2011), ICML, equation 4, with a constant step 2 lr T / n.
    """

    kind: Literal["langevin"] = "langevin"
    temperature: Annotated[NonNegative, TRACED] = Field(
        default=1.0, description="T, of the noise: the law is exp(-sum of losses / T); 0: no noise"
    )

    @property
    def curvature_limit(self) -> float | None:
        plain = limit_of_plain_steps(self)
        return None if plain is None else plain - self.l2


class Sam(UnlimitedOptimizer):
    """Sharpness-aware minimisation: SGD along the gradient at theta + radius g / |g|.

    g is the gradient at theta, |g| the norm over the whole network; both gradients are of this
    step's examples. `l2` and momentum act on the second gradient alone. Where g = 0 the step
    is SGD's.

    Source:
        Foret, Kleiner, Mobahi & Neyshabur (2021), ICLR, algorithm 1 with p = 2.
    """

    kind: Literal["sam"] = "sam"
    radius: Annotated[NonNegative, TRACED] = Field(
        default=0.05, description="how far uphill the gradient is taken; 0 is SGD"
    )
    momentum: Annotated[Fraction, TRACED] = Field(
        default=0.0, description="share of the last step that is added to this one"
    )


class SharpnessLimited(GradientOptimizer):
    """Gradient descent that goes no faster than a share of its own edge of stability.

    The step is min(learning_rate, share * 2 / (S + l2 + weight_decay)); S is the largest
    |eigenvalue| of the loss's Hessian over this step's examples, by `iterations` of power
    iteration from where the last step's ended, and 32 more before the first. That can only
    underestimate S, and steps are faster than the share says while the iteration lags behind.
    A step costs 1 + 2 `iterations` gradients.
    """

    curvature_limit: ClassVar[None] = None

    kind: Literal["sharpness_limited"] = "sharpness_limited"
    learning_rate: Annotated[Positive, TRACED] = Field(default=1.0, description="at most")
    share: Annotated[Positive, TRACED] = Field(
        default=0.5, description="of the edge; above 1 is beyond it"
    )
    iterations: Count = Field(default=2, description="of power iteration, at every step")


class StraightThrough(GradientOptimizer):
    """SGD on real weights behind a network whose weights are +scale and -scale.

    The gradient is that at the binary weights; the real ones take the step and are kept
    within [-scale, scale]. Biases are real. What is tested, stored and observed is the binary
    network, from the first step on; the start is what `init` draws.

    Source:
        Courbariaux, Bengio & David (2015), BinaryConnect, NeurIPS, algorithm 1, deterministic.
    """

    curvature_limit: ClassVar[None] = None

    kind: Literal["straight_through"] = "straight_through"
    scale: Annotated[Positive, TRACED] = Field(
        default=1.0, description="size of every weight of the binary network"
    )
    momentum: Annotated[Fraction, TRACED] = Field(
        default=0.0, description="share of the last step that is added to this one"
    )
