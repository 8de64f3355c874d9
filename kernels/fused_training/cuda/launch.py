"""How a training kernel is spread over a GPU: threads and examples at a time of each network."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from sweep_engine.kernels.fused_training.case import Case
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
        threads: That train one network.
        networks: That a block trains.
        tile: Examples that a network takes at once.
        blocks: That a multiprocessor holds at once.
    """

    threads: int
    networks: int
    tile: int
    blocks: int = 1


@functools.cache
def launch_of(case: Case) -> Launch | None:
    """Choose the launch that trains most networks at once in the fewest turns; None if none fits.

    Of a network's threads those count that have work: each has 4 x 4 elements of a product. A
    wide network gives work to many threads, and a small one leaves most of a block idle, so that
    several share it. Tiles of fewer examples leave shared memory to other blocks.
    """
    return max(_launches(case), key=lambda one: _rate(case, one), default=None)


def _launches(case: Case) -> Iterator[Launch]:
    examples = case.minibatch or case.num_examples
    tiles = {ceil(examples / parts) for parts in range(1, 17)} | {2**i for i in range(3, 14)}
    least = min(LEAST_TILE, examples)
    for threads in THREADS:
        networks = max(1, BLOCK_THREADS // threads)
        for tile in sorted(tile for tile in tiles if least <= tile <= examples):
            shared = networks * network_bytes(case, threads, tile)
            if blocks := blocks_at_once(threads * networks, REGISTERS, shared):
                yield Launch(threads, networks, tile, blocks)


def _rate(case: Case, launch: Launch) -> float:
    """Compute the steps that a multiprocessor takes, over the turns that one takes."""
    return launch.blocks * launch.networks / _turns(case, launch)


def _turns(case: Case, launch: Launch) -> int:
    """Count the turns of inner loops, of 16 products each, in one step of a network."""
    examples = case.minibatch or case.num_examples
    whole, rest = divmod(examples, launch.tile)
    passes = whole * _pass_turns(case, launch.threads, launch.tile)
    return passes + (_pass_turns(case, launch.threads, rest) if rest else 0)


def _pass_turns(case: Case, threads: int, rows: int) -> int:
    def product(rows: int, columns: int, depth: int) -> int:
        return ceil(ceil(rows / 4) * ceil(columns / 4) / threads) * depth + WAIT

    turns = 0
    for layer, (n, m) in enumerate(pairwise(case.widths)):
        turns += product(rows, m, n) + product(n, m, rows)
        turns += product(rows, n, m) if layer else 0
    return turns


def network_bytes(case: Case, threads: int, tile: int) -> int:
    """Return the size of a network's part of the shared memory: `Shared` in training.cu."""
    return 4 * (_floats(case, threads, tile) + spare_floats(case, threads, tile))


def spare_floats(case: Case, threads: int, tile: int) -> int:
    """Count what a part is filled up with: networks of one warp begin so many banks apart.

    One at least, since an array has no length of 0.
    """
    return (threads - _floats(case, threads, tile) - 1) % WARP + 1 if threads < WARP else 1


def _floats(case: Case, threads: int, tile: int) -> int:
    inputs, *hidden, outputs = case.widths
    params = sum((n + case.bias) * _odd(m) for n, m in pairwise(case.widths))
    slots = tile * sum(map(_odd, hidden)) + 1  # one at least, as above
    slopes = slots if case.activation == "gelu" else 1
    examples = tile * (_odd(inputs) + _odd(outputs)) + slots + slopes
    return params * (2 + case.num_moments) + examples + 2 * threads + 6


def _odd(width: int) -> int:
    """Return the length of a row: neighbours in a column lie in different banks."""
    return width | 1
