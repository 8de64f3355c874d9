"""What a law is once it is bound to a number of parameters."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Array, Float, Key

FloatLike = Array | float
"""A field of a law: a number, or inside a compiled program a tracer."""


class Atoms(NamedTuple):
    """The values that one parameter of a discrete law can take, with ln of their probabilities."""

    values: Float[np.ndarray, " n"]
    log_probabilities: Float[np.ndarray, " n"]


class Distribution(Protocol):
    """A law of n parameters: the image of independent standard normals z.

    All of a law stands in one class, so that its map, its density and its deviations cannot
    drift apart.
    """

    @property
    def num_params(self) -> int:
        """How many parameters n it draws."""

    @property
    def num_normals(self) -> int:
        """How many normals m make one draw."""

    def sample(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        """Draw directly: the law of `from_normals`, not necessarily its map."""

    def from_normals(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        """Map independent standard normals to a draw."""

    def log_density(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        """Compute the log-density in nats, -inf outside the support."""

    def std(self) -> Float[Array, " n"]:
        """Compute every parameter's standard deviation."""

    def atoms(self) -> Sequence[Atoms] | None:
        """List every parameter's atoms if the law is discrete; its parameters independent."""
