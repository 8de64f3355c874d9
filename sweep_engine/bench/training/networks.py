"""The networks of the benchmark, as a user of flax would write them."""

import flax.linen as nn
import jax
from jaxtyping import Array, Float

CHANNELS = 25
WINDOWS = (5, 3, 3)
STRIDE, PADDING = 2, 1


class Conv1d(nn.Module):
    """Three convolutions over positions, and a dense layer: the CNN of MNIST-1D.

    Source:
        Greydanus & Kobak (2024), Scaling down deep learning with MNIST-1D, ICML.
    """

    num_outputs: int = 10

    @nn.compact
    def __call__(self, x: Float[Array, "N L"]) -> Float[Array, "N C"]:
        x = x[..., None]
        for window in WINDOWS:
            layer = nn.Conv(CHANNELS, (window,), strides=STRIDE, padding=PADDING)
            x = jax.nn.relu(layer(x))
        return nn.Dense(self.num_outputs)(x.reshape(len(x), -1))


class PlainMlp(nn.Module):
    """Dense layers with relu between them: the engine's `mlp` has its parameters."""

    widths: tuple[int, ...]
    num_outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, "N D"]) -> Float[Array, "N C"]:
        for width in self.widths:
            x = jax.nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.num_outputs)(x)
