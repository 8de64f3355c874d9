"""Nearest neighbours: KL divergence and entropy of laws that have a density.

Measured bias by dimension and divergence: `tests/densities/points/knn_bias.json`. In short: trust
the KL for two dimensions at most and below one nat; beyond, it is a test.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special, stats

from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate, Interval
from sweep_engine.densities.estimator import (
    Estimator,
    Part,
    Quantity,
    Reading,
    Readings,
    Table,
    Takes,
    Verdict,
)
from sweep_engine.densities.points.independent import Points, points
from sweep_engine.densities.points.pairwise import Cloud, Nearest, nearest
from sweep_engine.densities.trust import Trust, ceiling
from sweep_engine.errors import IncomparableSources

NUM_NEIGHBOURS = 5
NUM_LISTED = 3 * NUM_NEIGHBOURS
"""Neighbours that are listed, of which nearly always k are left when a group is left out."""

NUM_LISTED_OF_BOTH = 48
"""The same of both sides together, where labels are permuted."""

NUM_GROUPS = 20
NUM_PERMUTATIONS = 199
MAX_DRAWS = 20_000
MAX_PERMUTED = 400
BIAS = 0.1
"""Share of the value by which it fell short, at most, where it is trusted; as measured."""

FEW_OUTSIDE, MOST_OUTSIDE = 4, 0.02
"""Draws out of the reference's reach, or their share, that `BIAS` makes up for."""

FEW_REPEATS = 3
"""Repeats beyond twice what rounding makes on average, by chance."""

MOST_REPEATS = 0.05
"""Share of repeats, whatever made them, above which distances to neighbours are of the rounding."""

ENTROPY_TRUST = Trust("knn entropy", 200, max_dimension=5)

KL = Quantity(
    "kl_knn",
    "The source's preference over the reference, from nearest neighbours.".format,
    Table.HEADLINES,
    Verdict.TEST,
    part=Part.NATS,
)
ENTROPIES = tuple(
    Quantity(
        f"entropy_{side}", f"How spread out the {side} is, in nats of its columns' units.".format
    )
    for side in ("source", "reference")
)


class NearestNeighbours(Estimator[Draws]):
    """Estimates KL(source ‖ reference) and both entropies from nearest neighbours, in nats.

    With rho_i the distance from source point i to its k-th nearest other source point and
    nu_i to its k-th nearest reference point, in D dimensions,

        KL = (D / n) Σ ln(nu_i / rho_i) + ln(m / (n - 1)).

    Interval: a jackknife over 20 random groups of both samples, and upwards 10 % more, the
    most by which it was seen to fall short where it is trusted. Where more than 2 % of the
    source's draws lie out of the reference's reach, its density there is anyone's guess, too
    large as a rule: the interval is then open upwards. The p-value is of permutations, for the
    draws that they can afford.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sides = Draws.of(rng.normal(1, 1, 2000)), Draws.of(rng.normal(0, 1, 2000))
        >>> kl, *entropies = NearestNeighbours().look(*sides, 0).at(0.95)
        >>> kl.low < 0.5 < kl.high
        True

    Source:
        Wang, Kulkarni & Verdú (2009), IEEE Trans. Inf. Theory 55(5); Kozachenko & Leonenko
        (1987), as in Kraskov et al. (2004), Phys. Rev. E 69, eq. 20, for the entropy.
    """

    name = "knn"
    takes = Takes.COLUMNS
    trust = Trust(name, 200, max_dimension=2, max_nats=1.0)
    seconds = 1.5
    quantities = (KL, *ENTROPIES)

    def look(self, source: Draws, reference: Draws, seed: int) -> Reading:
        """Find all neighbours.

        Raises:
            InsufficientSamples: Fewer than 200 independent draws on one side.
            IncomparableSources: Points are repeated: there is no density.
        """
        rng = np.random.default_rng([seed, 5])
        sample = points(source, reference, self.trust, rng, max_draws=MAX_DRAWS)
        _refuse_atoms(sample)
        value = kl_of(sample.source, sample.reference)
        outside = out_of_reach(sample.source, sample.reference)
        stderr, p_value = _jackknife_stderr(sample, rng), _p_value(sample, rng)
        kl = KlReading(sample, seed, value, stderr, p_value, outside)
        entropies = (
            EntropyReading(
                sample,
                seed,
                side,
                float(_entropy_terms(cloud).mean() + np.log(sample.scale).sum()),
                _entropy_stderr(cloud, rng),
            )
            for side, cloud in enumerate((sample.source, sample.reference))
        )
        return Readings((kl, *entropies))


