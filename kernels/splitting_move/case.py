"""Define what is fixed when a move is built, what a move is given, and what it gives back."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from sweep_engine.kernels.prior_scan.case import Norm

PROPOSALS = 4
"""Counts the angles that a move tries at most. Normals cost more than small networks' outputs."""

Image = Literal["normal", "uniform", "ones"]
"""Says what an array's parameters are of its normals z, before they are scaled: z, 2 Phi(z) - 1, or
1, which takes none."""


@dataclass(frozen=True)
class Case:
    """Fix the static part of a move: a multilayer perceptron, and a law as an image of normals.

    Attributes:
        widths: D, the hidden widths, C.
        images: What each of theta's A arrays is, before it is scaled.
        activation: Between the layers; `gelu` is the tanh approximation.
        bias: Whether layers have biases.
        num_inputs: N, the inputs on which the level is computed.
        norm: What a rule's margin is divided by; None where it is taken as it is.
    """

    widths: tuple[int, ...]
    images: tuple[Image, ...]
    activation: Literal["relu", "tanh", "gelu", "linear"] = "relu"
    bias: bool = True
    num_inputs: int = 1
    norm: Norm | None = None

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"expected widths D, ..., C of at least 1, got {self.widths}")
        if len(self.images) != len(self.sizes) or not self.num_normals:
            raise ValueError(
                f"expected images of {len(self.sizes)} arrays, not all of them ones, "
                f"got {self.images}"
            )

    @property
    def sizes(self) -> list[int]:
        """List the sizes of the A arrays by layer: weights (in, out) row-major, then biases."""
        layers = list(pairwise(self.widths))
        return [size for n, m in layers for size in ([n * m, m] if self.bias else [n * m])]

    @property
    def num_normals(self) -> int:
        """Count the normals of which theta is made, M."""
        return sum(
            size for size, image in zip(self.sizes, self.images, strict=True) if image != "ones"
        )

    @property
    def flops(self) -> int:
        """Count the floating-point operations of a move at most: products, some 60 a normal."""
        products = 2 * self.num_inputs * sum(n * m for n, m in pairwise(self.widths))
        return PROPOSALS * products + 60 * self.num_normals


@dataclass(frozen=True)
class Rule:
    """Say what level is climbed; the lowest where it is of both errors and margins.

    Attributes:
        allowed: How many labels may be wrong: the level is the margin after so many; None where
            any may.
        climbs_errors: Whether it is the number of wrong labels too many instead, with ties told
            apart by the margin of the wrong one that is nearest to right. Needs `allowed`.
        margin: The ends between which the smallest margin has to lie; None where it may be any.
    """

    allowed: int | None = 0
    climbs_errors: bool = False
    margin: tuple[float, float] | None = None


class Draws(NamedTuple):
    """Hold what a move draws beside its normals.

    Attributes:
        keys: Of the normals, as by jax.random.
        shares: Uniform on [0, 1): where about 0 the bracket of angles lies, and each angle in it.
        windows: The first coordinate that moves, and how many do, cyclically; at least 1.
    """

    keys: Key[Array, " R"]
    shares: Float[Array, "R 5"]
    windows: Int[Array, "R 2"]


class Moved(NamedTuple):
    """Hold what a move gives back: where particles are, and whether they found an angle."""

    normals: Float[Array, "R M"]
    level: Float[Array, " R"]
    found: Bool[Array, " R"]


def macros(case: Case) -> dict[str, str]:
    """Name the static choices that are compiled into a kernel."""
    values = {
        "WIDTHS": ",".join(map(str, case.widths)),
        "ACTIVATION": {"tanh": "tanh_"}.get(case.activation, case.activation),
        "BIAS": int(case.bias),
        "INPUTS": case.num_inputs,
        "IMAGES": ",".join(case.images),
        "PROPOSALS": PROPOSALS,
        "NORM": case.norm or "none",
    }
    return {f"SWEEP_{name}": str(value) for name, value in values.items()}


def ends_of(rule: Rule) -> Float[np.ndarray, "2"]:
    """Return the ends of a rule's margin, infinite where it has none."""
    return np.array(rule.margin or (-np.inf, np.inf), np.float32)
