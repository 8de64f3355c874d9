"""Describe laws whose theta is standard normals, each in its place, times a number."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.laws.distribution import Distribution
from sweep_engine.laws.images import Image, as_normals_are_taken
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
        """Say whether every parameter has one, in theta's order."""
        end = 0
        for first, size in self.places:
            if first != end:
                return False
            end += size
        return end == len(self.scale)


def scaled_normals_of(bound: Distribution, leaves: Sequence[Leaf]) -> ScaledNormals | None:
    """Say how normals become theta, where they are only scaled; None where more is done."""
    found = as_normals_are_taken(bound, tuple(leaves))
    if found is None or not all(_scales_normals(image) for image in found):
        return None
    in_order = sorted(found, key=lambda image: image.leaf.offset)
    scales = [jnp.full(image.leaf.size, image.scale) for image in in_order]
    normal = [image.leaf for image in found if image.numbers == "normal"]
    return ScaledNormals(
        jnp.concatenate(scales), tuple((leaf.offset, leaf.size) for leaf in normal)
    )


def _scales_normals(image: Image) -> bool:
    """Say whether an array is normals times a number, or known to be 0."""
    known = image.scale if isinstance(image.scale, float) else None  # it may be traced
    return image.numbers == "normal" or known == 0