@dataclass(frozen=True)
class KlReading:
    """The divergence with its jackknife's standard error.

    Attributes:
        outside: How many of the source's draws lie out of the reference's reach.
    """

    sample: Points
    seed: int
    value: float
    stderr: float
    p_value: float
    outside: int

    def at(self, confidence: float) -> tuple[Estimate]:
        """Put the jackknife's t interval around it, wider upwards by the bias."""
        reach = float(stats.t.ppf((1 + confidence) / 2, NUM_GROUPS - 1)) * self.stderr
        count = len(self.sample.source)
        is_bound = self.outside > max(FEW_OUTSIDE, MOST_OUTSIDE * count)
        high = math.inf if is_bound else self.value + reach + BIAS * abs(self.value)
        bound = (
            f"{self.outside:,} of {count:,} draws lie where the reference has none near: the "
            "value is too small rather than too large, and its interval is open upwards"
        )
        trust = NearestNeighbours.trust
        return (
            self.sample.estimate(
                KL.name,
                Interval(self.value, self.value - reach, high),
                unit="nats",
                method=f"{NUM_NEIGHBOURS} nearest neighbours; jackknife over {NUM_GROUPS} groups, "
                f"{BIAS:.0%} more upwards; p of {NUM_PERMUTATIONS} permutations of "
                f"{MAX_PERMUTED} draws",
                confidence=confidence,
                seed=self.seed,
                p_value=self.p_value,
                warnings=(
                    *trust.warnings(self.sample.dimension, self.value),
                    ceiling(self.sample.n_eff[1]),
                    *((bound,) if is_bound else ()),
                ),
            ),
        )


@dataclass(frozen=True)
class EntropyReading:
    """The entropy of one side, 0 the source, 1 the reference, with its jackknife's error."""

    sample: Points
    seed: int
    side: int
    value: float
    stderr: float

    def at(self, confidence: float) -> tuple[Estimate]:
        """Put a t interval around the entropy."""
        reach = float(stats.t.ppf((1 + confidence) / 2, NUM_GROUPS - 1)) * self.stderr
        return (
            Estimate(
                name=ENTROPIES[self.side].name,
                value=self.value,
                low=self.value - reach,
                high=self.value + reach,
                confidence=confidence,
                num_source=self.sample.num_draws[self.side],
                n_eff_source=self.sample.n_eff[self.side],
                unit="nats",
                method=f"differential entropy, {NUM_NEIGHBOURS} nearest neighbours, in the "
                f"columns' own units; jackknife over {NUM_GROUPS} groups",
                seed=self.seed,
                warnings=(
                    *self.sample.warnings,
                    *ENTROPY_TRUST.warnings(self.sample.dimension),
                ),
            ),
        )


def out_of_reach(source: Cloud, reference: Cloud) -> int:
    """Count the source's draws that the reference's neighbourhoods do not reach.

    Its nearest reference point is then farther away than that point's own k-th neighbour.

    Example:
        >>> line = np.arange(20.0)[:, None]
        >>> out_of_reach(np.array([[3.5], [19.5], [30.0]]), line)
        1

    Args:
        source: One point a row.
        reference: One point a row, more than k of them.
    """
    own = nearest(reference, reference, NUM_NEIGHBOURS + 1).distance[:, -1]
    found = nearest(source, reference, 1)
    return int((found.distance[:, 0] > own[found.which[:, 0]]).sum())


def kl_of(source: Cloud, reference: Cloud) -> float:
    """Compute the plain estimate, without interval.

    Example:
        >>> line = np.arange(20.0)[:, None]
        >>> round(kl_of(line, line + 0.01), 2)
        -0.32

    Args:
        source: One point a row, more than k of them.
        reference: One point a row, k of them or more.
    """
    rho = nearest(source, source, NUM_NEIGHBOURS + 1).distance[:, -1]
    nu = nearest(source, reference, NUM_NEIGHBOURS).distance[:, -1]
    return _from_distances(rho, nu, source.shape[1], len(reference))


def _from_distances(rho: np.ndarray, nu: np.ndarray, dimension: int, num_reference: int) -> float:
    tiny = np.finfo(float).tiny
    ratio = np.log(np.maximum(nu, tiny) / np.maximum(rho, tiny))
    return float(dimension * ratio.mean() + math.log(num_reference / (len(rho) - 1)))


def _refuse_atoms(sample: Points) -> None:
    for cloud in (sample.source, sample.reference):
        repeats = len(cloud) - len(np.unique(cloud, axis=0))
        num_pairs = len(cloud) * (len(cloud) - 1) / 2
        by_rounding = FEW_REPEATS + 2 * num_pairs * chance_of_repeat(cloud)
        if repeats > min(by_rounding, max(FEW_REPEATS, MOST_REPEATS * len(cloud))):
            raise IncomparableSources(
                f"{repeats:,} of {len(cloud):,} values are repeated, so there is no density: use "
                "`binned` or `c2st`"
            )


def chance_of_repeat(cloud: Cloud) -> float:
    """Estimate how likely two draws of a density are one by rounding to float32, or more.

    Example:
        >>> chance_of_repeat(np.random.default_rng(0).normal(50, 1, (1000, 1))) < 1e-5
        True

    Args:
        cloud: One point a row.
    """
    quartiles = np.quantile(cloud, (0.25, 0.75), axis=0)
    spread, steps = quartiles[1] - quartiles[0], np.quantile(np.abs(cloud), 0.99, axis=0) * 2**-23
    if not spread.any():
        return 0.0  # half of the draws are one value: that is no rounding
    # The integral of a normal density's square is 0.38 over the distance of its quartiles.
    return float(np.prod(np.minimum(0.38 * steps[spread > 0] / spread[spread > 0], 1.0)))


