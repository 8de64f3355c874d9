"""Maximum mean discrepancy and energy distance, with permutation p-values.

Both are 2 E k(X, Y) - E k(X, X') - E k(Y, Y') up to sign: k = -exp(-|x-y|²/(2 l²)) for MMD²,
k = |x - y| for the energy distance. They detect in any dimension; neither is in nats.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import special
from scipy.spatial.distance import cdist, pdist

from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate, Interval
from sweep_engine.densities.estimator import Estimator, Quantity, Table, Takes, Verdict
from sweep_engine.densities.points.independent import Points, points
from sweep_engine.densities.points.pairwise import Cloud, blocks
from sweep_engine.densities.trust import Trust

MAX_DRAWS = 1000
"""Each side's: all pairs under all permutations then take a second, not minutes."""

NUM_PERMUTATIONS = 999
"""With the sample itself a thousand, so p-values are whole thousandths."""

MIN_DRAWS = 20

Matrix = Float[np.ndarray, "N N"]


MMD_SQUARED = Quantity(
    "mmd_squared",
    "How far apart the two are in a kernel's eyes; its size has no unit.".format,
    Table.HEADLINES,
    Verdict.TEST,
)
ENERGY_DISTANCE = Quantity(
    "energy_distance",
    "How much farther apart two of different sources are than two of one.".format,
    Table.HEADLINES,
    Verdict.TEST,
)


class Mmd(Estimator[Draws]):
    """Estimates the squared maximum mean discrepancy of a Gaussian kernel.

    Unbiased: pairs of a draw with itself do not count, so it can be below 0. Several columns
    are scaled by their spread first; a bandwidth that is given is in scaled units.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sides = Draws.of(rng.normal(3, 1, 200)), Draws.of(rng.normal(0, 1, 200))
        >>> Mmd().look(*sides, 0).at(0.95)[0].p_value
        0.001

    Args:
        bandwidth: Of the kernel; left out, the median distance of all draws, which does not
            look at which are whose.

    Source:
        Gretton et al. (2012), JMLR 13, section 3 and 5.
    """

    name = "mmd"
    takes = Takes.COLUMNS
    trust = Trust(name, MIN_DRAWS)
    seconds = 1.5
    quantities = (MMD_SQUARED,)

    def __init__(self, bandwidth: float | None = None) -> None:
        self._bandwidth = bandwidth

    def look(self, source: Draws, reference: Draws, seed: int) -> "KernelReading":
        """Sum the kernel over all pairs, and under permutations."""
        rng = np.random.default_rng([seed, 3])
        sample = _points(source, reference, self.trust, rng)
        width = median_distance(sample) if self._bandwidth is None else self._bandwidth
        return _look(
            MMD_SQUARED.name,
            sample,
            lambda distance: -np.exp(-(distance**2) / (2 * width**2)),
            f"unbiased MMD², Gaussian kernel of bandwidth {width:.4g}",
            rng,
            seed,
        )


class Energy(Estimator[Draws]):
    """Estimates the energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'|.

    Unbiased, so it can be below 0. One column keeps its unit; several are scaled by their
    spread first.

    Source:
        Székely & Rizzo (2013), J. Statist. Plann. Inference 143.
    """

    name = "energy"
    takes = Takes.COLUMNS
    trust = Trust(name, MIN_DRAWS)
    seconds = 1.5
    quantities = (ENERGY_DISTANCE,)

    def look(self, source: Draws, reference: Draws, seed: int) -> "KernelReading":
        """Sum the distances of all pairs, and under permutations."""
        rng = np.random.default_rng([seed, 4])
        sample = _points(source, reference, self.trust, rng)
        method = "unbiased energy distance"
        return _look(ENERGY_DISTANCE.name, sample, lambda d: d, method, rng, seed)


