"""The networks of the benchmark: a dense one as a user of flax would write it, and a CNN."""

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from sweep_engine.models.cnn import cnn_module
from sweep_engine.spec.models import Cnn

STRIDE, PADDING = 2, 1
MNIST1D_CNN = Cnn(channels=(25, 25, 25), kernel=(5, 3, 3), stride=STRIDE, padding=PADDING)
"""The CNN of MNIST-1D: Greydanus & Kobak (2024), ICML."""


def mnist1d_module(num_outputs: int = 10) -> nn.Module:
    """Give its flax module."""
    return cnn_module(MNIST1D_CNN, num_outputs)


class PlainMlp(nn.Module):
    """Dense layers with relu between them: the engine's `mlp` has its parameters."""

    widths: tuple[int, ...]
    num_outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, "N D"]) -> Float[Array, "N C"]:
        for width in self.widths:
            x = jax.nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.num_outputs)(x)
