"""Kernel densities in one and two dimensions, with a bandwidth chosen by likelihood."""

import math

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.points.independent import points
from sweep_engine.densities.points.pairwise import Cloud, blocks
from sweep_engine.densities.points.witness import kl_bound, one_sided, tv_bound
from sweep_engine.densities.trust import Trust, ceiling

FACTORS = np.geomspace(0.05, 2.0, 12)
"""Bandwidths that are tried, in units of Scott's rule n^(-1/(D+4)) times the spread."""

MAX_DRAWS = 4000
MAX_FOR_BANDWIDTH = 1000
TRUST = Trust("kde", 100, max_dimension=2, max_nats=2.0, beyond="a lower bound, and far below")


def kde(
    source: Draws, reference: Draws, *, seed: int, confidence: float = 0.95
) -> tuple[Estimate, ...]:
    """Bound TV and KL from below by kernel densities of one half, measured on the other.

    Both halves take both parts. The bandwidth of each density is the one, of twelve, under
    which its draws are likeliest when each is left out; repeated values choose the smallest.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> tv, kl = kde(Draws.of(rng.normal(1, 1, 2000)), Draws.of(rng.normal(0, 1, 2000)),
        ...              seed=0)
        >>> kl.low < 0.5 < kl.high
        True

    Args:
        source: One or two columns; more are out of its range.
        reference: The same columns.
        seed: Of thinning and halves.
        confidence: Of each interval.

    Returns:
        `tv_bound_kde` and `kl_bound_kde`, whose intervals are open upwards; their methods name
        the bandwidths.

    Raises:
        InsufficientSamples: Fewer than 100 independent draws on one side.
    """
    rng = np.random.default_rng([seed, 7])
    sample = points(source, reference, TRUST, rng, max_draws=MAX_DRAWS)
    halves = [(cloud[::2], cloud[1::2]) for cloud in (sample.source, sample.reference)]
    ratios: list[list[np.ndarray]] = [[], []]
    widths: list[float] = []
    for part in (0, 1):
        fitted = [half[part] for half in halves]
        chosen = [choose_bandwidth(cloud) for cloud in fitted]
        widths += chosen
        for side, half in enumerate(halves):
            logs = [log_density(half[1 - part], cloud, width) for cloud, width in
                    zip(fitted, chosen, strict=True)]  # fmt: skip
            ratios[side].append(logs[0] - logs[1])
    held_out = np.concatenate(ratios[0]), np.concatenate(ratios[1])
    tv = one_sided(tv_bound(*held_out, confidence), 1.0)
    kl = one_sided(kl_bound(*held_out, confidence), math.inf)
    spread = "x".join(f"{s:.3g}" for s in sample.scale)
    method = (
        "Gaussian kernels on one half, measured on the other; bandwidths "
        f"{widths[0]:.3g} and {widths[2]:.3g} (source), {widths[1]:.3g} and {widths[3]:.3g} "
        f"(reference), times {spread}"
    )
    outside = TRUST.warnings(sample.dimension, kl.value)
    return (
        sample.estimate(
            "tv_bound_kde", tv, unit="1", method=method, confidence=confidence, seed=seed,
            warnings=TRUST.warnings(sample.dimension),
        ),
        sample.estimate(
            "kl_bound_kde", kl, unit="nats", method=f"{method}; Donsker-Varadhan",
            confidence=confidence, seed=seed, warnings=(*outside, ceiling(sample.n_eff[1])),
        ),
    )  # fmt: skip


def choose_bandwidth(cloud: Cloud) -> float:
    """Choose the bandwidth under which points are likeliest, each left out in turn.

    Example:
        >>> 0.1 < choose_bandwidth(np.random.default_rng(0).normal(size=(500, 1))) < 0.6
        True

    Args:
        cloud: One point a row.
    """
    few = cloud[:MAX_FOR_BANDWIDTH]
    # The optimum falls with the number of points: scale what few of them prefer to all.
    power = -1 / (cloud.shape[1] + 4)
    spread = float(few.std(axis=0).mean()) or 1.0
    squared = cdist(few, few, "sqeuclidean")
    np.fill_diagonal(squared, np.inf)
    widths = FACTORS * spread * len(few) ** power
    best = widths[int(np.argmax([_log_kernel(squared, w, few.shape[1]).mean() for w in widths]))]
    return float(best * (len(cloud) / len(few)) ** power)


def log_density(at: Cloud, cloud: Cloud, bandwidth: float) -> Float[np.ndarray, " n"]:
    """Evaluate the kernel density of `cloud` at points.

    Example:
        >>> log_density(np.zeros((1, 1)), np.zeros((1, 1)), 1.0).round(4).tolist()
        [-0.9189]

    Args:
        at: Where, one point a row.
        cloud: What the density is of.
        bandwidth: Standard deviation of the Gaussian kernel.
    """
    parts = (cdist(block, cloud, "sqeuclidean") for block in blocks(at))
    return np.concatenate([_log_kernel(part, bandwidth, cloud.shape[1]) for part in parts])


def _log_kernel(
    squared: Float[np.ndarray, "n m"], width: float, dimension: int
) -> Float[np.ndarray, " n"]:
    norm = math.log(squared.shape[1]) + dimension * math.log(width * math.sqrt(2 * math.pi))
    nearest = squared.min(axis=1)  # its term is 1; logsumexp of SciPy takes 3 times as long
    sums = np.exp((nearest[:, None] - squared) / (2 * width**2)).sum(axis=1)
    logs: Float[np.ndarray, " n"] = np.log(sums) - nearest / (2 * width**2) - norm
    return np.maximum(logs, math.log(np.finfo(float).tiny))
