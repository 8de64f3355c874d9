"""How outputs are read as the labels that make a function."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8


@dataclass(frozen=True)
class LabelRule:
    """Outputs as labels.

    Attributes:
        num_labels: Size of the alphabet.
        labels: Maps outputs (N, C) to labels (N,).
        edges: Where real outputs are cut into levels; none where outputs are classes.
    """

    num_labels: int
    labels: Callable[[Float[Array, "N C"]], UInt8[Array, " N"]]
    edges: tuple[float, ...] = ()


def levels(low: float, high: float, count: int) -> LabelRule:
    """Cut real outputs into levels of equal width from low to high, the outer ones open.

    The label is how many edges an output exceeds, so that one edge is the rule of two labels.
    """
    edges = tuple(np.linspace(low, high, count + 1)[1:-1].astype(np.float32).tolist())

    def labels(outputs: Float[Array, "N C"]) -> UInt8[Array, " N"]:
        exceeds = outputs[:, :1] > jnp.asarray(edges, outputs.dtype)
        return jnp.sum(exceeds, axis=1, dtype=jnp.uint8)

    return LabelRule(count, labels, edges)
