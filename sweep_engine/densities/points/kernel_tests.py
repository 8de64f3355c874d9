"""Maximum mean discrepancy and energy distance, with permutation p-values.

Both are 2 E k(X, Y) - E k(X, X') - E k(Y, Y') up to sign: k = -exp(-|x-y|²/(2 l²)) for MMD²,
k = |x - y| for the energy distance. They detect in any dimension; neither is in nats.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy import special
from scipy.spatial.distance import cdist, pdist

from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate, Interval
from sweep_engine.densities.points.independent import Points, points
from sweep_engine.densities.points.pairwise import Cloud, blocks
from sweep_engine.densities.trust import Trust

MAX_DRAWS = 1000
NUM_PERMUTATIONS = 999
MMD_TRUST = Trust("mmd", 20)
ENERGY_TRUST = Trust("energy", 20)

Matrix = Float[np.ndarray, "N N"]


def mmd(
    source: Draws,
    reference: Draws,
    *,
    seed: int,
    bandwidth: float | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the squared maximum mean discrepancy of a Gaussian kernel.

    Unbiased: pairs of a draw with itself do not count, so it can be below 0. Several columns
    are scaled by their spread first; a bandwidth that is given is in scaled units.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> far = mmd(Draws.of(rng.normal(3, 1, 200)), Draws.of(rng.normal(0, 1, 200)), seed=0)
        >>> far.p_value
        0.001

    Args:
        source: One or several columns.
        reference: The same columns.
        seed: Of thinning and permutations.
        bandwidth: l; left out, the median distance of all draws, which does not look at who
            is who.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: Fewer than 20 independent draws on one side.

    Source:
        Gretton et al. (2012), JMLR 13, section 3 and 5.
    """
    rng = np.random.default_rng([seed, 3])
    sample = _points(source, reference, MMD_TRUST, rng)
    chosen = median_distance(sample) if bandwidth is None else bandwidth
    return _estimate(
        "mmd_squared",
        sample,
        lambda distance: -np.exp(-(distance**2) / (2 * chosen**2)),
        f"unbiased MMD², Gaussian kernel of bandwidth {chosen:.4g}",
        rng,
        seed,
        confidence,
    )


def energy_distance(
    source: Draws, reference: Draws, *, seed: int, confidence: float = 0.95
) -> Estimate:
    """Estimate the energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'|.

    Unbiased, so it can be below 0. One column keeps its unit; several are scaled by their
    spread first.

    Args:
        source: One or several columns.
        reference: The same columns.
        seed: Of thinning and permutations.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: Fewer than 20 independent draws on one side.

    Source:
        Székely & Rizzo (2013), J. Statist. Plann. Inference 143.
    """
    rng = np.random.default_rng([seed, 4])
    sample = _points(source, reference, ENERGY_TRUST, rng)
    return _estimate(
        "energy_distance", sample, lambda d: d, "unbiased energy distance", rng, seed, confidence
    )


def median_distance(sample: Points) -> float:
    """The median distance between any two points, 1 where all are one point."""
    everything = np.concatenate([sample.source, sample.reference])
    median = float(np.median(pdist(everything[:: max(1, len(everything) // 500)])))
    return median if median > 0 else 1.0


def _points(source: Draws, reference: Draws, trust: Trust, rng: np.random.Generator) -> Points:
    several = source.values.ndim > 1 and source.values.shape[1] > 1
    return points(source, reference, trust, rng, max_draws=MAX_DRAWS, standardise=several)


def _estimate(
    name: str,
    sample: Points,
    kernel: Callable[[Matrix], Matrix],
    method: str,
    rng: np.random.Generator,
    seed: int,
    confidence: float,
) -> Estimate:
    everything = np.concatenate([sample.source, sample.reference])
    mine = np.arange(len(everything)) < len(sample.source)
    labels = [np.ones_like(mine), mine, *(rng.permutation(mine) for _ in range(NUM_PERMUTATIONS))]
    ones = np.stack(labels, axis=1).astype(float)
    sums = _sums(everything, kernel, ones)
    value, *under_permutation = _discrepancy(sums, ones)
    null = np.array(under_permutation)
    stderr = math.sqrt(_projection_variance(sums, mine) + float(null.var()))
    reach = float(special.ndtri((1 + confidence) / 2)) * stderr
    return sample.estimate(
        name,
        Interval(float(value), float(value - reach), float(value + reach)),
        unit="1",
        method=f"{method}; projections' variance plus that under permutation; "
        f"p of {NUM_PERMUTATIONS} permutations",
        confidence=confidence,
        seed=seed,
        p_value=(1 + int((null >= value).sum())) / (1 + NUM_PERMUTATIONS),
    )


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
    to_all, (to_source, mine) = sums[:, :1], (sums[:, 1:], ones[:, 1:])
    n, m = mine.sum(axis=0), len(mine) - mine.sum(axis=0)
    within = (mine * to_source).sum(axis=0)
    across = ((1 - mine) * to_source).sum(axis=0)
    rest = to_all.sum() - within - 2 * across
    found: Float[np.ndarray, " labels"] = (
        2 * across / (n * m) - within / (n * (n - 1)) - rest / (m * (m - 1))
    )
    return found


def _projection_variance(sums: Float[np.ndarray, "N B"], mine: Bool[np.ndarray, " N"]) -> float:
    """Variance of the statistic's Hájek projection: 4 (var a / n + var b / m)."""
    n, m = int(mine.sum()), int((~mine).sum())
    to_source, to_reference = sums[:, 1], sums[:, 0] - sums[:, 1]
    a = to_reference[mine] / m - to_source[mine] / (n - 1)
    b = to_source[~mine] / n - to_reference[~mine] / (m - 1)
    return float(4 * (a.var(ddof=1) / n + b.var(ddof=1) / m))
