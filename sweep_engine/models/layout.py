"""Between a network's pytree of parameters and theta, the flat vector."""

import math
import re
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@dataclass(frozen=True)
class Leaf:
    """One array of parameters: its path, its shape, and where it starts in theta."""

    path: tuple[str, ...]
    shape: tuple[int, ...]
    offset: int

    @property
    def name(self) -> str:
        """The path, joined by slashes."""
        return "/".join(self.path)

    @property
    def size(self) -> int:
        """How many parameters it holds."""
        return math.prod(self.shape)

    @property
    def is_bias(self) -> bool:
        """Say whether it is no weight: a bias by flax's naming, or a norm's gain less 1."""
        return self.path[-1] in {"bias", "gain"}

    @property
    def is_embedding(self) -> bool:
        """Say whether it is a table by flax's naming, of which one row is taken."""
        return self.path[-1] == "embedding"

    @property
    def fans(self) -> tuple[int, int]:
        """(fan_in, fan_out); (1, 1) for a vector or a scalar of weights.

        A kernel has shape (..., fan_in, fan_out); leading axes (a convolution's window)
        multiply both. Of an embedding one row is taken: what comes of it is no sum, fan_in is 1.
        """
        if len(self.shape) < 2:
            return 1, 1
        if self.is_embedding:
            return 1, self.shape[-1]
        *window, fan_in, fan_out = self.shape
        return math.prod(window) * fan_in, math.prod(window) * fan_out


@dataclass(frozen=True)
class Layout:
    """How theta is made of the parameters: layer by layer, weights before biases, row-major."""

    leaves: tuple[Leaf, ...]

    @classmethod
    def of(cls, params: Any) -> "Layout":
        """Read the layout off a pytree of arrays or shapes (nested mappings)."""
        shapes = [
            (tuple(str(part.key) for part in path), tuple(leaf.shape))
            for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        ]
        leaves, offset = [], 0
        for path, shape in sorted(shapes, key=lambda item: _order(item[0])):
            leaves.append(Leaf(path, shape, offset))
            offset += leaves[-1].size
        return cls(tuple(leaves))

    @property
    def num_params(self) -> int:
        """P, the length of theta."""
        return sum(leaf.size for leaf in self.leaves)

    def flatten(self, params: Any) -> Float[Array, " P"]:
        """Join a pytree into theta."""
        return jnp.concatenate([_get(params, leaf.path).reshape(-1) for leaf in self.leaves])

    def flatten_rows(self, params: Any) -> Float[np.ndarray, "R P"]:
        """Join a pytree of arrays with a leading axis of runs, on the host."""
        rows = [np.asarray(_get(params, leaf.path)) for leaf in self.leaves]
        sizes = [leaf.size for leaf in self.leaves]
        parts = [row.reshape(len(row), size) for row, size in zip(rows, sizes, strict=True)]
        return np.concatenate(parts, axis=1)

    def unflatten(self, theta: Float[Array, " P"]) -> Any:
        """Cut theta into the pytree."""
        params: dict[str, Any] = {}
        for leaf in self.leaves:
            values = theta[leaf.offset : leaf.offset + leaf.size].reshape(leaf.shape)
            target = params
            for part in leaf.path[:-1]:
                target = target.setdefault(part, {})
            target[leaf.path[-1]] = values
        return params

    def describe(self) -> list[dict[str, Any]]:
        """List name, shape and offset of every leaf, as stored in a file's metadata."""
        return [{"name": x.name, "shape": list(x.shape), "offset": x.offset} for x in self.leaves]


def _get(params: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        params = params[part]
    return params


def _order(path: tuple[str, ...]) -> tuple[Any, ...]:
    *layers, leaf = path
    return (*((False, _natural(layer)) for layer in layers), (leaf == "bias", _natural(leaf)))


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key in which Dense_10 comes after Dense_2."""
    return tuple((0, int(x)) if x.isdigit() else (1, x) for x in re.findall(r"\d+|\D+", name))
