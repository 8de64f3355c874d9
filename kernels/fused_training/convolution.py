"""Describe a convolution of a network: what it does to the sides of an image."""

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

Sides = tuple[int, ...]


@dataclass(frozen=True)
class Convolution:
    """Describe a convolution, and the pooling behind its activation.

    Attributes:
        channels: How many outputs it has at a position.
        kernel: Side of its window, along every axis of positions.
        stride: From one position to the next, along every axis.
        padding: Zeros (before, after) of every axis.
        max_pool: Side of the windows of which the largest value stays.
        mean_pool: Side of the windows, after these, of which the mean stays.
    """

    channels: int
    kernel: int
    stride: int
    padding: tuple[tuple[int, int], ...]
    max_pool: int = 1
    mean_pool: int = 1

    def positions(self, sides: Sides) -> Sides:
        """Count the positions of the windows along every axis."""
        return tuple(
            (side + sum(zeros) - self.kernel) // self.stride + 1
            for side, zeros in zip(sides, self.padding, strict=True)
        )

    def left(self, sides: Sides) -> Sides:
        """Count the positions along every axis that pooling leaves."""
        return tuple(side // self.max_pool // self.mean_pool for side in self.positions(sides))


class Layer(NamedTuple):
    """Size up a layer, dense ones too.

    Attributes:
        fan_in: Numbers that a unit sums.
        channels: Units at a position.
        positions: 1 of a dense layer.
    """

    fan_in: int
    channels: int
    positions: int = 1


def sizes(convolutions: tuple[Convolution, ...], image: Sides) -> tuple[list[Layer], int]:
    """Size up the convolutions of an image (sides, channels), and count what the last one leaves.

    Raises:
        ValueError: one of them leaves no position.
    """
    *axes, channels = image
    sides, layers = tuple(axes), []
    for one in convolutions:
        if min(one.left(sides)) < 1:
            raise ValueError(f"expected room for windows, got {one} of sides {sides}")
        positions = prod(one.positions(sides))
        layers.append(Layer(one.kernel ** len(sides) * channels, one.channels, positions))
        sides, channels = one.left(sides), one.channels
    return layers, prod(sides) * channels
