"""Canonical form of a dense network: one point of each orbit of its symmetries.

Hidden units can be permuted. Where the activation is odd (tanh, sin, linear) the signs of a
unit's incoming weights, bias and outgoing weights can be flipped together. These form a finite
group G, under which the usual laws are invariant: KL(P||Q) = KL(canon P||canon Q), and the
canonical density is |orbit| times the density. Where the activation is homogeneous (relu,
linear) a unit's incoming weights and bias can be multiplied by c > 0 and its outgoing weights
divided by it. No law is invariant under that: with `scaling` KL can only fall, and D - H
coordinates remain.

Not divided out: rotations between linear layers, shifts of sin by its period, relu units of one
direction whose outgoing weights could be pooled.

Source:
    Hecht-Nielsen (1990), Advanced Neural Computers, 129-135 (permutations, signs);
    Neyshabur, Salakhutdinov & Srebro (2015), NeurIPS (rescaling).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sweep_engine.models.dense import dense_layers
from sweep_engine.models.network import Network

ODD = frozenset({"tanh", "sin", "linear"})
HOMOGENEOUS = frozenset({"relu", "linear"})

SAME_DIRECTION = 1e-5
"""Unit vectors no farther apart than this, in every entry, may be one vector and its rounding."""


class Canonical(NamedTuple):
    """The canonical form of one network.

    Attributes:
        theta: Parameters that compute the same function.
        log_orbit: ln of the number of points that permutations and signs make of theta, in
            nats. Less than ln |G| where units are equal or wholly zero.
        undecided: Hidden units whose place or sign is not decided: below the last hidden layer
            those with equal, or under an odd activation zero, incoming weights and bias; with
            `scaling` those of one direction. Where there are any, the form may be one of
            several points of the orbit, and `log_orbit` is an upper bound.
    """

    theta: Float[Array, " P"]
    log_orbit: Float[Array, ""]
    undecided: Int[Array, ""]


def canonicalise(
    network: Network, theta: Float[Array, " P"], *, scaling: bool = False
) -> Canonical:
    """Move a network to the canonical point of its orbit, layer by layer from the inputs.

    Each hidden layer's units get |incoming weights and bias| = 1 (with `scaling`, where the
    activation allows it), then a sign that makes the first nonzero of (incoming, bias,
    outgoing) positive (odd activations), then the lexicographic order of these numbers. A unit
    with no incoming weights keeps its scale: it has no balanced representative.

    Raises:
        ValueError: the network is not a chain of dense layers.
    """
    kernels, biases, activation = dense_layers(network, theta)
    is_odd, scaling = activation in ODD, scaling and activation in HOMOGENEOUS
    log_orbit, undecided = jnp.zeros(()), jnp.zeros((), jnp.int32)
    for i in range(len(kernels) - 1):
        incoming = kernels[i] if biases is None else jnp.vstack([kernels[i], biases[i]])
        outgoing = kernels[i + 1]
        if scaling:
            incoming, outgoing = _balanced(incoming, outgoing)
        if is_odd:
            sign = _first_sign(jnp.vstack([incoming, outgoing.T]))
            incoming, outgoing = incoming * sign, outgoing * sign[:, None]
        same = _compare(incoming)
        after = _compare(outgoing.T, same)
        order = _order(after)
        log_orbit += _log_orbit(jnp.vstack([incoming, outgoing.T]), after, is_odd=is_odd)
        if scaling:
            undecided += _count(_one_direction(incoming))
        elif i + 2 < len(kernels):
            undecided += _count((same == 0) & ~jnp.eye(len(same), dtype=bool), incoming, is_odd)
        kernels[i], kernels[i + 1] = incoming[: len(kernels[i])][:, order], outgoing[order]
        if biases is not None:
            biases[i] = incoming[-1][order]
    return Canonical(_join(kernels, biases), log_orbit, undecided)


def _join(kernels: list[Array], biases: list[Array] | None) -> Float[Array, " P"]:
    if biases is None:
        return jnp.concatenate([kernel.ravel() for kernel in kernels])
    pairs = zip(kernels, biases, strict=True)
    return jnp.concatenate([part.ravel() for pair in pairs for part in pair])


def _balanced(
    incoming: Float[Array, "F H"], outgoing: Float[Array, "H G"]
) -> tuple[Float[Array, "F H"], Float[Array, "H G"]]:
    """Push every unit's scale outward."""
    size = jnp.linalg.norm(incoming, axis=0)
    size = jnp.where(size > 0, size, 1.0)
    return incoming / size, outgoing * size[:, None]


