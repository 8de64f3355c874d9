"""Laws of products of factors: balanced ones, which gradient flow keeps so, and of given norm."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.laws.distribution import Distribution, FloatLike
from sweep_engine.laws.orthogonal import orthonormal_rows
from sweep_engine.models import Layout, Leaf
from sweep_engine.singular_values import singular_values

NEWTON_STEPS = 40
"""Newton's method on a convex function: a step a kink, and some 5 to rounding from there."""

LEAST = -80.0
"""Of ln sigma^2: exp of it is still a normal number in float32."""

MAX_SWEEPS = 1000
"""Over all layers; one hidden layer needs one, several some tens."""


class _Singular:
    """Refuse what networks on a set of volume 0, as balanced ones are, do not have."""

    def log_density(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        raise ValueError("networks of this law have volume 0: their law has no density")

    def std(self) -> Float[Array, " n"]:
        raise ValueError("the deviations of this law's parameters are not known")

    def atoms(self) -> None:
        return None


@dataclass(frozen=True)
class BalancedFactors(_Singular):
    """Factors of a product of independent entries N(0, std^2), balanced up to multiples of I.

    With singular values s_k of the product, W_l = Q_l diag(sigma_lk) Q_{l-1}' where
    sigma_{l+1,k}^2 - sigma_lk^2 = lambda_l and the product of sigma_lk over l is s_k. All Q are
    independent and uniform (Haar) with orthonormal columns: those at the ends too, since a
    Gaussian matrix stays one under rotations, which are independent of its singular values.

    Attributes:
        layout: A chain of dense layers.
        kind: What a sweep file calls the law, for messages.
        product_std: Of the product's entries, at scale 1.
        scale: Multiplies every factor.
        imbalance: Multiplies the pattern, to lambda.
        pattern: A number for every hidden layer, or one for all.

    Raises:
        ValueError: the layout is none of such a chain, or a layer has not the width it needs.
    """

    layout: Layout
    kind: str
    product_std: FloatLike
    scale: FloatLike
    imbalance: FloatLike
    pattern: tuple[float, ...] | float

    def __post_init__(self) -> None:
        hidden, least = self._sides[1:-1], self._rank
        if isinstance(self.pattern, tuple) and len(self.pattern) != len(hidden):
            raise ValueError(
                f"{self.kind}: pattern: give a number for every hidden layer: this model has "
                f"{len(hidden)}, got {len(self.pattern)}"
            )
        for width, number in zip(hidden, self._pattern, strict=True):
            if width < least:
                raise ValueError(
                    f"{self.kind}: a hidden layer of width {width} cannot pass on a product of "
                    f"rank {least}: give {least} or more"
                )
            if width > least and number != 0:
                raise ValueError(
                    f"{self.kind}: a hidden layer of width {width} is out of balance by a "
                    f"multiple of I only if it has as many units as there are inputs or outputs, "
                    f"whichever are fewer: {least}"
                )

    @property
    def _pattern(self) -> tuple[float, ...]:
        """A number for every hidden layer."""
        if isinstance(self.pattern, tuple):
            return self.pattern
        return (self.pattern,) * (len(self._sides) - 2)

    @property
    def _sides(self) -> tuple[int, ...]:
        """Inputs, hidden widths, outputs."""
        kernels = _chain(self.layout, self.kind)
        return kernels[0].shape[0], *(kernel.shape[1] for kernel in kernels)

    @property
    def _rank(self) -> int:
        return min(self._sides[0], self._sides[-1])

    @property
    def _shapes(self) -> list[tuple[int, int]]:
        """Of the normals: those of the product, then those of every Q."""
        longer = max(self._sides[0], self._sides[-1])
        return [(self._rank, side) for side in (longer, *self._sides)]

    @property
    def num_params(self) -> int:
        return self.layout.num_params

    @property
    def num_normals(self) -> int:
        return sum(map(math.prod, self._shapes))

    def sample(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        return self.from_normals(jax.random.normal(key, (self.num_normals,)))

    def from_normals(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        product, *rotations = _cut(z, self._shapes)
        values, converged = singular_values(product)
        # An unfinished iteration is no draw: its run counts as diverged.
        values = jnp.where(converged, values * self.product_std, jnp.nan)
        sides = [orthonormal_rows(rows) for rows in rotations]
        factors = _factor_values(values, self._lambdas()) * self.scale
        kernels = [
            jnp.matmul(rows.T * values, columns, precision=jax.lax.Precision.HIGHEST)
            for values, (rows, columns) in zip(factors, pairwise(sides), strict=True)
        ]
        return _joined(self.layout, kernels)

    def _lambdas(self) -> Float[Array, " l"]:
        """Compute lambda of every hidden layer, at scale 1."""
        return jnp.asarray(self._pattern, jnp.float32) * self.imbalance / jnp.square(self.scale)


def _factor_values(values: Float[Array, " k"], lambdas: Float[Array, " l"]) -> Float[Array, "L k"]:
    """Split singular values over the factors: squares differ by lambda, the product is given.

    The smallest square is x >= 0, the others x + g_l: sum ln(x + g_l) / 2 = ln s is solved for
    u = ln x, in which the left side is convex and rising. Newton's method falls to the root
    from x = s^(2/L), where all g_l would be 0.
    """
    steps = jnp.concatenate([jnp.zeros(1), jnp.cumsum(lambdas)])
    gaps = (steps - jnp.min(steps))[:, None]
    logs = jnp.log(jnp.maximum(values, jnp.finfo(values.dtype).tiny))

    def newton(_: Array, u: Float[Array, " k"]) -> Float[Array, " k"]:
        squares = jnp.exp(u) + gaps
        rise = jnp.sum(jnp.exp(u) / squares, axis=0) / 2
        below = u - (jnp.sum(jnp.log(squares), axis=0) / 2 - logs) / rise
        return jnp.maximum(below, LEAST)

    start = 2 * logs / len(gaps)
    u: Float[Array, " k"] = jax.lax.fori_loop(0, NEWTON_STEPS, newton, start)
    return jnp.sqrt(jnp.exp(u) + gaps)


@dataclass(frozen=True)
class _Changed(_Singular, ABC):
    """Base of laws that change a draw of another one."""

    layout: Layout
    law: Distribution

    @abstractmethod
    def _changed(self, theta: Float[Array, " n"]) -> Float[Array, " n"]:
        """Change a draw of the other law."""

    @property
    def num_params(self) -> int:
        return self.law.num_params

    @property
    def num_normals(self) -> int:
        return self.law.num_normals

    def sample(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        return self._changed(self.law.sample(key))

    def from_normals(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        return self._changed(self.law.from_normals(z))


@dataclass(frozen=True)
class BalancedUnits(_Changed):
    """Another law, with every hidden unit rescaled until its two sides have one norm.

    Raises:
        ValueError: the layout is not a chain of dense layers.
    """

    def __post_init__(self) -> None:
        _chain(self.layout, "balanced_units")

    def _changed(self, theta: Float[Array, " n"]) -> Float[Array, " n"]:
        """Rescale layer after layer, until a sweep over all changes nothing but rounding.

        Each step lowers |theta|^2 as far as it can by one layer's scales, in whose logarithms
        it is convex: the minimum is where all are balanced.
        """
        by_name = {leaf.path: _value(theta, leaf) for leaf in self.layout.leaves}
        kernels = [by_name[leaf.path] for leaf in _chain(self.layout, "balanced_units")]
        biases = [value for path, value in by_name.items() if path[-1] == "bias"]
        layers = [
            jnp.vstack([kernel, *(bias[None] for bias in biases[i : i + 1])])
            for i, kernel in enumerate(kernels)
        ]
        tolerance = 8 * float(jnp.finfo(theta.dtype).eps)

        def sweep(state: tuple[list[Array], Array, Array]) -> tuple[list[Array], Array, Array]:
            layers, _, number = state
            return *_swept(layers), number + 1

        def is_unfinished(state: tuple[list[Array], Array, Array]) -> Array:
            return (state[1] > tolerance) & (state[2] < MAX_SWEEPS)

        first = (layers, jnp.full((), jnp.inf), jnp.zeros((), jnp.int32))
        layers, largest, _ = jax.lax.while_loop(is_unfinished, sweep, first)
        settled = jnp.where(largest <= tolerance, 1.0, jnp.nan)
        kernels = [layer[: len(kernel)] for layer, kernel in zip(layers, kernels, strict=True)]
        biases = [layer[-1] for layer in layers[: len(biases)]]
        return _joined(self.layout, kernels, biases) * settled


@dataclass(frozen=True)
class UnitProduct(_Changed):
    """Another law, with every factor divided by the L-th root of the product's Frobenius norm.

    Raises:
        ValueError: the layout is not a chain of factors, or it has biases.
    """

    scale: FloatLike

    def __post_init__(self) -> None:
        if len(_chain(self.layout, "unit_product")) < len(self.layout.leaves):
            raise ValueError("unit_product: with biases the network is no product: leave them out")

    def _changed(self, theta: Float[Array, " n"]) -> Float[Array, " n"]:
        kernels = [_value(theta, leaf) for leaf in _chain(self.layout, "unit_product")]
        product = kernels[0]
        for kernel in kernels[1:]:
            product = jnp.matmul(product, kernel, precision=jax.lax.Precision.HIGHEST)
        # A product of exactly 0 has no direction: theta is NaN, and its run counts as diverged.
        size = jnp.sqrt(jnp.sum(product**2))
        return theta * (self.scale / size ** (1 / len(kernels)))


def _swept(layers: list[Array]) -> tuple[list[Array], Array]:
    """Balance the units of each hidden layer once, the input side first.

    Returns:
        The layers, and the largest |ln| of a scale.
    """
    layers, largest = list(layers), jnp.zeros(())
    for i in range(len(layers) - 1):
        units = layers[i].shape[1]
        incoming = jnp.sum(layers[i] ** 2, axis=0)
        outgoing = jnp.sum(layers[i + 1][:units] ** 2, axis=1)
        scale = jnp.sqrt(jnp.sqrt(outgoing / incoming))
        layers[i] = layers[i] * scale
        layers[i + 1] = layers[i + 1].at[:units].divide(scale[:, None])
        largest = jnp.maximum(largest, jnp.max(jnp.abs(jnp.log(scale))))
    return layers, largest


def _chain(layout: Layout, kind: str) -> list[Leaf]:
    """Find the kernels of a chain of dense layers or factors, the input side first.

    Raises:
        ValueError: theta is made of something else.
    """
    kernels = [leaf for leaf in layout.leaves if not leaf.is_bias]
    are_matrices = all(leaf.path[-1] == "kernel" and len(leaf.shape) == 2 for leaf in kernels)
    if not are_matrices or any(a.shape[1] != b.shape[0] for a, b in pairwise(kernels)):
        raise ValueError(
            f"{kind}: needs a chain of dense layers or factors, such as mlp, deep_linear or "
            "matrix_factorisation"
        )
    return kernels


def _value(theta: Float[Array, " n"], leaf: Leaf) -> Array:
    return theta[leaf.offset : leaf.offset + leaf.size].reshape(leaf.shape)


def _cut(z: Float[Array, " m"], shapes: list[tuple[int, int]]) -> Iterator[Array]:
    start = 0
    for rows, columns in shapes:
        yield z[start : start + rows * columns].reshape(rows, columns)
        start += rows * columns


def _joined(
    layout: Layout, kernels: list[Array], biases: list[Array] | None = None
) -> Float[Array, " n"]:
    """Join kernels and biases, 0 where they are left out, in the order of theta."""
    kernel, bias = iter(kernels), iter(biases or [])
    return jnp.concatenate([
        next(bias, jnp.zeros(leaf.size)) if leaf.is_bias else next(kernel).reshape(-1)
        for leaf in layout.leaves
    ])  # fmt: skip
