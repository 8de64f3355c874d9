"""All pairs of two clouds of points, without a matrix of them.

Libraries do it, no kernel of ours: at 20,000 points, as many as the estimators take, a k-d tree
in few dimensions and blocks of a matrix product in many take less time than XLA's blocks with
`top_k`. Sums of kernels take twice XLA's time, at 2,000 points some hundredths of a second.
Record: `tests/benchmarks/records/pairwise_2_cores.json`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

MAX_TREE_DIMENSION = 8
"""Beyond, a tree looks at most points, one by one."""

BLOCK = 64
"""Points whose distances to all others are in memory at once."""

Cloud = Float[np.ndarray, "n D"]


class Nearest(NamedTuple):
    """Neighbours of every point, the nearest first.

    Attributes:
        distance: Euclidean.
        which: Places in the cloud.
    """

    distance: Float[np.ndarray, "n K"]
    which: Int[np.ndarray, "n K"]


def nearest(at: Cloud, cloud: Cloud, num: int) -> Nearest:
    """Find the `num` points of a cloud that are nearest to each of some points.

    Example:
        >>> line = np.arange(4.0)[:, None]
        >>> nearest(line[:2], line, 2).distance.tolist()
        [[0.0, 1.0], [0.0, 1.0]]

    Args:
        at: One point a row.
        cloud: `num` points or more, one a row.
        num: K.
    """
    if cloud.shape[1] <= MAX_TREE_DIMENSION:
        distance, index = cKDTree(cloud).query(at, np.arange(1, num + 1))
    else:
        from sklearn.neighbors import NearestNeighbors  # half a second that few comparisons need

        centre = cloud.mean(axis=0)  # products of far points would round their distance away
        search = NearestNeighbors(n_neighbors=num, algorithm="brute").fit(cloud - centre)
        distance, index = search.kneighbors(at - centre)
    return Nearest(distance, index)


def blocks(cloud: Cloud) -> Iterator[Cloud]:
    """Cut a cloud into blocks of points, in order."""
    for first in range(0, len(cloud), BLOCK):
        yield cloud[first : first + BLOCK]
