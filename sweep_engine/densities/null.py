"""The same-source null: what an estimator says of two samples of one law."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from sweep_engine.densities.estimate import Interval

NUM_SPLITS = 5
"""Of each side: ten values tell how large a null is; their range is no test."""

Side = TypeVar("Side")


def same_source_null(
    estimator: Callable[..., Iterable[float]],
    sides: tuple[Side, Side],
    halve: Callable[[Side], tuple[Any, ...]],
    num_splits: int = NUM_SPLITS,
) -> list[Interval]:
    """Run an estimator on random halves of the source, and on halves of the reference.

    A half has half the draws, so a null that shrinks with the sample would be smaller at
    full size than the one shown. Draws must be independent.

    Example:
        >>> cut = lambda draws: (draws[::2], draws[1::2])
        >>> gap = lambda half, other: [abs(half.mean() - other.mean())]
        >>> same_source_null(gap, (np.arange(4.0), np.arange(4.0)), cut)
        [Interval(value=1.0, low=1.0, high=1.0)]

    Args:
        estimator: Takes what `halve` gives of one source, gives one or more values.
        sides: The draws of source and reference.
        halve: Splits one side, at random: two halves, or one record of both.
        num_splits: Splits of each side.

    Returns:
        One summary per value, see `summarise_null`.
    """
    values = [[list(estimator(*halve(side))) for _ in range(num_splits)] for side in sides]
    return summarise_null(np.array(values, float))


def summarise_null(values: Float[np.ndarray, "2 S K"]) -> list[Interval]:
    """Summarise null values: the larger of both sources' means, and the whole range.

    Example:
        >>> summarise_null(np.array([[[1.0], [3.0]], [[0.0], [1.0]]]))
        [Interval(value=2.0, low=0.0, high=3.0)]

    Args:
        values: Of S splits of source and reference, K estimators.
    """
    means = values.mean(axis=1).max(axis=0)
    ends = values.min(axis=(0, 1)), values.max(axis=(0, 1))
    return [Interval(*map(float, row)) for row in zip(means, *ends, strict=True)]
