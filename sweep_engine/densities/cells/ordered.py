"""Bring many draws of two samples into one order, and count any part of them below any value.

Cells of equal mass need where the mass of some draws reaches a level, and how many of others lie
below. Sorted once, with counts by blocks of a thousand draws, each answer looks into one block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from jaxtyping import Float, Int, UInt8

from sweep_engine.densities.cells.binning import with_atoms
from sweep_engine.densities.draws import MANY_DRAWS, Draws

BLOCK = 1024
_CHUNK = 1024 * BLOCK


def are_many(source: Draws, reference: Draws) -> bool:
    """Say whether two samples are worth one order: many independent draws of equal weight."""
    sides = (source, reference)
    return len(source) + len(reference) >= MANY_DRAWS and all(
        side.units is None and len(side) and side.have_equal_weights for side in sides
    )


@dataclass(frozen=True)
class Side:
    """Hold one sample: its finite values in ascending order, and how many others there are."""

    values: Float[np.ndarray, " f"]
    num_not_finite: int

    @classmethod
    def of(cls, draws: Draws) -> Self:
        """Sort a sample of one column."""
        values = np.sort(draws.values[draws.is_finite])
        return cls(values, len(draws) - len(values))

    def halve(self, rng: np.random.Generator) -> "Ordered":
        """Send every draw to one of two halves by a fair coin: one is the other's reference."""
        return Ordered(self.values, coins(len(self.values) + self.num_not_finite, rng))


@dataclass(frozen=True)
class Ordered:
    """Hold two samples of draws of equal weight in one order.

    Attributes:
        values: The finite ones of both, ascending.
        sides: 0 for a draw of the source, 1 for the reference's: those of `values`, then the rest.
    """

    values: Float[np.ndarray, " f"]
    sides: UInt8[np.ndarray, " n"]

    @classmethod
    def of(cls, source: Side, reference: Side) -> Self:
        """Merge two sorted samples."""
        values = np.concatenate([source.values, reference.values])
        order = np.argsort(values, kind="stable")  # of two runs: one merge
        sides = np.concatenate(
            [
                order >= len(source.values),
                np.repeat([False, True], [source.num_not_finite, reference.num_not_finite]),
            ]
        )
        return cls(values[order], sides.view(np.uint8))

    def parts(self, labels: UInt8[np.ndarray, " n"], num_labels: int) -> "Parts":
        """Tell the draws of each side apart by labels: side * num_labels + label."""
        return Parts(self.values, self.sides * np.uint8(num_labels) + labels, 2 * num_labels)


@dataclass(frozen=True)
class Parts:
    """Hold values in ascending order that belong to several parts.

    Example:
        >>> values, parts = np.arange(6.0), np.array([0, 1, 0, 1, 0, 1, 1], np.uint8)
        >>> line = Parts(values, parts, 2)  # the last draw is not finite
        >>> (cuts,) = line.cuts(np.array([1 / 3, 0.0]), (3,))
        >>> cuts.tolist(), line.counts(cuts).tolist()
        ([0.0, 2.0], [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 2.0, 1.0]])

    Attributes:
        values: Finite, ascending.
        labels: The part of every value, then of the draws that are not finite.
        num_parts: How many parts there are.
    """

    values: Float[np.ndarray, " f"]
    labels: UInt8[np.ndarray, " n"]
    num_parts: int

    @cached_property
    def num_finite(self) -> Int[np.ndarray, " parts"]:
        """Count the finite draws of each part."""
        total: Int[np.ndarray, " parts"] = self._before[-1]
        return total

    @cached_property
    def _before(self) -> Int[np.ndarray, "blocks parts"]:
        """Count each part before every block, and in all of them."""
        labels = self.labels[: len(self.values)]
        counts = [
            _by_block(labels[start : start + _CHUNK], self.num_parts)
            for start in range(0, len(labels), _CHUNK)
        ]
        none = np.zeros((1, self.num_parts), np.int64)
        return np.cumsum(np.concatenate([none, *counts]), axis=0)

    def cuts(
        self, weights: Float[np.ndarray, " parts"], nums_bins: Sequence[int]
    ) -> list[Float[np.ndarray, " cuts"]]:
        """Compute the cuts of `equal_mass_cuts`, where a draw of each part has such a weight."""
        mass = self._before @ weights
        if mass[-1] <= 0:
            return [np.empty(0) for _ in nums_bins]
        levels = np.concatenate([np.arange(1, num) / num for num in nums_bins]) * mass[-1]
        levels = levels * (1 - 1e-12)
        blocks = np.searchsorted(mass[1:], levels)
        places = [self._reached(*each, weights) for each in zip(blocks, levels, strict=True)]
        ends = np.cumsum([num - 1 for num in nums_bins])[:-1]
        return [with_atoms(each) for each in np.split(self.values[places], ends)]

    def _reached(self, block: int, level: float, weights: Float[np.ndarray, " parts"]) -> int:
        """Find the first place in a block where the mass reaches a level."""
        ahead = np.arange(self.num_parts) == self._labels_in(block)[:, None]
        counts = self._before[block] + np.cumsum(ahead, axis=0)
        return block * BLOCK + min(int(np.searchsorted(counts @ weights, level)), len(ahead) - 1)

    def _labels_in(self, block: int) -> UInt8[np.ndarray, " b"]:
        return self.labels[block * BLOCK : min((block + 1) * BLOCK, len(self.values))]

    def counts(self, cuts: Float[np.ndarray, " cuts"]) -> Float[np.ndarray, "parts cells"]:
        """Count each part in the cells of `cell_of`: the last one is of what is not finite."""
        places = np.searchsorted(self.values, cuts, side="right")
        below = [self._below(place) for place in places.tolist()]
        ends = np.stack([np.zeros_like(self.num_finite), *below, self.num_finite])
        others = np.bincount(self.labels[len(self.values) :], minlength=self.num_parts)
        return np.concatenate([np.diff(ends, axis=0), others[None]]).T.astype(float)

    def _below(self, place: int) -> Int[np.ndarray, " parts"]:
        inside = self.labels[place - place % BLOCK : place]
        return self._before[place // BLOCK] + np.bincount(inside, minlength=self.num_parts)


def coins(number: int, rng: np.random.Generator) -> UInt8[np.ndarray, " n"]:
    """Throw fair coins: 0 or 1 each."""
    thrown: UInt8[np.ndarray, " n"] = np.unpackbits(
        rng.integers(0, 256, -(-number // 8), dtype=np.uint8), count=number
    )
    return thrown


def _by_block(labels: UInt8[np.ndarray, " n"], num_parts: int) -> Int[np.ndarray, "blocks parts"]:
    num_blocks = -(-len(labels) // BLOCK)
    block = np.repeat(np.arange(num_blocks) * num_parts, BLOCK)[: len(labels)]
    return np.bincount(block + labels, minlength=num_blocks * num_parts).reshape(num_blocks, -1)
