"""Laws whose theta is standard normals, each in its place and times a number of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.laws.distribution import Distribution, FloatLike
from sweep_engine.laws.element_wise import Independent, Normal, Zeros
from sweep_engine.laws.product import Product
from sweep_engine.laws.recipe import blocks_of
from sweep_engine.models import Leaf


@dataclass(frozen=True)
class ScaledNormals:
    """theta = scale * spread(z).

    Attributes:
        scale: What each parameter's normal is multiplied by; 0 where it has none.
        places: Where in theta runs of normals lie, in z's order, and how long they are.
    """

    scale: Float[Array, " P"]
    places: tuple[tuple[int, int], ...]

    def spread(self, z: Float[Array, " M"]) -> Float[Array, " P"]:
        """Put each normal in its parameter's place, 0 where there is none."""
        if self._are_all:
            return z
        spread, start = jnp.zeros_like(self.scale, z.dtype), 0
        for first, size in self.places:
            spread = spread.at[first : first + size].set(z[start : start + size])
            start += size
        return spread

    def gather(self, values: Float[Array, " P"]) -> Float[Array, " M"]:
        """Take the values of the parameters that have normals, in z's order."""
        if self._are_all:
            return values
        return jnp.concatenate([values[first : first + size] for first, size in self.places])

    @property
    def _are_all(self) -> bool:
        """Whether every parameter has one, in theta's order."""
        end = 0
        for first, size in self.places:
            if first != end:
                return False
            end += size
        return end == len(self.scale)


class _Scaled(NamedTuple):
    """An array of theta, and what its normals are multiplied by; None where it has none."""

    leaf: Leaf
    scale: FloatLike | None


def scaled_normals_of(bound: Distribution, leaves: Sequence[Leaf]) -> ScaledNormals | None:
    """Say how normals become theta, where they are only scaled; None where more is done."""
    arrays = _arrays(bound, tuple(leaves))
    if arrays is None:
        return None
    in_order = sorted(arrays, key=lambda one: one.leaf.offset)
    scales = [jnp.full(one.leaf.size, 0.0 if one.scale is None else one.scale) for one in in_order]
    places = tuple((one.leaf.offset, one.leaf.size) for one in arrays if one.scale is not None)
    return ScaledNormals(jnp.concatenate(scales), places)


def _arrays(law: Distribution, leaves: tuple[Leaf, ...]) -> list[_Scaled] | None:
    """List arrays in the order in which they take their normals."""
    match law:
        case Independent(standard=Normal()):
            return [_Scaled(leaf, law.scale * law.unit) for leaf in leaves]
        case Zeros():
            return [_Scaled(leaf, None) for leaf in leaves]
        case Product():
            own = zip(law.blocks, blocks_of(law, leaves), strict=True)
            found = [_arrays(block.law, some) for block, some in own]
            if any(arrays is None for arrays in found):
                return None
            return [one for arrays in found for one in arrays or ()]
        case _:
            return None
