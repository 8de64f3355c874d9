"""Say what a law makes of standard normals, where that is array by array, times scales."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sweep_engine.laws.distribution import Distribution, FloatLike
from sweep_engine.laws.element_wise import Fixed, Independent, Normal, Uniform, Zeros
from sweep_engine.laws.product import Product
from sweep_engine.laws.recipe import blocks_of
from sweep_engine.models import Leaf


@dataclass(frozen=True)
class Image:
    """Say what one array of theta is of standard normals.

    Attributes:
        leaf: The array.
        numbers: Before they are scaled: normals, what is uniform on (-1, 1) of them, or ones, which
            take none.
        scale: What they are multiplied by.
    """

    leaf: Leaf
    numbers: Literal["normal", "uniform", "ones"]
    scale: FloatLike


def images_of(bound: Distribution, leaves: Sequence[Leaf]) -> tuple[Image, ...] | None:
    """List what `from_normals` makes of normals, array by array in theta's order.

    Returns:
        None where the law is no such thing, or takes normals in another order.
    """
    found = as_normals_are_taken(bound, tuple(leaves))
    if found is None:
        return None
    offsets = [image.leaf.offset for image in found]
    return tuple(found) if offsets == sorted(offsets) else None


def as_normals_are_taken(law: Distribution, leaves: tuple[Leaf, ...]) -> list[Image] | None:
    """List the same in the order in which arrays take their normals."""
    match law:
        case Independent(standard=Normal()):
            return [Image(leaf, "normal", law.scale * law.unit) for leaf in leaves]
        case Independent(standard=Uniform()):
            return [Image(leaf, "uniform", law.scale * law.unit) for leaf in leaves]
        case Zeros():
            return [Image(leaf, "ones", 0.0) for leaf in leaves]
        case Fixed():
            return [Image(leaf, "ones", law.value) for leaf in leaves]
        case Product():
            blocks = zip(law.blocks, blocks_of(law, leaves), strict=True)
            found = [as_normals_are_taken(block.law, own) for block, own in blocks]
            known = [images for images in found if images is not None]
            return [one for images in known for one in images] if known == found else None
        case _:
            return None
