"""Moving a network through its symmetries, as near to another as can be found."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import linear_sum_assignment

from sweep_engine.models import Network, canonicalise, is_dense
from sweep_engine.models.canonical import ODD

MAX_ROUNDS = 50
Theta = Float[np.ndarray, " P"]


def has_units(network: Network) -> bool:
    """Say whether the model is a chain of dense layers with hidden units, which can be permuted."""
    return is_dense(network) and len(_kernels(network)) > 1


def canonical_forms(network: Network, theta: Float[Array, " P"]) -> Float[Array, " P"]:
    """Give the canonical point of a network's orbit, where `match` starts a second time."""
    return canonicalise(network, theta).theta if has_units(network) else jnp.asarray(theta)


def match(network: Network, target: Theta, moved: Theta) -> Theta:
    """Permute a network's hidden units, and flip signs where the activation is odd, to a target.

    Layer by layer the units are assigned so that the squared distance is least, the other layers
    as they are, until no layer changes. Every step is exact, so with one hidden layer the result
    is the nearest point of the orbit; with more it is a local minimum, and a heuristic.

    Args:
        network: A chain of dense layers.
        target: Where to.
        moved: What is moved; its function stays.

    Source:
        Ainsworth, Hayase & Srinivasa (2023), ICLR, Git Re-Basin, section 3.2 (weight matching).
    """
    fixed, free = _layers(network, target), _layers(network, moved)
    is_odd = network.module.activation in ODD
    for _ in range(MAX_ROUNDS):
        changed = [_assign(fixed, free, i, is_odd=is_odd) for i in range(len(free) - 1)]
        if len(free) == 2 or not any(changed):
            break
    return np.concatenate([layer.theta for layer in free])


class _Layer(NamedTuple):
    """Incoming weights, with the bias as a last row where there is one."""

    weights: Float[np.ndarray, "F H"]
    has_bias: bool

    @property
    def kernel(self) -> Float[np.ndarray, "F H"]:
        return self.weights[:-1] if self.has_bias else self.weights

    @property
    def theta(self) -> Float[np.ndarray, " p"]:
        return self.weights.ravel()


def _kernels(network: Network) -> list[tuple[int, ...]]:
    return [leaf.shape for leaf in network.layout.leaves if not leaf.is_bias]


def _layers(network: Network, theta: Theta) -> list[_Layer]:
    """Cut theta into layers: weights, then the bias, row-major, so that a bias is one more row."""
    has_bias = any(leaf.is_bias for leaf in network.layout.leaves)
    layers, start = [], 0
    for fan_in, fan_out in _kernels(network):
        rows = fan_in + has_bias
        part = np.array(theta[start : start + rows * fan_out], float).reshape(rows, fan_out)
        layers.append(_Layer(part, has_bias))
        start += part.size
    return layers


def _assign(fixed: list[_Layer], free: list[_Layer], i: int, *, is_odd: bool) -> bool:
    """Reorder hidden layer i of the free network in place; say whether that brought it nearer."""
    incoming, outgoing = free[i].weights, free[i + 1].kernel
    products = fixed[i].weights.T @ incoming + fixed[i + 1].kernel @ outgoing.T
    gain = np.abs(products) if is_odd else products
    units, order = linear_sum_assignment(-gain)
    before, after = np.trace(products), gain[units, order].sum()
    if after <= before + 1e-9 * abs(before):
        return False
    sign = np.where(products[units, order] < 0, -1.0, 1.0) if is_odd else np.ones(len(units))
    incoming[:] = incoming[:, order] * sign
    outgoing[:] = outgoing[order] * sign[:, None]
    return True
