"""Make functions of one network that JAX maps over a block, for which a kernel is called once."""

from collections.abc import Callable
from functools import cache, partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.kernels.chain_moves import cpu, plain
from sweep_engine.kernels.chain_moves.case import Data, Density, Phase, Place, Stride, Transition
from sweep_engine.kernels.fused_training.case import Case

IMPLEMENTATIONS: dict[str, ModuleType] = {"plain": plain, "cpu": cpu}
"""Names the implementations."""

MeanLoss = Callable[[Float[Array, " P"], Float[Array, "N D"], Array], Float[Array, ""]]
Leapfrog = Callable[[Phase, Density, Data, Stride], tuple[Phase, Float[Array, ""]]]
MakeTransition = Callable[[Place, Density, Data, Float[Array, ""]], Transition]


@cache
def mean_loss(case: Case, implementation: str) -> MeanLoss:
    """Make the mean loss of one network as a function of theta, examples and targets.

    What the lanes of a block share is not copied. It is differentiated once, in theta alone: a
    loss is computed with its gradient.

    Args:
        case: The network, the loss and N.
        implementation: Of `IMPLEMENTATIONS`.
    """
    of_block = partial(IMPLEMENTATIONS[implementation].loss_gradient, case)
    with_gradient = _of_one(lambda theta, x, y: of_block(theta, Data(x, y)), shared=(1, 2))

    @jax.custom_vjp
    def of_one(theta: Array, x: Array, y: Array) -> Array:
        loss: Array = with_gradient(theta, x, y)[0]
        return loss

    def back(gradient: Array, by_loss: Array) -> tuple[Array, None, None]:
        return by_loss * gradient, None, None

    of_one.defvjp(with_gradient, back)
    return of_one


@cache
def leapfrog(case: Case, implementation: str) -> Leapfrog:
    """Make the leapfrog steps of one trajectory: `plain.leapfrog` of arrays without axis R.

    Args:
        case: The network, the loss and N.
        implementation: Of `IMPLEMENTATIONS`.
    """
    of_block = IMPLEMENTATIONS[implementation].leapfrog

    def of_arrays(*arrays: Array) -> Any:
        phase, density, data, stride = arrays[:3], arrays[3:6], arrays[6:8], arrays[8:]
        return of_block(case, Phase(*phase), Density(*density), Data(*data), Stride(*stride))

    of_one = _of_one(of_arrays, shared=(3, 6, 7))
    return lambda *parts: of_one(*(array for part in parts for array in part))


@cache
def transition(case: Case, implementation: str, most_doublings: int) -> MakeTransition:
    """Make the transition of one chain: `plain.transition` of arrays without axis R.

    Args:
        case: The network, the loss and N.
        implementation: Of `IMPLEMENTATIONS`.
        most_doublings: Of a trajectory.
    """
    of_block = IMPLEMENTATIONS[implementation].transition

    def of_arrays(*arrays: Array) -> Any:
        place = Place(Phase(*arrays[:3]), arrays[3], arrays[4])
        density, data = Density(*arrays[5:8]), Data(*arrays[8:10])
        return of_block(case, most_doublings, place, density, data, arrays[10])

    of_one = _of_one(of_arrays, shared=(5, 8, 9))
    return lambda place, density, data, step_size: of_one(
        *place.phase, place.log_density, place.key, *density, *data, step_size
    )


def _of_one(of_block: Callable[..., Any], shared: tuple[int, ...]) -> Callable[..., Any]:
    """Make a function of one network from that of a block.

    Args:
        of_block: Of arrays with leading axes R, by place; or of 1 where all networks share them.
        shared: The places of those that can be shared.
    """

    @jax.custom_batching.custom_vmap
    def of_one(*arrays: Array) -> Any:
        found = of_block(*(jnp.asarray(array)[None] for array in arrays))
        return jax.tree.map(lambda block: block[0], found)

    @of_one.def_vmap
    def of_lanes(size: int, is_mapped: list[bool], *arrays: Array) -> tuple[Any, Any]:
        def rows(place: int, array: Array) -> Array:
            if is_mapped[place]:
                return array
            count = 1 if place in shared else size
            return jnp.broadcast_to(array, (count, *jnp.shape(array)))

        found = of_block(*(rows(place, array) for place, array in enumerate(arrays)))
        return found, jax.tree.map(lambda _: True, found)

    return of_one
