"""Say how kernels draw a law, where that is arrays of numbers of one kind, times scales."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.laws.distribution import Distribution, FloatLike
from sweep_engine.laws.element_wise import (
    Fixed,
    Independent,
    Laplace,
    Normal,
    Sign,
    TruncatedNormal,
    Uniform,
    Zeros,
)
from sweep_engine.laws.product import Product
from sweep_engine.laws.spheres import InBall, OnSphere
from sweep_engine.models import Leaf
from sweep_engine.threefry import Numbers

_NUMBERS: dict[type, Numbers] = {
    Normal: "normal", TruncatedNormal: "truncated_normal", Uniform: "uniform",
    Laplace: "laplace", Sign: "sign",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """Draw some arrays of theta, one after the other, by one key.

    Attributes:
        leaves: The arrays.
        numbers: What they are before they are scaled.
        scales: What each array's are multiplied by.
        splits: How the key comes from the law's: split into so many, the one at this place, each
            time.
        fills_ball: Whether scales are multiplied by a radius, which is drawn too.
    """

    leaves: tuple[Leaf, ...]
    numbers: Numbers
    scales: tuple[FloatLike, ...]
    splits: tuple[tuple[int, int], ...] = ()
    fills_ball: bool = False

    def key_and_scales(self, key: Key[Array, ""]) -> tuple[Key[Array, ""], Float[Array, " A"]]:
        """Say by what key, and times what, a draw of the law has these arrays."""
        for count, place in self.splits:
            key = jax.random.split(key, count)[place]
        scales = jnp.stack([jnp.float32(scale) for scale in self.scales])
        if self.fills_ball:
            share, key = InBall.draw_share(key, sum(leaf.size for leaf in self.leaves))
            scales *= share
        return key, scales


def recipe_of(bound: Distribution, leaves: Sequence[Leaf]) -> tuple[Step, ...] | None:
    """List the steps that draw theta as `sample` does, in its order.

    Returns:
        None where the law is no such thing, or draws arrays that do not stand side by side.
    """
    found = _steps(bound, tuple(leaves))
    if found is None:
        return None
    in_order = sorted(found, key=lambda step: step.leaves[0].offset)
    drawn = [leaf for step in in_order for leaf in step.leaves]
    return tuple(in_order) if drawn == sorted(drawn, key=lambda leaf: leaf.offset) else None


def _steps(law: Distribution, leaves: tuple[Leaf, ...]) -> list[Step] | None:
    def of_all(numbers: Numbers, scale: FloatLike, fills_ball: bool = False) -> list[Step]:
        return [Step(leaves, numbers, (scale,) * len(leaves), fills_ball=fills_ball)]

    match law:
        case Independent() if type(law.standard) in _NUMBERS:
            return of_all(_NUMBERS[type(law.standard)], law.scale * law.unit)
        case OnSphere():
            return of_all("direction", law.radius)
        case InBall():
            return of_all("direction", law.radius, fills_ball=True)
        case Zeros():
            return of_all("ones", 0.0)
        case Fixed():
            return of_all("ones", law.value)
        case Product():
            return _of_product(law, leaves)
        case _:
            return None


def _of_product(law: Product, leaves: tuple[Leaf, ...]) -> list[Step] | None:
    if (standard := law.shared_standard()) is not None:
        scales = tuple(scale for _, scale in law.scales())
        return [Step(leaves, _NUMBERS[type(standard)], scales)]
    blocks = list(blocks_of(law, leaves))
    found = [_steps(block.law, own) for block, own in zip(law.blocks, blocks, strict=True)]
    if any(steps is None for steps in found):
        return None
    return [
        replace(step, splits=((len(blocks), place), *step.splits))
        for place, steps in enumerate(found)
        for step in steps or ()
    ]


def blocks_of(law: Product, leaves: tuple[Leaf, ...]) -> Iterator[tuple[Leaf, ...]]:
    """List each block's arrays as they lie in theta; a nested law knows where in itself."""
    inner = sorted(leaf.offset for block in law.blocks for leaf in block.leaves)
    in_theta = dict(zip(inner, leaves, strict=True))
    for block in law.blocks:
        yield tuple(in_theta[leaf.offset] for leaf in block.leaves)
