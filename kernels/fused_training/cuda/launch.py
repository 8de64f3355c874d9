"""Chooses the launch of training: what a network takes of shared memory, and its turns."""

import functools
from itertools import pairwise

from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.native.launch import (
    Launch,
    best_launch,
    in_tiles,
    odd,
    product_turns,
)


@functools.cache
def launch_of(case: Case) -> Launch | None:
    """Choose the launch of a case; None if a network fits no block."""
    examples = case.minibatch or case.num_examples

    def turns(threads: int, tile: int) -> int:
        return in_tiles(examples, tile, lambda rows: _pass_turns(case, threads, rows))

    return best_launch(examples, functools.partial(network_floats, case), turns)


def _pass_turns(case: Case, threads: int, rows: int) -> int:
    """Count the turns of a pass forward and back."""
    turns = 0
    for layer, (n, m) in enumerate(pairwise(case.widths)):
        turns += product_turns(threads, rows, m, n) + product_turns(threads, n, m, rows)
        turns += product_turns(threads, rows, n, m) if layer else 0
    return turns


def network_floats(case: Case, threads: int, tile: int) -> int:
    """Count what a network takes of the shared memory, before it is filled up."""
    inputs, *hidden, outputs = case.widths
    params = sum((n + case.bias) * odd(m) for n, m in pairwise(case.widths))
    slots = tile * sum(map(odd, hidden)) + 1  # one at least, as in `spare_floats`
    slopes = slots if case.activation == "gelu" else 1
    examples = tile * (odd(inputs) + odd(outputs)) + slots + slopes
    return params * (2 + case.num_moments) + examples + 2 * threads + 6