def _first_sign(columns: Float[Array, "F H"]) -> Float[Array, " H"]:
    """The sign of every column's first nonzero entry; 1 where all are zero."""
    signs = jnp.sign(columns)
    first = jnp.argmax(signs != 0, axis=0)
    sign = jnp.take_along_axis(signs, first[None], axis=0)[0]
    return jnp.where(sign == 0, 1.0, sign)


def _compare(
    columns: Float[Array, "F H"], before: Float[Array, "H H"] | None = None
) -> Float[Array, "H H"]:
    """Compare columns lexicographically: 1 where unit i comes behind unit j, 0 where equal.

    Entry by entry, so that H^2 numbers are held whatever the fan-in. `before` is what earlier
    entries decided. Entries are compared, not subtracted: with a fused multiply-add a compiler
    may find that a product, less itself, is not 0, and a unit behind itself.
    """
    start = jnp.zeros((columns.shape[1],) * 2) if before is None else before

    def entry(decided: Array, row: Array) -> tuple[Array, None]:
        one, other = row[:, None], row[None, :]
        sign = (one > other).astype(decided.dtype) - (one < other)
        return jnp.where(decided == 0, sign, decided), None

    return jax.lax.scan(entry, start, columns)[0]


def _order(after: Float[Array, "H H"]) -> Int[Array, " H"]:
    """The units in their order."""
    place = jnp.sum(after > 0, axis=1) + _equal_before(after)
    return jnp.zeros_like(place).at[place].set(jnp.arange(len(place)))


def _equal_before(after: Float[Array, "H H"]) -> Int[Array, " H"]:
    """How many units of lower index equal each one."""
    return jnp.sum(jnp.tril(after == 0, -1), axis=1)


def _log_orbit(
    units: Float[Array, "F H"], after: Float[Array, "H H"], *, is_odd: bool
) -> Float[Array, ""]:
    """Subtract ln |stabiliser| from ln |group| (the orbit-stabiliser theorem).

    m equal units can be permuted, a unit of zeros flipped, to no effect.
    """
    count = units.shape[1]
    permuted = math.lgamma(count + 1) - jnp.sum(jnp.log1p(_equal_before(after)))
    if not is_odd:
        return permuted
    return permuted + math.log(2) * jnp.sum(jnp.any(units != 0, axis=0))


def _one_direction(incoming: Float[Array, "F H"]) -> Array:
    """Which pairs of units have incoming weights of one direction, to rounding; (H, H)."""

    def entry(farthest: Array, row: Array) -> tuple[Array, None]:
        return jnp.maximum(farthest, jnp.abs(row[:, None] - row[None, :])), None

    gap = jax.lax.scan(entry, jnp.zeros((incoming.shape[1],) * 2), incoming)[0]
    return (gap <= SAME_DIRECTION) & ~jnp.eye(len(gap), dtype=bool)


def _count(
    tied: Array, incoming: Float[Array, "F H"] | None = None, is_odd: bool = False
) -> Int[Array, ""]:
    """Count the units that are tied with another, or whose sign nothing incoming decides."""
    is_undecided = jnp.any(tied, axis=1)
    if is_odd and incoming is not None:
        is_undecided |= jnp.all(incoming == 0, axis=0)
    return jnp.sum(is_undecided, dtype=jnp.int32)
