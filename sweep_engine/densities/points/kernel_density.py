"""Kernel densities in one and two dimensions, with a bandwidth chosen by likelihood."""

import math

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimator import Estimator, Takes
from sweep_engine.densities.points.independent import Points, points
from sweep_engine.densities.points.pairwise import Cloud, blocks
from sweep_engine.densities.points.witness import Witness, witness_quantities
from sweep_engine.densities.trust import Trust

FACTORS = np.geomspace(0.05, 2.0, 12)
"""Bandwidths that are tried, in units of Scott's rule n^(-1/(D+4)) times the spread."""

Logs = Float[np.ndarray, " n"]

MAX_DRAWS = 4000
MAX_FOR_BANDWIDTH = 1000
"""Twelve bandwidths are tried on all pairs; on so many draws that takes a tenth of a second."""


class KernelDensity(Estimator[Draws]):
    """Estimates lower bounds of TV and KL by kernel densities of one half, measured on the other.

    Both halves take both parts. The bandwidth of each density is the one, of twelve, under
    which its draws are likeliest when each is left out; repeated values choose the smallest.
    The methods name the bandwidths. Beyond two columns it is out of its range.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sides = Draws.of(rng.normal(1, 1, 2000)), Draws.of(rng.normal(0, 1, 2000))
        >>> tv, kl = KernelDensity().look(*sides, 0).at(0.95)
        >>> kl.low < 0.5 < kl.high
        True
    """

    name = "kde"
    takes = Takes.COLUMNS
    trust = Trust(name, 100, max_dimension=2, max_nats=2.0, beyond="a lower bound, and far below")
    seconds = 1.0
    quantities = witness_quantities(name)

    def look(self, source: Draws, reference: Draws, seed: int) -> Witness:
        """Fit densities to each half, and evaluate their log ratio on the other."""
        rng = np.random.default_rng([seed, 7])
        sample = points(source, reference, self.trust, rng, max_draws=MAX_DRAWS)
        halves, widths = _held_out_ratios(sample)
        spread = "x".join(f"{s:.3g}" for s in sample.scale)
        method = (
            "Gaussian kernels on one half, measured on the other; bandwidths "
            f"{widths[0]:.3g} and {widths[2]:.3g} (source), {widths[1]:.3g} and {widths[3]:.3g} "
            f"(reference), times {spread}"
        )
        return Witness(self.name, self.trust, sample, halves, seed=seed, method=method)


def _held_out_ratios(sample: Points) -> tuple[list[tuple[Logs, Logs]], list[float]]:
    """Evaluate ln(p / q) at every point by densities of the half that it is not in."""
    source, reference = ((cloud[::2], cloud[1::2]) for cloud in (sample.source, sample.reference))
    ratios, widths = [], []
    for part in (0, 1):
        fitted = source[part], reference[part]
        chosen = [choose_bandwidth(cloud) for cloud in fitted]
        widths += chosen
        held_out = source[1 - part], reference[1 - part]
        t_source, t_reference = (_log_ratio(cloud, fitted, chosen) for cloud in held_out)
        ratios.append((t_source, t_reference))
    return ratios, widths


def _log_ratio(at: Cloud, fitted: tuple[Cloud, Cloud], widths: list[float]) -> Logs:
    p, q = (log_density(at, cloud, width) for cloud, width in zip(fitted, widths, strict=True))
    return p - q


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
