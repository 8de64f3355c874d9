"""What is fixed when a scan of a prior is built, and what it finds."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, UInt8, UInt32


@dataclass(frozen=True)
class Case:
    """The static part of a scan: a multilayer perceptron with one output, and a law.

    Attributes:
        widths: D, the hidden widths, 1.
        activation: Between the layers; `gelu` is the tanh approximation.
        bias: Whether layers have biases.
        law: Of every parameter at scale 1: N(0, 1), or uniform on (-1, 1).
        num_inputs: N, the inputs on which the function is read.
    """

    widths: tuple[int, ...]
    activation: Literal["relu", "tanh", "gelu", "linear"] = "relu"
    bias: bool = True
    law: Literal["normal", "uniform"] = "normal"
    num_inputs: int = 1

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1 or self.widths[-1] != 1:
            raise ValueError(f"expected widths D, ..., 1 of at least 1, got {self.widths}")

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
        function: Its labels on the inputs, 1 where the output is > 0, eight a byte, the first in
            the highest bit.
        wrong: How many of the targets it misses, by its label or by an output that is NaN; a
            draw fits where that is 0.
    """

    function: UInt8[Array, "R bytes"]
    wrong: Int[Array, " R"]


def found_shapes(case: Case, num_draws: int) -> tuple[jax.ShapeDtypeStruct, ...]:
    """List the shapes of what a kernel finds."""
    return (
        jax.ShapeDtypeStruct((num_draws, -(-case.num_inputs // 8)), jnp.uint8),
        jax.ShapeDtypeStruct((num_draws,), jnp.int32),
    )


def words_of(keys: Key[Array, " R"]) -> UInt32[Array, "R 2"]:
    """Return the words of keys that a kernel draws by.

    Raises:
        ValueError: they are not JAX's default ones.
    """
    if str(jax.random.key_impl(keys)) != "threefry2x32":
        raise ValueError("expected threefry2x32 keys, JAX's default")
    return jax.random.key_data(keys)


def macros(case: Case) -> dict[str, str]:
    """Name the static choices that are compiled into a kernel."""
    values = {
        "WIDTHS": ",".join(map(str, case.widths)),
        "ACTIVATION": {"tanh": "tanh_"}.get(case.activation, case.activation),
        "BIAS": int(case.bias),
        "INPUTS": case.num_inputs,
        "LAW": case.law,
    }
    return {f"SWEEP_{name}": str(value) for name, value in values.items()}
