"""Pairs of networks, of one source or of two: do they agree, and does a low path join them?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.networks.jackknife import JackknifeError, leave_one_out, t_interval
from sweep_engine.densities.networks.members import Members, members
from sweep_engine.densities.networks.pair_values import POINTS, NetworkPairs, Values
from sweep_engine.densities.networks.quantities import (
    AGREEMENT,
    BARRIER,
    BARRIER_MATCHED,
    CKA,
    DISTANCE,
    DISTANCE_MATCHED,
)
from sweep_engine.densities.stored.sides import Side
from sweep_engine.densities.trust import Trust
from sweep_engine.errors import IncomparableSources

MAX_NETWORKS = 64
PARTNERS = 2
"""Each network is in twice so many pairs of one source: few, since networks carry the error."""

STREAM = 12
"""What the sweep's seed is joined by: no other estimator's number."""

MEANINGS = {
    AGREEMENT.name: "share of probe inputs with one label",
    BARRIER.name: f"largest rise of the training loss over the line between the ends' losses, at "
    f"{POINTS} points of the straight path",
    BARRIER_MATCHED.name: "the same after weight matching from two starts, a heuristic: another "
    "matching may have a lower barrier",
    DISTANCE.name: "|theta - theta'|",
    DISTANCE_MATCHED.name: "|theta - theta'| after weight matching: the least over permutations, "
    "and signs under odd activations, with one hidden layer; an upper bound of it with more; "
    "scales of relu units are not divided out",
    CKA.name: "linear CKA of the last hidden layer on the probe inputs",
}
SPANS = dict.fromkeys(MEANINGS, (0.0, math.inf)) | dict.fromkeys(
    (AGREEMENT.name, CKA.name), (0.0, 1.0)
)


def look(source: Side, reference: Side, seed: int, trust: Trust) -> "PairsReading":
    """Draw networks, pair them and compute every number of each pair.

    Raises:
        IncomparableSources: the two sides have other probe inputs.
    """
    rng = np.random.default_rng([seed, STREAM])
    one = members(source, MAX_NETWORKS, rng)
    other = one if reference == source else members(reference, MAX_NETWORKS, rng)
    trust.require(one.num_units, other.num_units)
    _check_probes(one, other)
    pairs = paired(one, other)
    values = pairs.values()
    return PairsReading(pairs, values, error_of_means(pairs, list(values.values())), seed)


@dataclass(frozen=True)
class PairsReading:
    """The numbers of every pair, by name, and the errors of their means."""

    pairs: NetworkPairs
    values: Mapping[str, Values]
    error: JackknifeError
    seed: int

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Put a t interval around every mean."""
        stderrs = dict(zip(self.values, self.error.stderr.tolist(), strict=True))
        return tuple(self._estimate(name, stderrs[name], confidence) for name in self.values)

    def _estimate(self, name: str, stderr: float, confidence: float) -> Estimate:
        one, other, values = self.pairs.one, self.pairs.other, self.values[name]
        mean, freedom = float(values.mean()), self.error.freedom
        interval = t_interval(mean, stderr, freedom, confidence, SPANS[name])
        within = other is one
        return Estimate(
            name=name,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            confidence=confidence,
            num_source=one.num_draws,
            num_reference=0 if within else other.num_draws,
            n_eff_source=float(one.num_units),
            n_eff_reference=0.0 if within else float(other.num_units),
            unit="1",
            method=f"{MEANINGS[name]}; mean of {len(values):,} pairs, jackknife over networks "
            "(units), t interval",
            seed=self.seed,
            warnings=(*dict.fromkeys((*one.notes, *other.notes)), *_warnings(values)),
        )


def paired(one: Members, other: Members) -> NetworkPairs:
    """Pair networks so that each is in as many pairs as the others; those of one unit are not.

    They are in random order already: of one source, each meets the next few; of two, as many of
    each side meet the few at their own place and behind it.
    """
    count = min(len(one), len(other))
    start = np.arange(count)
    if other is one:
        partners = min(PARTNERS, (count - 1) // 2)
        first = np.tile(start, partners)
        second = (first + np.repeat(np.arange(1, partners + 1), count)) % count
        apart = one.units[first] != one.units[second]
        return NetworkPairs(one, one, first[apart], second[apart])
    partners = min(2 * PARTNERS, count)
    first = np.tile(start, partners)
    second = (first + np.repeat(np.arange(partners), count)) % count
    return NetworkPairs(one.head(count), other.head(count), first, second)


def error_of_means(pairs: NetworkPairs, values: Sequence[Values]) -> JackknifeError:
    """Estimate the standard errors of means over pairs, by leaving out networks."""
    within, matrix = pairs.other is pairs.one, np.stack(values)
    second = pairs.second if within else pairs.second + len(pairs.one)

    def means(there: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
        left: Float[np.ndarray, "k p"] = matrix[:, there[pairs.first] & there[second]]
        return left.mean(axis=1)

    if within:
        return leave_one_out(means, pairs.one.units)
    return leave_one_out(means, pairs.one.units, pairs.other.units)


def _check_probes(one: Members, other: Members) -> None:
    probes = [side.task.inputs[side.task.probe_inputs] for side in (one, other)]
    num_labels = [side.task.label_rule and side.task.label_rule.num_labels for side in (one, other)]
    if not np.array_equal(*probes) or num_labels[0] != num_labels[1]:
        raise IncomparableSources("pairs of networks are compared on one task's probe inputs")


def _warnings(values: Values) -> tuple[str, ...]:
    lost = int((~np.isfinite(values)).sum())
    if lost:
        return (f"{lost} of {len(values)} pairs have no finite value, and so the mean has none",)
    same = len(np.unique(values)) == 1
    return ("all pairs have one value: the interval says nothing of others",) if same else ()
