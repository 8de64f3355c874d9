"""What is fixed when a scan of a prior is built, and what it finds."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from jaxtyping import Array, Int, UInt8


@dataclass(frozen=True)
class Case:
    """The static part of a scan: a multilayer perceptron with one output, and a law.

    Attributes:
        widths: D, the hidden widths, 1.
        activation: Between the layers; `gelu` is the tanh approximation.
        bias: Whether layers have biases.
        law: Of every parameter at scale 1: N(0, 1), or uniform on [-1, 1].
        num_inputs: N, the inputs on which the function is read.
    """

    widths: tuple[int, ...]
    activation: Literal["relu", "tanh", "gelu", "linear"] = "relu"
    bias: bool = True
    law: Literal["gaussian", "uniform"] = "gaussian"
    num_inputs: int = 1

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1 or self.widths[-1] != 1:
            raise ValueError(f"expected widths D, ..., 1 of at least 1, got {self.widths}")

    @property
    def num_params(self) -> int:
        """P, the length of theta: layer by layer, weights (in, out) row-major before biases."""
        return sum((n + self.bias) * m for n, m in pairwise(self.widths))


class Found(NamedTuple):
    """What a scan finds of every draw.

    Attributes:
        function: Its labels on the inputs, 1 where the output is > 0, eight a byte, the first in
            the highest bit.
        wrong: How many of the targets it misses; a draw fits where that is 0.
    """

    function: UInt8[Array, "R bytes"]
    wrong: Int[Array, " R"]
