"""Numbers of one pair of networks: labels, loss on the way, distance and features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from sweep_engine.densities.networks.matching import canonical_forms, has_units, match
from sweep_engine.densities.networks.members import Members
from sweep_engine.models import Network
from sweep_engine.models.networks import ACTIVATIONS

POINTS = 11
"""Of a straight path, both ends among them."""

Values = Float[np.ndarray, " pairs"]
Ends = tuple[Float[np.ndarray, "pairs P"], Float[np.ndarray, "pairs P"]]


@dataclass(frozen=True)
class NetworkPairs:
    """Pairs of networks on one task, of one source or of two.

    Attributes:
        one: Where the first ones are.
        other: Where the second ones are: the same object, or networks of another source.
        first: Positions in `one`.
        second: Positions in `other`.
    """

    one: Members
    other: Members
    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]

    @property
    def have_one_form(self) -> bool:
        """Say whether both are points of one space."""
        return self.one.network.layout == self.other.network.layout

    @property
    def can_be_matched(self) -> bool:
        """Say whether there are units to permute."""
        return self.have_one_form and has_units(self.one.network)

    def values(self) -> dict[str, Values]:
        """Compute all that can be of these networks, a value per pair."""
        found: dict[str, Values] = {}
        if self.one.task.label_rule is not None:
            found["pair_agreement"] = self.agreement()
        ends = {"": self.ends} if self.have_one_form else {}
        if self.can_be_matched:
            ends["_matched"] = self.matched
        for name, barriers in zip(ends, self.barriers(list(ends.values())), strict=True):
            found[f"pair_distance{name}"] = distance(ends[name])
            found[f"pair_barrier{name}"] = barriers
        if all(has_units(side.network) for side in (self.one, self.other)):
            found["pair_cka"] = self.cka()
        return found

    @cached_property
    def ends(self) -> Ends:
        """Both ends of every pair, as they are."""
        return self.one.theta[self.first].astype(float), self.other.theta[self.second].astype(float)

    @cached_property
    def matched(self) -> Ends:
        """Both ends, the second moved through its symmetries as near to the first as is found.

        Matching starts from the networks as they are, and from both canonical forms, between which
        a permuted copy has no distance at all; the nearer result is taken.
        """
        network = self.one.network
        forms = self._of_both(
            lambda side: side.each(lambda row: canonical_forms(network, row), side.theta)
        )
        starts = [self.ends, (forms[0][self.first], forms[1][self.second])]
        found = [
            (targets, np.stack([match(network, a, b) for a, b in zip(targets, moved, strict=True)]))
            for targets, moved in starts
        ]
        nearer = (distance(found[1]) < distance(found[0]))[:, None]
        return (
            np.where(nearer, found[1][0], found[0][0]),
            np.where(nearer, found[1][1], found[0][1]),
        )

    def agreement(self) -> Values:
        """Share of the probe inputs that both give one label."""
        labels = self._of_both(_labels)
        return (labels[0][self.first] == labels[1][self.second]).mean(axis=1)

    def barriers(self, ends: Sequence[Ends]) -> list[Values]:
        """Largest rise of the training loss over the line between the ends' losses; at least 0.

        Source:
            Frankle, Dziugaite, Roy & Carbin (2020), ICML; Entezari et al. (2022), ICLR, eq. 1.
        """
        if not ends:
            return []
        share = np.linspace(0.0, 1.0, POINTS)[:, None]
        a, b = (np.concatenate(side) for side in zip(*ends, strict=True))
        path = (1 - share[..., None]) * a + share[..., None] * b
        losses = self.one.losses(path.reshape(-1, path.shape[-1])).reshape(POINTS, -1)
        rises = np.max(losses - (1 - share) * losses[0] - share * losses[-1], axis=0)
        return np.split(rises, len(ends))

    def cka(self) -> Values:
        """Linear CKA of the last hidden layer's activations on the probe inputs.

        Source:
            Kornblith, Norouzi, Lee & Hinton (2019), ICML, section 3.
        """
        one, other = self._of_both(_features)
        pairs = zip(one[self.first], other[self.second], strict=True)
        return np.array([linear_cka(a, b) for a, b in pairs])

    def _of_both(self, compute: Callable[[Members], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Compute something of both sides, once where they are one."""
        found = compute(self.one)
        return found, found if self.other is self.one else compute(self.other)


def _labels(side: Members) -> np.ndarray:
    rule = side.task.label_rule
    assert rule is not None
    outputs = side.outputs(_probes(side))
    return np.stack([np.asarray(rule.labels(jnp.asarray(row))) for row in outputs])


def _features(side: Members) -> np.ndarray:
    return side.each(partial(features, side.network, jnp.asarray(_probes(side))), side.theta)


def _probes(side: Members) -> Float[np.ndarray, "F ..."]:
    return side.task.inputs[side.task.probe_inputs]


def distance(ends: Ends) -> Values:
    """Euclidean distance in the space of parameters."""
    found: Values = np.linalg.norm(ends[0] - ends[1], axis=1)
    return found


def features(
    network: Network, x: Float[Array, "N D"], theta: Float[Array, " P"]
) -> Float[Array, "N H"]:
    """Compute the activations of the last hidden layer of a chain of dense layers."""
    params = network.layout.unflatten(theta)
    activation = ACTIVATIONS[network.module.activation]
    layers = dict.fromkeys(leaf.path[0] for leaf in network.layout.leaves)
    for name in list(layers)[:-1]:
        x = activation(x @ params[name]["kernel"] + params[name].get("bias", 0.0))
    return x


def linear_cka(a: Float[np.ndarray, "N H"], b: Float[np.ndarray, "N K"]) -> float:
    """Compute |A'B|^2 / (|A'A| |B'B|), columns centred; NaN where one is constant."""
    a, b = (x.astype(float) - x.mean(axis=0, dtype=float) for x in (a, b))
    sizes = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    return float(np.linalg.norm(a.T @ b) ** 2 / sizes) if sizes > 0 else float("nan")
