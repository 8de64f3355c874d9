"""The dense network of the benchmark, as a user of flax would write it."""

import flax.linen as nn
import jax
from jaxtyping import Array, Float


class PlainMlp(nn.Module):
    """Dense layers with relu between them: the engine's `mlp` has its parameters."""

    widths: tuple[int, ...]
    num_outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, "N D"]) -> Float[Array, "N C"]:
        for width in self.widths:
            x = jax.nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.num_outputs)(x)
