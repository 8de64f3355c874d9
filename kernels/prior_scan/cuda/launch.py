"""Chooses the launch of a scan: what a draw takes of shared memory, and its turns."""

import functools
from itertools import pairwise
from math import ceil

from sweep_engine.kernels.native.launch import (
    Launch,
    best_launch,
    in_tiles,
    odd,
    product_turns,
)
from sweep_engine.kernels.prior_scan.case import Case

DRAW_TURNS = 16
"""Two random numbers take about as long as so many turns of a product's inner loop: some 250
operations to 16."""


@functools.cache
def launch_of(case: Case) -> Launch | None:
    """Choose the launch of a case; None if a network fits no block."""

    def turns(threads: int, tile: int) -> int:
        def forward(rows: int) -> int:
            return sum(product_turns(threads, rows, m, n) for n, m in pairwise(case.widths))

        drawing = DRAW_TURNS * ceil(case.num_params / 2 / threads)
        return drawing + in_tiles(case.num_inputs, tile, forward)

    # A tile begins with a byte of eight labels.
    return best_launch(case.num_inputs, functools.partial(network_floats, case), turns, multiple=8)


def network_floats(case: Case, threads: int, tile: int) -> int:
    """Count what a network takes of the shared memory, before it is filled up."""
    rows = odd(max(case.widths[::2])) + odd(max(case.widths[1::2]))
    return case.num_params + tile * rows + 2 * threads
