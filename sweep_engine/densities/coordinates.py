"""Low-dimensional coordinates of theta, fixed by the reference alone.

A projection can only lower a divergence, so what is measured in coordinates is a lower bound.
Principal components are fitted on half of the reference's networks, chosen by their ids, and
the other half is compared: a law is always closer to axes that it chose.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec.sweep import Coordinates

MAX_FITTED = 2000
"""Networks that principal components are fitted on: their Gram matrix must fit in memory."""

Thetas = Float[np.ndarray, "R P"]


@dataclass(frozen=True)
class Projection:
    """Coordinates of theta: directions @ (theta - origin).

    Attributes:
        origin: Their zero.
        directions: One a row, of length 1.
        words: How they were made, for the record.
    """

    origin: Float[np.ndarray, " P"]
    directions: Float[np.ndarray, "D P"]
    words: str

    def __call__(self, theta: Thetas) -> Float[np.ndarray, "R D"]:
        """Give the coordinates of networks, one a row."""
        if theta.shape[1] != len(self.origin):
            raise IncomparableSources(
                f"networks of {theta.shape[1]} parameters have no coordinates among networks of "
                f"{len(self.origin)}"
            )
        return (theta - self.origin) @ self.directions.T


def fitting_half(run_id: Int64[np.ndarray, " R"]) -> Bool[np.ndarray, " R"]:
    """Choose the networks that principal components are fitted on: every other index.

    Example:
        >>> fitting_half(np.array([7 << 32, (7 << 32) + 1])).tolist()
        [True, False]

    Args:
        run_id: Ids of runs; the last 32 bits are the index in the setting.
    """
    return (run_id & 1) == 0


def fit_coordinates(asked: Coordinates, reference: Thetas, seed: int) -> Projection:
    """Make coordinates from networks of the reference.

    `pca`: the directions of largest variance, signed so that the largest entry is positive.
    `random`: Gaussian directions, whose origin is the reference's mean.

    Example:
        >>> line = np.outer(np.arange(5.0), [3.0, 4.0])
        >>> fit_coordinates(Coordinates(dimensions=1), line, 0).directions.round(3).tolist()
        [[0.6, 0.8]]

    Args:
        asked: Kind and number.
        reference: Networks that are not compared afterwards.
        seed: Of random directions.

    Raises:
        InsufficientSamples: Fewer networks than coordinates.
    """
    few = np.asarray(reference[:MAX_FITTED], float)
    if len(few) <= asked.dimensions:
        raise InsufficientSamples(
            f"{asked.dimensions} coordinates need at least {2 * asked.dimensions + 2} networks of "
            f"the reference with stored parameters, got {2 * len(few)} or so"
        )
    origin = few.mean(axis=0)
    if asked.kind == "random":
        found = np.random.default_rng([seed, 11]).normal(size=(asked.dimensions, few.shape[1]))
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return Projection(origin, found, f"{asked.dimensions} random directions of theta")
    _, sizes, axes = np.linalg.svd(few - origin, full_matrices=False)
    found = axes[: asked.dimensions]
    largest = np.abs(found).argmax(axis=1)
    found = found * np.sign(found[np.arange(len(found)), largest])[:, None]
    total = float((sizes**2).sum())
    share = float((sizes[: asked.dimensions] ** 2).sum()) / total if total > 0 else 0.0
    return Projection(
        origin,
        found,
        f"{len(found)} principal components of theta, of {len(few):,} networks of the reference "
        f"that are not compared; {share:.3g} of their variance",
    )


def last_of_each(
    run_id: Int64[np.ndarray, " n"], step: Int64[np.ndarray, " n"]
) -> Shaped[np.ndarray, " R"]:
    """Find the row of every run's last stored parameters, in the order of run ids.

    Example:
        >>> last_of_each(np.array([2, 1, 2]), np.array([0, 5, 9])).tolist()
        [1, 2]

    Args:
        run_id: Whose parameters a row holds.
        step: After how many steps.
    """
    order = np.lexsort((step, run_id))
    is_last = np.diff(run_id[order], append=-1) != 0
    return order[is_last]
