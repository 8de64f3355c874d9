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
    learning_rate: Annotated[Positive, TRACED] = 1e-3
    momentum: Annotated[Fraction, TRACED] = 0.0


class Lion(UnlimitedOptimizer):
    """Lion: the sign of b1 m + (1 - b1) g; then m <- b2 m + (1 - b2) g.

    Source:
        Chen et al. (2023), Symbolic discovery of optimization algorithms, NeurIPS.
    """

    kind: Literal["lion"] = "lion"
    learning_rate: Annotated[Positive, TRACED] = 1e-4
    b1: Annotated[Fraction, TRACED] = 0.9
    b2: Annotated[Fraction, TRACED] = 0.99


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
    learning_rate: Annotated[Positive, TRACED] = 0.02
    momentum: Annotated[Fraction, TRACED] = 0.95
    iterations: Count = 5
    eps: Annotated[Positive, TRACED] = 1e-8
    vector_scale: Annotated[NonNegative, TRACED] = Field(
        default=1.0, description="what steps of vectors are multiplied by"
    )
    b1: Annotated[Fraction, TRACED] = Field(default=0.9, description="of vectors")
    b2: Annotated[Fraction, TRACED] = Field(default=0.999, description="of vectors")