def median_distance(sample: Points) -> float:
    """The median distance between any two points, 1 where all are one point."""
    everything = np.concatenate([sample.source, sample.reference])
    median = float(np.median(pdist(everything[:: max(1, len(everything) // 500)])))
    return median if median > 0 else 1.0


def _points(source: Draws, reference: Draws, trust: Trust, rng: np.random.Generator) -> Points:
    return points(
        source, reference, trust, rng, max_draws=MAX_DRAWS, standardise=source.dimension > 1
    )


@dataclass(frozen=True)
class KernelReading:
    """A discrepancy with its standard error, and its p-value under permutations."""

    name: str
    sample: Points
    method: str
    seed: int
    value: float
    stderr: float
    p_value: float

    def at(self, confidence: float) -> tuple[Estimate]:
        """Put a normal interval around the discrepancy's root.

        A discrepancy is the square of a distance d, and near 0 its standard error is in
        proportion to d: a value that is small by chance has a small one. The interval of d,
        squared, reaches (z stderr)² / 4d² further up.
        """
        reach = float(special.ndtri((1 + confidence) / 2)) * self.stderr
        further = 0.0
        if self.stderr > 0:
            further = reach**2 / (4 * max(self.value, self.stderr))
        return (
            self.sample.estimate(
                self.name,
                Interval(self.value, self.value - reach, self.value + reach + further),
                unit="1",
                method=f"{self.method}; projections' variance plus that under permutation; "
                f"p of {NUM_PERMUTATIONS} permutations",
                confidence=confidence,
                seed=self.seed,
                p_value=self.p_value,
            ),
        )


def _look(
    name: str,
    sample: Points,
    kernel: Callable[[Matrix], Matrix],
    method: str,
    rng: np.random.Generator,
    seed: int,
) -> KernelReading:
    both = np.concatenate([sample.source, sample.reference])
    is_source = np.arange(len(both)) < len(sample.source)
    permuted = (rng.permutation(is_source) for _ in range(NUM_PERMUTATIONS))
    labels = np.stack([np.ones_like(is_source), is_source, *permuted], axis=1).astype(float)
    sums = _sums(both, kernel, labels)
    value, *under_permutation = _discrepancy(sums, labels)
    null = np.array(under_permutation)
    stderr = math.sqrt(_projection_variance(sums, is_source) + float(null.var()))
    p_value = (1 + int((null >= value).sum())) / (1 + NUM_PERMUTATIONS)
    return KernelReading(name, sample, method, seed, float(value), stderr, p_value)


def _sums(
    cloud: Cloud, kernel: Callable[[Matrix], Matrix], ones: Float[np.ndarray, "N B"]
) -> Float[np.ndarray, "N B"]:
    """Sum the kernel from each point to all others that each column of ones and zeros selects."""
    to_any = np.concatenate([kernel(cdist(block, cloud)) @ ones for block in blocks(cloud)])
    return to_any - kernel(np.zeros((1, 1))) * ones  # without itself


def _discrepancy(
    sums: Float[np.ndarray, "N B"], ones: Float[np.ndarray, "N B"]
) -> Float[np.ndarray, " labels"]:
    """2 mean k(x, y) - mean k(x, x') - mean k(y, y') for each column after the first."""
    to_all, (to_source, is_source) = sums[:, :1], (sums[:, 1:], ones[:, 1:])
    n, m = is_source.sum(axis=0), len(is_source) - is_source.sum(axis=0)
    within = (is_source * to_source).sum(axis=0)
    across = ((1 - is_source) * to_source).sum(axis=0)
    rest = to_all.sum() - within - 2 * across
    discrepancy: Float[np.ndarray, " labels"] = (
        2 * across / (n * m) - within / (n * (n - 1)) - rest / (m * (m - 1))
    )
    return discrepancy


def _projection_variance(
    sums: Float[np.ndarray, "N B"], is_source: Bool[np.ndarray, " N"]
) -> float:
    """Variance of the statistic's Hájek projection: 4 (var a / n + var b / m)."""
    n, m = int(is_source.sum()), int((~is_source).sum())
    to_source, to_reference = sums[:, 1], sums[:, 0] - sums[:, 1]
    a = to_reference[is_source] / m - to_source[is_source] / (n - 1)
    b = to_source[~is_source] / n - to_reference[~is_source] / (m - 1)
    return float(4 * (a.var(ddof=1) / n + b.var(ddof=1) / m))
