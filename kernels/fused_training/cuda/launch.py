"""Chooses the launch of training: what a network takes of shared memory, and its turns."""

import functools
from math import prod

from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.native.launch import (
    LEAST_TILE,
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

    least = 1 if case.convolutions else LEAST_TILE  # an example has many positions
    return best_launch(examples, functools.partial(network_floats, case), turns, least=least)


def _pass_turns(case: Case, threads: int, rows: int) -> int:
    """Count the turns of a pass forward and back."""
    turns, given = 0, _given_positions(case)
    for index, (layer, positions) in enumerate(zip(case.layers, given, strict=True)):
        n, m, made = layer.fan_in, layer.channels, rows * layer.positions
        turns += product_turns(threads, made, m, n) + product_turns(threads, n, m, made)
        if index:
            channels, places = _window(case, index)
            turns += product_turns(threads, rows * positions, channels, places * m)
    return turns


def _window(case: Case, index: int) -> tuple[int, int]:
    """Count the channels that a layer is given, and the places of its window."""
    fan_in = case.layers[index].fan_in
    if index >= len(case.convolutions):
        return fan_in, 1
    one = case.convolutions[index]
    places = one.kernel ** len(one.padding)
    return fan_in // places, places


def _given_positions(case: Case) -> list[int]:
    """Count the positions that every layer is given."""
    sides, found = case.image[:-1], []
    for one in case.convolutions:
        found.append(prod(sides))
        sides = one.left(sides)
    return found + [1] * (len(case.widths) - 1)


def network_floats(case: Case, threads: int, tile: int) -> int:
    """Count what a network takes of the shared memory, before it is filled up."""
    params = sum((layer.fan_in + case.bias) * odd(layer.channels) for layer in case.layers)
    examples = (_convolved_floats if case.convolutions else _dense_floats)(case, tile)
    return params * (2 + case.num_moments) + examples + 2 * threads + 6


def _dense_floats(case: Case, tile: int) -> int:
    inputs, *hidden, outputs = case.widths
    slots = tile * sum(map(odd, hidden)) + 1  # one at least, as in `spare_floats`
    slopes = slots if case.activation == "gelu" else 1
    return tile * (odd(inputs) + odd(outputs)) + slots + slopes


def _convolved_floats(case: Case, tile: int) -> int:
    """Count what layers are given, with zeros around it, what is pooled, outputs and slopes."""
    sides, channels, floats = case.image[:-1], case.image[-1], odd(case.widths[-1])
    for one in case.convolutions:
        framed = [side + sum(zeros) for side, zeros in zip(sides, one.padding, strict=True)]
        floats += odd(prod(framed) * odd(channels))
        if one.max_pool * one.mean_pool > 1:
            floats += odd(prod(one.positions(sides)) * odd(one.channels))
        sides, channels = one.left(sides), one.channels
    dense = case.layers[len(case.convolutions) :]
    floats += sum(odd(layer.fan_in) for layer in dense)
    if case.activation == "gelu":
        floats += sum(layer.channels * layer.positions for layer in case.layers[:-1])
    return tile * floats + 2
