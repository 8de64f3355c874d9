"""How many lanes a block has: the rule that holds for most sources."""

import math
from collections.abc import Iterator
from typing import Any

import jax

from sweep_engine.lanes import TPU_ROW, choose_lanes, platform
from sweep_engine.models import Network

ALL_AT_ONCE = 32
"""So many runs go side by side. Narrower blocks would take about as long for each operation."""

REFILLS = 8
"""So many runs a lane takes in turn where there are more: then the last ones, for which all lanes
wait, are a small part. Runs stop at very different times."""

HELD = ("dot_general", "conv_general_dilated", "concatenate")
"""Operations whose results a pass holds: of layers, and of a convolution's patches."""


def usual_lanes(network: Network, num_examples: int, *, trains: bool) -> int:
    """Choose K from what a lane holds and computes.

    Args:
        network: The model.
        num_examples: Examples that a lane evaluates at once.
        trains: Whether it computes gradients.
    """
    values, num_params = values_per_example(network), network.layout.num_params
    return choose_lanes(platform(), num_params, num_examples * values, trains=trains)


def narrowed(usual: int, busy: int) -> int:
    """Narrow a block to the lanes that are busy; an accelerator's to whole rows of a TPU.

    Args:
        usual: The width that a block can hold.
        busy: Lanes that the runs keep busy.
    """
    if platform() == "cpu":
        return min(usual, busy)
    return min(usual, TPU_ROW * math.ceil(busy / TPU_ROW))


def refilled_lanes(runs: int) -> int:
    """Count the lanes that so many runs keep busy, where each lane takes one after the other."""
    if platform() != "cpu" or runs <= ALL_AT_ONCE:
        return runs
    return max(ALL_AT_ONCE, 2 ** int(math.log2(runs / REFILLS)))


def values_per_example(network: Network) -> int:
    """Count the activations of one example: those of units, at all positions.

    Of dense layers that is one a unit. Layers that are applied at many positions have more: they
    are read off the program, as what it holds for two examples more than for one.
    """
    units = sum((leaf.shape or (1,))[-1] for leaf in network.layout.leaves if not leaf.is_bias)
    return max(units, _held(network, 2) - _held(network, 1))


def _held(network: Network, examples: int) -> int:
    """Count the numbers that layers give for so many examples."""
    theta = jax.ShapeDtypeStruct((network.layout.num_params,), "float32")
    x = jax.ShapeDtypeStruct((examples, *network.input_shape), "float32")
    program = jax.make_jaxpr(lambda theta, x: network.apply(network.layout.unflatten(theta), x))
    return sum(
        math.prod(value.aval.shape)
        for operation in _operations(program(theta, x).jaxpr)
        if operation.primitive.name in HELD
        for value in operation.outvars
    )


def _operations(jaxpr: Any) -> Iterator[Any]:
    """List a program's operations, and those of the programs that it calls."""
    for operation in jaxpr.eqns:
        yield operation
        for inner in operation.params.values():
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _operations(inner)
