"""Spreads a CUDA kernel over a GPU: threads of each network, and networks of each block."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

from sweep_engine.kernels.native.occupancy import WARP, blocks_at_once

REGISTERS = 128
"""Of a thread, at most: 16 sums, 8 factors and 8 places of a product, and what stands around it.
With these 512 threads fill the registers of a multiprocessor."""

THREADS = (8, 16, 32, 64, 128, 256, 512)
"""Of a network: part of a warp, a warp, some warps."""

BLOCK_THREADS = 128
"""Of a block at least: a multiprocessor holds 32 blocks, and 16 of one warp would fill it."""

LEAST_TILE = 8
WAIT = 16
"""Threads wait for one another about as long as so many turns of a product's inner loop take."""


@dataclass(frozen=True)
class Launch:
    """The shape of a block.

    Attributes:
        threads: That work on one network.
        networks: Of a block.
        tile: Examples that a network takes at once.
        blocks: That a multiprocessor holds at once.
    """

    threads: int
    networks: int
    tile: int
    blocks: int = 1


def best_launch(
    num_examples: int,
    floats: Callable[[int, int], int],
    turns: Callable[[int, int], int],
    *,
    multiple: int = 1,
    least: int = LEAST_TILE,
) -> Launch | None:
    """Choose the launch that does most networks at once in the fewest turns; None if none fits.

    A wide network gives work to many threads. A small one leaves most of a block idle, so that
    several share it. Tiles of fewer examples leave shared memory to other blocks.

    Args:
        num_examples: That a network takes, in one tile or several.
        floats: Of shared memory, of a network with so many threads and such a tile.
        turns: Of inner loops that its threads take one after the other.
        multiple: Of examples, that a tile has where it is not all of them.
        least: Examples of a tile, where there are as many.
    """
    return max(
        _launches(num_examples, floats, multiple, least),
        key=lambda one: one.blocks * one.networks / turns(one.threads, one.tile),
        default=None,
    )


def _launches(
    num_examples: int, floats: Callable[[int, int], int], multiple: int, least: int
) -> Iterator[Launch]:
    parts = {ceil(num_examples / count) for count in range(1, 17)}
    sizes = {multiple * ceil(size / multiple) for size in parts} | {2**i for i in range(14)}
    tiles = {min(size, num_examples) for size in sizes if size >= min(least, num_examples)}
    for threads in THREADS:
        networks = max(1, BLOCK_THREADS // threads)
        for tile in sorted(tiles):
            shared = networks * network_bytes(threads, floats(threads, tile))
            if blocks := blocks_at_once(threads * networks, REGISTERS, shared):
                yield Launch(threads, networks, tile, blocks)


def in_tiles(num_examples: int, tile: int, turns: Callable[[int], int]) -> int:
    """Add up the turns that all tiles take, the last of which may be smaller."""
    whole, rest = divmod(num_examples, tile)
    return whole * turns(tile) + (turns(rest) if rest else 0)


def product_turns(threads: int, rows: int, columns: int, depth: int) -> int:
    """Count the turns of a product's inner loop, of 4 x 4 elements each, and the wait after it."""
    return ceil(ceil(rows / 4) * ceil(columns / 4) / threads) * depth + WAIT


def network_bytes(threads: int, floats: int) -> int:
    """Return the size of a network's part of the shared memory, filled up."""
    return 4 * (floats + spare_floats(threads, floats))


def spare_floats(threads: int, floats: int) -> int:
    """Count what a network's part of the memory is filled up with.

    Networks of one warp then begin so many banks apart. One at least: an array has no length
    of 0.
    """
    return (threads - floats - 1) % WARP + 1 if threads < WARP else 1


def odd(width: int) -> int:
    """Return the length of a row: neighbours in a column lie in different banks."""
    return width | 1
