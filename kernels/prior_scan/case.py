"""What is fixed when a scan of a prior is built, and what it finds."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from sweep_engine.threefry import Numbers

Norm = Literal["frobenius", "path"]
"""Names what margins may be divided by: the product of the layers' Frobenius norms, or the path
norm."""


class Block(NamedTuple):
    """Name some arrays of theta, one after the other, that are drawn by one key."""

    numbers: Numbers
    arrays: int


@dataclass(frozen=True)
class Case:
    """Fix the static part of a scan: a multilayer perceptron and a law.

    Attributes:
        widths: D, the hidden widths, C.
        blocks: The law of theta, in its order: what the A arrays are before they are scaled.
        activation: Between the layers; `gelu` is the tanh approximation.
        bias: Whether layers have biases.
        num_inputs: N, the inputs on which the function is read.
        norm: What the margin is divided by; None where it is taken as it is.
    """

    widths: tuple[int, ...]
    blocks: tuple[Block, ...]
    activation: Literal["relu", "tanh", "gelu", "linear"] = "relu"
    bias: bool = True
    num_inputs: int = 1
    norm: Norm | None = None

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"expected widths D, ..., C of at least 1, got {self.widths}")
        arrays = [block.arrays for block in self.blocks]
        if min(arrays, default=0) < 1 or sum(arrays) != len(self.sizes):
            raise ValueError(f"expected blocks of {len(self.sizes)} arrays in all, got {arrays}")

    @classmethod
    def of_one_key(
        cls,
        numbers: Numbers,
        widths: tuple[int, ...],
        activation: Literal["relu", "tanh", "gelu", "linear"] = "relu",
        bias: bool = True,
        num_inputs: int = 1,
    ) -> "Case":
        """Give the case of a law that draws all of theta at once."""
        block = Block(numbers, (len(widths) - 1) * (1 + bias))
        return cls(widths, (block,), activation, bias, num_inputs)

    @property
    def num_outputs(self) -> int:
        """Return C: one whose sign is the label, or one a label."""
        return self.widths[-1]

    @property
    def num_bytes(self) -> int:
        """Count the bytes of a function: eight of two labels in each, or one a label."""
        return -(-self.num_inputs // 8) if self.num_outputs <= 2 else self.num_inputs

    @property
    def sizes(self) -> list[int]:
        """Of the A arrays in theta: layer by layer, weights (in, out) row-major, then biases."""
        layers = list(pairwise(self.widths))
        return [size for n, m in layers for size in ([n * m, m] if self.bias else [n * m])]

    @property
    def num_params(self) -> int:
        """P, the length of theta."""
        return sum(self.sizes)

    @property
    def flops(self) -> int:
        """Floating-point operations of one draw: its products, and some 60 a random number."""
        return 2 * self.num_inputs * sum(n * m for n, m in pairwise(self.widths)) + (
            60 * self.num_params
        )


class Found(NamedTuple):
    """What a scan finds of every draw.

    Attributes:
        function: Its labels on the inputs: of one output 1 where it is > 0, of several the largest,
            the first of equals, NaN being largest. Two labels stand eight to a byte, the first in
            the highest bit; more one to a byte.
        wrong: How many of the targets it misses, by its label or by an output that is NaN.
        margin: Its smallest margin over the targets: of one output that output with the target's
            sign, of several the target's less the largest of the others. One of 0 or NaN
            counts as inf where the label is right, else as -inf; inf without targets. It is
            divided by the case's norm of the network, and -inf where that is no positive number.
    """

    function: UInt8[Array, "R bytes"]
    wrong: Int[Array, " R"]
    margin: Float[Array, " R"]


def found_shapes(case: Case, num_draws: int) -> tuple[jax.ShapeDtypeStruct, ...]:
    """List the shapes of what a kernel finds."""
    return (
        jax.ShapeDtypeStruct((num_draws, case.num_bytes), jnp.uint8),
        jax.ShapeDtypeStruct((num_draws,), jnp.int32),
        jax.ShapeDtypeStruct((num_draws,), jnp.float32),
    )


def macros(case: Case) -> dict[str, str]:
    """Name the static choices that are compiled into a kernel."""
    values = {
        "WIDTHS": ",".join(map(str, case.widths)),
        "ACTIVATION": {"tanh": "tanh_"}.get(case.activation, case.activation),
        "BIAS": int(case.bias),
        "INPUTS": case.num_inputs,
        "NORM": case.norm or "none",
        "LAW": ",".join(f"{{{block.numbers},{block.arrays}}}" for block in case.blocks),
    }
    return {f"SWEEP_{name}": str(value) for name, value in values.items()}
