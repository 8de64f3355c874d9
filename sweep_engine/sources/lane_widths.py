"""How many lanes a block has: the rule that holds for most sources."""

import jax

from sweep_engine.lanes import choose_lanes
from sweep_engine.models import Network


def usual_lanes(network: Network, num_examples: int, *, trains: bool) -> int:
    """Choose K from what a lane holds and computes.

    Args:
        network: The model.
        num_examples: Examples that a lane evaluates at once.
        trains: Whether it computes gradients.
    """
    outputs = sum((leaf.shape or (1,))[-1] for leaf in network.layout.leaves if not leaf.is_bias)
    num_params = network.layout.num_params
    return choose_lanes(jax.default_backend(), num_params, num_examples * outputs, trains=trains)
