"""A convolutional network of signals, as a user of flax would write it."""

import flax.linen as nn
import jax
from jaxtyping import Array, Float

CHANNELS = 25
WINDOWS = (5, 3, 3)
STRIDE, PADDING = 2, 1


class CnnNetwork(nn.Module):
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
