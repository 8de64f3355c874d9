"""Chains of dense layers: linear ones are their end-to-end product, relu ones their paths."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.models import DenseLayers, dense_layers, matrices
from sweep_engine.observables.factorisations.factorisation import Factorisation, norm, signs


@dataclass(frozen=True)
class Chain(Factorisation):
    """Base of linear and relu chains."""

    def layers(self, theta: Float[Array, " P"]) -> DenseLayers:
        """Cut theta into layers."""
        return dense_layers(self.network, theta)

    @property
    def has_biases(self) -> bool:
        """Say whether layers have biases; each then counts as one more weight into a unit."""
        return any(leaf.is_bias for leaf in self.network.layout.leaves)

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of every layer, the inputs' and the outputs' too."""
        shapes = [leaf.shape for leaf in self.network.layout.leaves if not leaf.is_bias]
        return shapes[0][0], *(shape[1] for shape in shapes)

    def incoming(self, theta: Float[Array, " P"]) -> list[Float[Array, "F H"]]:
        """Return every layer's weights, and its biases as one row more."""
        kernels, biases, _ = self.layers(theta)
        if biases is None:
            return kernels
        return [jnp.vstack(pair) for pair in zip(kernels, biases, strict=True)]


@dataclass(frozen=True)
class LinearChain(Chain):
    """Linear layers: phi is the end-to-end product; with biases the affine map, offset last.

    Conserved: W2' W2 - W1 W1' - b1 b1' of the layers before and after every hidden one, where
    the matrices map columns to columns.

    Source:
        Arora, Cohen & Hazan (2018), On the optimization of deep networks, ICML, theorem 1.
    """

    @property
    def size(self) -> int:
        return (self.widths[0] + self.has_biases) * self.widths[-1]

    @property
    def num_conserved(self) -> int:
        """Sum r (2n + 1 - r) / 2 over hidden layers; r is n, or what goes in and out if less.

        Source:
            Marcotte, Gribonval & Peyre (2023), section 4, of two layers.
        """
        triples = zip(self.widths, self.widths[1:-1], self.widths[2:], strict=False)
        ranks = [(n, min(n, before + self.has_biases + after)) for before, n, after in triples]
        return sum(rank * (2 * n + 1 - rank) // 2 for n, rank in ranks)

    def lift(self, theta: Float[Array, " P"]) -> Float[Array, " d"]:
        kernels, biases, _ = self.layers(theta)
        product = kernels[0] if biases is None else jnp.vstack([kernels[0], biases[0]])
        for i, kernel in enumerate(kernels[1:], start=1):
            product = product @ kernel
            if biases is not None:
                product = product.at[-1].add(biases[i])
        return product.ravel()

    def project(self, theta: Float[Array, " P"], key: Key[Array, ""]) -> Float[Array, ""]:
        kernels, biases, _ = self.layers(theta)
        first, last, offset = jax.random.split(key, 3)
        x = signs(first, self.widths[0])
        constant = signs(offset, 1)[0]
        for i, kernel in enumerate(kernels):
            x = x @ kernel if biases is None else x @ kernel + constant * biases[i]
        return jnp.dot(x, signs(last, self.widths[-1]))

    def distance(self, theta: Float[Array, " P"], start: Float[Array, " P"]) -> Float[Array, ""]:
        return norm([self.lift(theta) - self.lift(start)])

    def conserved(self, theta: Float[Array, " P"]) -> list[Array]:
        kernels, incoming = self.layers(theta).kernels, self.incoming(theta)
        pairs = zip(incoming, kernels[1:], strict=False)
        return [outgoing @ outgoing.T - before.T @ before for before, outgoing in pairs]


@dataclass(frozen=True)
class MatrixProduct(LinearChain):
    """A product of matrices alone, which is phi: a linear chain that is given no inputs."""

    def layers(self, theta: Float[Array, " P"]) -> DenseLayers:
        return DenseLayers(matrices(self.network, theta), None, "linear")


@dataclass(frozen=True)
class ReluChain(Chain):
    """Relu layers: phi has the product of the weights along every path to an output.

    A path starts at an input or at a bias. Rescaling a unit leaves phi as it is. Conserved:
    |in|^2 - |out|^2 of every hidden unit, the bias with what goes in.

    Source:
        Gonon, Brisebarre, Riccietti & Gribonval (2024), ICLR, definition 3 (path-lifting);
        Du, Hu & Lee (2018), NeurIPS, theorem 2.1 (conserved).
    """

    @property
    def size(self) -> int:
        paths = self.widths[0]
        for width in self.widths[1:]:
            paths = (paths + self.has_biases) * width
        return paths

    @property
    def num_conserved(self) -> int:
        return sum(self.widths[1:-1])

    def lift(self, theta: Float[Array, " P"]) -> Float[Array, " d"]:
        first, *rest = self.incoming(theta)
        reached = first
        for layer in rest:
            weights = layer[: reached.shape[1]]
            paths = (reached[:, :, None] * weights).reshape(-1, layer.shape[1])
            reached = jnp.vstack([paths, layer[len(weights) :]])
        return reached.ravel()

    def project(self, theta: Float[Array, " P"], key: Key[Array, ""]) -> Float[Array, ""]:
        """Give every weight a sign: a path's is their product, and two paths differ in a weight."""
        kernels, biases, _ = self.layers(theta * signs(key, len(theta)))
        x = jnp.ones(self.widths[0], theta.dtype)
        for i, kernel in enumerate(kernels):
            x = x @ kernel if biases is None else x @ kernel + biases[i]
        return jnp.sum(x)

    def distance(self, theta: Float[Array, " P"], start: Float[Array, " P"]) -> Float[Array, ""]:
        """Sum squares layer by layer, of d = phi - phi_0 along paths, so that small ones stay.

        With w = w_0 + v, a path's d becomes w d + v phi_0 and its phi_0 becomes w_0 phi_0.
        """
        one = jnp.ones(self.widths[0], theta.dtype)
        dd, dp, pp = jnp.zeros_like(one), jnp.zeros_like(one), one  # d d, d phi_0, phi_0 phi_0
        for layer, before in zip(self.incoming(theta), self.incoming(start), strict=True):
            w, w0 = layer[: len(dd)], before[: len(dd)]
            v = w - w0
            b, b0 = layer[len(dd) :], before[len(dd) :]  # one row, or none
            dd, dp, pp = (
                dd @ (w * w) + 2 * (dp @ (w * v)) + pp @ (v * v) + jnp.sum((b - b0) ** 2, axis=0),
                dp @ (w * w0) + pp @ (v * w0) + jnp.sum((b - b0) * b0, axis=0),
                pp @ (w0 * w0) + jnp.sum(b0 * b0, axis=0),
            )
        return jnp.sqrt(jnp.maximum(jnp.sum(dd), 0.0))

    def conserved(self, theta: Float[Array, " P"]) -> list[Array]:
        kernels, incoming = self.layers(theta).kernels, self.incoming(theta)
        pairs = zip(incoming, kernels[1:], strict=False)
        return [jnp.sum(before**2, axis=0) - jnp.sum(after**2, axis=1) for before, after in pairs]
