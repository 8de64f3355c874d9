"""Networks with normalised layers, and with residual connections."""

import flax.linen as nn
from jaxtyping import Array, Float

from sweep_engine.models.networks import ACTIVATIONS
from sweep_engine.models.norms import normalised
from sweep_engine.spec.models import Norm


class NormalisedMlpNetwork(nn.Module):
    """Dense layers, each with its norm and then its activation; the last has neither."""

    widths: tuple[int, ...]
    activation: str
    bias: bool
    norm: Norm
    num_outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, "N D"]) -> Float[Array, "N C"]:
        for width in self.widths:
            x = normalised(self.norm, nn.Dense(width, use_bias=self.bias)(x))
            x = ACTIVATIONS[self.activation](x)
        return nn.Dense(self.num_outputs, use_bias=self.bias)(x)


class ResidualNetwork(nn.Module):
    """f(x) = V n(h_B), h_b = h_{b-1} + W_b phi(U_b n(h_{b-1})), h_0 = U_0 x; n is the norm."""

    blocks: int
    width: int
    activation: str
    bias: bool
    norm: Norm | None
    num_outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, "N D"]) -> Float[Array, "N C"]:
        x = nn.Dense(self.width, use_bias=self.bias)(x)
        for _ in range(self.blocks):
            branch = nn.Dense(self.width, use_bias=self.bias)(normalised(self.norm, x))
            branch = ACTIVATIONS[self.activation](branch)
            x = x + nn.Dense(self.width, use_bias=self.bias)(branch)
        return nn.Dense(self.num_outputs, use_bias=self.bias)(normalised(self.norm, x))
