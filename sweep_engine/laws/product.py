"""Joint laws of independent blocks of theta: arrays of parameters, or layers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.laws.distribution import Atoms, Distribution, FloatLike
from sweep_engine.laws.element_wise import (
    Independent,
    Normal,
    Standard,
    TruncatedNormal,
    Uniform,
    Zeros,
)
from sweep_engine.models import Layout, Leaf

SCALE_FREE = (Normal, Uniform, TruncatedNormal)
"""Standard laws without parameters of their own."""

Values = TypeVar("Values", Array, Sequence[Atoms])


@dataclass(frozen=True)
class JointLeaves:
    """Some arrays of theta and their law, which draws them one after the other."""

    leaves: tuple[Leaf, ...]
    law: Distribution

    def cut(self, values: Values) -> Iterator[tuple[int, Values]]:
        """Give every array's part of the block's values, with its place in theta."""
        start = 0
        for leaf in self.leaves:
            yield leaf.offset, values[start : start + leaf.size]
            start += leaf.size


@dataclass(frozen=True)
class Product:
    """Independent blocks, which have all of theta between them."""

    blocks: tuple[JointLeaves, ...]

    @property
    def num_params(self) -> int:
        return sum(block.law.num_params for block in self.blocks)

    @property
    def num_normals(self) -> int:
        return sum(block.law.num_normals for block in self.blocks)

    def sample(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        if (standard := self.shared_standard()) is not None:
            # One draw for all arrays: many small ones take several times as long.
            scale = self._scale()
            return jnp.where(scale == 0, 0.0, standard.draw(key, self.num_params) * scale)
        keys = jax.random.split(key, len(self.blocks))
        return self._join([b.law.sample(k) for b, k in zip(self.blocks, keys, strict=True)])

    def shared_standard(self) -> Standard | None:
        """The law, up to scale, of every parameter that is not fixed, if it is one for all."""
        free = [block.law for block in self.blocks if not isinstance(block.law, Zeros)]
        standards = [law.standard for law in free if isinstance(law, Independent)]
        is_one = len(standards) == len(free) and len(set(map(type, standards))) == 1
        return standards[0] if is_one and isinstance(standards[0], SCALE_FREE) else None

    def scales(self) -> list[tuple[Leaf, FloatLike]]:
        """List what each array's draw of the shared standard law is multiplied by, in order."""
        pairs = [
            (leaf, block.law.scale * block.law.unit if isinstance(block.law, Independent) else 0.0)
            for block in self.blocks
            for leaf in block.leaves
        ]
        return sorted(pairs, key=lambda pair: pair[0].offset)

    def _scale(self) -> Float[Array, " n"]:
        """The same, parameter by parameter."""
        index = jnp.arange(self.num_params)
        ends = [index < leaf.offset + leaf.size for leaf, _ in self.scales()]
        return jnp.select(ends, [jnp.float32(scale) for _, scale in self.scales()])

    def from_normals(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        parts, start = [], 0
        for block in self.blocks:
            parts.append(block.law.from_normals(z[start : start + block.law.num_normals]))
            start += block.law.num_normals
        return self._join(parts)

    def log_density(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        densities = [
            block.law.log_density(
                jnp.concatenate([theta[x.offset : x.offset + x.size] for x in block.leaves])
            )
            for block in self.blocks
        ]
        return jnp.sum(jnp.stack(densities))

    def std(self) -> Float[Array, " n"]:
        return self._join([block.law.std() for block in self.blocks])

    def atoms(self) -> Sequence[Atoms] | None:
        lists = [atoms for block in self.blocks if (atoms := block.law.atoms()) is not None]
        if len(lists) < len(self.blocks):
            return None
        return [atom for part in self._in_order(lists) for atom in part]

    def _join(self, parts: Sequence[Array]) -> Float[Array, " n"]:
        return jnp.concatenate(self._in_order(parts))

    def _in_order(self, parts: Sequence[Values]) -> list[Values]:
        cuts = [c for block, part in zip(self.blocks, parts, strict=True) for c in block.cut(part)]
        return [part for _, part in sorted(cuts, key=lambda cut: cut[0])]


def layers(layout: Layout) -> list[tuple[Leaf, ...]]:
    """List the layers of theta: the arrays of one module, weights and bias, are one."""
    by_module: dict[tuple[str, ...], list[Leaf]] = {}
    for leaf in layout.leaves:
        by_module.setdefault(leaf.path[:-1], []).append(leaf)
    return [tuple(leaves) for leaves in by_module.values()]


def layout_of(leaves: Sequence[Leaf]) -> Layout:
    """Lay some arrays out one after the other."""
    moved, offset = [], 0
    for leaf in leaves:
        moved.append(Leaf(leaf.path, leaf.shape, offset))
        offset += leaf.size
    return Layout(tuple(moved))