def _jackknife_stderr(sample: Points, rng: np.random.Generator) -> float:
    """Standard error by a delete-a-group jackknife over both samples."""
    clouds = sample.source, sample.reference
    groups = [rng.permutation(np.arange(len(cloud)) % NUM_GROUPS) for cloud in clouds]
    values = without_groups(*clouds, *groups)
    variance = (NUM_GROUPS - 1) / NUM_GROUPS * float(((values - values.mean()) ** 2).sum())
    return math.sqrt(variance)


def without_groups(
    source: Cloud, reference: Cloud, source_group: np.ndarray, reference_group: np.ndarray
) -> Float[np.ndarray, " g"]:
    """Compute the plain estimate with each group of both samples left out in turn.

    All from one list of neighbours; where too few of it are left, they are looked for again.
    """
    sides = (source, source_group, NUM_NEIGHBOURS + 1), (reference, reference_group, NUM_NEIGHBOURS)
    lists = [nearest(source, cloud, min(len(cloud), NUM_LISTED)) for cloud, _, _ in sides]
    values = []
    for g in range(NUM_GROUPS):
        rows = np.flatnonzero(source_group != g)
        rho, nu = (
            _kth_kept(source, Nearest(*(part[rows] for part in listed)), rows, cloud, group != g, k)
            for (cloud, group, k), listed in zip(sides, lists, strict=True)
        )
        num_reference = int((reference_group != g).sum())
        values.append(_from_distances(rho, nu, source.shape[1], num_reference))
    return np.array(values)


def _kth_kept(
    source: Cloud, listed: Nearest, rows: np.ndarray, cloud: Cloud, is_kept: np.ndarray, k: int
) -> Float[np.ndarray, " n"]:
    """The distance from some source points to the k-th of the kept points of a cloud."""
    rank = np.cumsum(is_kept[listed.which], axis=1)
    place = np.argmax(rank >= k, axis=1)
    distance = np.take_along_axis(listed.distance, place[:, None], axis=1)[:, 0]
    few = rank[:, -1] < k
    if few.any():
        distance[few] = nearest(source[rows[few]], cloud[is_kept], k).distance[:, -1]
    return distance


def _p_value(sample: Points, rng: np.random.Generator) -> float:
    source, reference = sample.source[:MAX_PERMUTED], sample.reference[:MAX_PERMUTED]
    both = np.concatenate([source, reference])
    is_source = np.arange(len(both)) < len(source)
    listed = nearest(both, both, min(len(both), NUM_LISTED_OF_BOTH))
    values = [
        _kl_of_labels(both, listed, labels)
        for labels in (is_source, *(rng.permutation(is_source) for _ in range(NUM_PERMUTATIONS)))
    ]
    return sum(value >= values[0] for value in values) / len(values)


def _kl_of_labels(both: Cloud, listed: Nearest, is_source: np.ndarray) -> float:
    rows = np.flatnonzero(is_source)
    near = Nearest(*(part[rows] for part in listed))
    rho, nu = (
        _kth_kept(both, near, rows, both, is_kept, k)
        for is_kept, k in ((is_source, NUM_NEIGHBOURS + 1), (~is_source, NUM_NEIGHBOURS))
    )
    return _from_distances(rho, nu, 1, len(both) - len(rows))


def _entropy_stderr(cloud: Cloud, rng: np.random.Generator) -> float:
    """Standard error by a delete-a-group jackknife, neighbours looked for among those left.

    Terms of neighbours depend on one another, so their own spread is too small.
    """
    group = rng.permutation(np.arange(len(cloud)) % NUM_GROUPS)
    listed = nearest(cloud, cloud, min(len(cloud), NUM_LISTED))
    values = []
    for left_out in range(NUM_GROUPS):
        rows = np.flatnonzero(group != left_out)
        some = Nearest(*(part[rows] for part in listed))
        rho = _kth_kept(cloud, some, rows, cloud, group != left_out, NUM_NEIGHBOURS + 1)
        values.append(float(_terms(rho, len(rows), cloud.shape[1]).mean()))
    return math.sqrt((NUM_GROUPS - 1) * float(np.var(values)))


def _entropy_terms(cloud: Cloud) -> Float[np.ndarray, " n"]:
    rho = nearest(cloud, cloud, NUM_NEIGHBOURS + 1).distance[:, -1]
    return _terms(rho, *cloud.shape)


def _terms(rho: Float[np.ndarray, " n"], num: int, dimension: int) -> Float[np.ndarray, " n"]:
    log_ball = dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2 + 1)
    constant = special.digamma(num) - special.digamma(NUM_NEIGHBOURS) + log_ball
    terms: Float[np.ndarray, " n"] = constant + dimension * np.log(rho)
    return terms
