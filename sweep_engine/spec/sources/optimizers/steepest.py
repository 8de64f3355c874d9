"""Optimisers whose step has a fixed size: steepest descent in another norm than Euclid's."""

from typing import Annotated, Literal

from pydantic import Field

from sweep_engine.spec.base import TRACED, Count, Fraction, NonNegative, Positive
from sweep_engine.spec.sources.optimizers.optimizer import UnlimitedOptimizer


class SignDescent(UnlimitedOptimizer):
    """Steps of the sign of the gradient, or of its momentum (signum); the sign of 0 is 0.

    Source:
        Bernstein, Wang, Azizzadenesheli & Anandkumar (2018), ICML.
    """

    kind: Literal["sign"] = "sign"
    learning_rate: Annotated[Positive, TRACED] = Field(
        default=1e-3, description="size of a step, before the schedule"
    )
    momentum: Annotated[Fraction, TRACED] = Field(
        default=0.0, description="share of the last step that is added to this one"
    )


class Lion(UnlimitedOptimizer):
    """Lion: the sign of b1 m + (1 - b1) g; then m <- b2 m + (1 - b2) g.

    Source:
        Chen et al. (2023), Symbolic discovery of optimization algorithms, NeurIPS.
    """

    kind: Literal["lion"] = "lion"
    learning_rate: Annotated[Positive, TRACED] = Field(
        default=1e-4, description="size of a step, before the schedule"
    )
    b1: Annotated[Fraction, TRACED] = Field(
        default=0.9, description="share of the momentum in the step"
    )
    b2: Annotated[Fraction, TRACED] = Field(
        default=0.99, description="share of the momentum that is kept at each step"
    )


class Muon(UnlimitedOptimizer):
    """Muon: momentum whose singular values are brought near 1, kernel by kernel.

    Kernels, the last layer's among them, step by sqrt(max(1, fan_out / fan_in)) times what
    `iterations` of Newton and Schulz make of their Nesterov momentum: singular values end
    between 0.7 and 1.2, not at 1. A convolution's kernel is one matrix, its window times
    channels in rows. Biases and other vectors step by Adam with Nesterov momentum, times
    `vector_scale`.

    Source:
        Jordan et al. (2024), Muon; optax.contrib.muon, with its coefficients.
    """

    kind: Literal["muon"] = "muon"
    learning_rate: Annotated[Positive, TRACED] = Field(
        default=0.02, description="size of a step, before the schedule"
    )
    momentum: Annotated[Fraction, TRACED] = Field(
        default=0.95, description="share of the mean gradient that is kept at each step"
    )
    iterations: Count = Field(default=5, description="of Newton and Schulz, at every step")
    eps: Annotated[Positive, TRACED] = Field(
        default=1e-8,
        description="added to a kernel's norm, and for vectors to the root of the mean square",
    )
    vector_scale: Annotated[NonNegative, TRACED] = Field(
        default=1.0, description="what steps of vectors are multiplied by"
    )
    b1: Annotated[Fraction, TRACED] = Field(
        default=0.9, description="share of the mean gradient kept, of vectors"
    )
    b2: Annotated[Fraction, TRACED] = Field(
        default=0.999, description="share of the mean square kept, of vectors"
    )
