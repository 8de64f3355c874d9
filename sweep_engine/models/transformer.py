"""A small transformer, which reads its answer at the last token."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.models.networks import ACTIVATIONS
from sweep_engine.models.norms import normalised


class Table(nn.Module):
    """A row of numbers for every token, or for every place."""

    shape: tuple[int, int]

    @nn.compact
    def __call__(self) -> Float[Array, "V H"]:
        table: Array = self.param("embedding", nn.initializers.normal(1.0), self.shape)
        return table


class Attention(nn.Module):
    """Softmax attention of several heads, each of `width / heads`, without biases.

    Source:
        Vaswani et al. (2017), Attention is all you need, NeurIPS, section 3.2.
    """

    width: int
    heads: int
    causal: bool

    @nn.compact
    def __call__(self, x: Float[Array, "N T H"]) -> Float[Array, "N T H"]:
        query, key, value = (
            nn.Dense(self.width, use_bias=False, name=name)(x).reshape(*x.shape[:2], self.heads, -1)
            for name in ("query", "key", "value")
        )
        scores = jnp.einsum("nthd,nshd->nhts", query, key) / query.shape[-1] ** 0.5
        if self.causal:
            is_past = jnp.tril(jnp.ones(scores.shape[-2:], bool))
            scores = jnp.where(is_past, scores, -jnp.inf)
        shares = jax.nn.softmax(scores, axis=-1)
        found = jnp.einsum("nhts,nshd->nthd", shares, value).reshape(x.shape)
        return nn.Dense(self.width, use_bias=False, name="output")(found)


class TransformerNetwork(nn.Module):
    """Embeddings, blocks of attention and a hidden layer with residuals, outputs at the end.

    Tokens are looked up by a product with a one-hot row: gradients of a product are sums in one
    order, those of a look-up are not on a GPU.
    """

    vocabulary: int
    blocks: int
    width: int
    heads: int
    hidden: int
    activation: str
    norm: str | None
    causal: bool
    num_outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, "N T"]) -> Float[Array, "N C"]:
        one_hot = jax.nn.one_hot(x.astype(jnp.int32), self.vocabulary)
        x = one_hot @ Table((self.vocabulary, self.width), name="tokens")()
        x = x + Table((x.shape[1], self.width), name="places")()
        for i in range(self.blocks):
            attend = Attention(self.width, self.heads, self.causal, name=f"attention_{i}")
            x = x + attend(normalised(self.norm, x))
            hidden = nn.Dense(self.hidden, name=f"hidden_{i}")(normalised(self.norm, x))
            x = x + nn.Dense(self.width, name=f"back_{i}")(ACTIVATIONS[self.activation](hidden))
        return nn.Dense(self.num_outputs, use_bias=False, name="unembedding")(
            normalised(self.norm, x[:, -1])
        )
