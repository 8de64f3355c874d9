"""Shares of the variance between rows that are each factor's: Shapley values with a bootstrap."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sweep_engine.atlas.contrasts import Levels
from sweep_engine.designs import model_matrix

NUM_RESAMPLES = 200
MAX_FACTORS = 12
REST = "the rest"


@dataclass(frozen=True)
class Share:
    """A factor's share of the variance between rows.

    Attributes:
        factor: Its name; `REST` is what no main effect explains: interactions, and
            what no factor does.
        value: From 0 to 1; all shares sum to 1. NaN where rows do not differ by more than their
            sampling errors.
        low: Lower end of the 95 % interval, by a bootstrap over rows.
        high: Upper end.
    """

    factor: str
    value: float
    low: float
    high: float


def shares(
    values: Float[np.ndarray, " n"],
    variances: Float[np.ndarray, " n"],
    levels: Levels,
    seed: int,
) -> list[Share]:
    """Share the variance of rows, beyond their sampling errors, among factors.

    A factor's share is the mean, over all orders in which factors can be added, of what its main
    effect explains when it is added (Shapley; in regression: Lindeman, Merenda & Gold). In
    balanced rows that is its sum of squares. What chance explains of each is taken off, by the
    residual mean square, and the sampling errors off the rest.

    Example:
        >>> levels = Levels.of([{"a": str(i % 2), "b": str(i // 2 % 2)} for i in range(64)])
        >>> y = 2.0 * levels.codes["a"]
        >>> [round(each.value, 2) for each in shares(y, np.zeros(64), levels, 0)]
        [1.0, 0.0, 0.0]

    Args:
        values: One a row.
        variances: Of their sampling errors.
        levels: Of their factors.
        seed: Of the bootstrap.

    Raises:
        ValueError: there are more than 12 factors.

    Source:
        Lindeman, Merenda & Gold (1980); Grömping (2007), The American Statistician 61(2).
    """
    factors = list(levels.names)
    if len(factors) > MAX_FACTORS:
        raise ValueError(f"shares are of at most {MAX_FACTORS} factors, got {len(factors)}")
    blocks = [model_matrix(levels.codes, levels.sizes, [(name,)])[:, 1:] for name in factors]
    rng = np.random.default_rng([seed, 20])
    num_rows = len(values)
    point = _shares(values, variances, blocks)
    if np.isnan(point).any():  # rows differ by no more than their sampling errors
        return [Share(name, math.nan, math.nan, math.nan) for name in (*factors, REST)]
    resampled = np.array([
        _shares(values[rows], variances[rows], [each[rows] for each in blocks])
        for rows in (rng.integers(0, num_rows, num_rows) for _ in range(NUM_RESAMPLES))
    ])  # fmt: skip
    # A resample whose rows do not differ leaves any share possible.
    low = np.quantile(np.where(np.isnan(resampled), 0.0, resampled), 0.025, axis=0)
    high = np.quantile(np.where(np.isnan(resampled), 1.0, resampled), 0.975, axis=0)
    ends = zip([*factors, REST], point, low, high, strict=True)
    return [Share(name, float(v), min(float(v), float(a)), max(float(v), float(b)))
            for name, v, a, b in ends]  # fmt: skip


def _shares(
    values: np.ndarray, variances: np.ndarray, blocks: Sequence[np.ndarray]
) -> Float[np.ndarray, " k+1"]:
    centred = values - values.mean()
    total = float(centred @ centred)
    explained = _explained(centred, blocks)
    sizes = np.array([each.shape[1] for each in blocks])
    degrees = len(values) - 1 - int(sizes.sum())
    if degrees < 1 or total <= 0:
        return np.full(len(blocks) + 1, math.nan)
    mean_square = max(total - explained[-1], 0.0) / degrees
    own = np.clip(_shapley(explained, len(blocks)) - sizes * mean_square, 0.0, None)
    rest = max((len(values) - 1) * (mean_square - float(variances.mean())), 0.0)
    parts = np.array([*own, rest])
    whole = parts.sum()
    return parts / whole if whole > 0 else np.full(len(parts), math.nan)


def _explained(centred: np.ndarray, blocks: Sequence[np.ndarray]) -> Float[np.ndarray, " S"]:
    """The sum of squares that every set of factors explains; set i has the factors of its bits."""
    matrix = np.hstack(blocks)
    matrix = matrix - matrix.mean(axis=0)
    owner = np.repeat(np.arange(len(blocks)), [each.shape[1] for each in blocks])
    sets = np.arange(2 ** len(blocks))
    chosen = (sets[:, None] >> owner & 1).astype(float)
    gram, cross = matrix.T @ matrix, matrix.T @ centred
    ridge = 1e-9 * max(float(np.trace(gram)), 1.0)  # a level may be missing in a resample
    identity = np.eye(len(owner))
    # Columns that are not chosen are replaced by the identity's, so that all sets are one batch.
    systems = chosen[:, :, None] * chosen[:, None, :] * gram
    systems += ((1 - chosen) + ridge)[:, :, None] * identity
    solved = np.linalg.solve(systems, (chosen * cross)[:, :, None])[:, :, 0]
    explained: Float[np.ndarray, " S"] = solved @ cross
    return explained


def _shapley(explained: Float[np.ndarray, " S"], num_factors: int) -> Float[np.ndarray, " k"]:
    sets = np.arange(len(explained))
    sizes = np.array([int(each).bit_count() for each in sets])
    weights = np.array(
        [
            math.factorial(size) * math.factorial(num_factors - size - 1)
            / math.factorial(num_factors)
            for size in range(num_factors)
        ]
    )  # fmt: skip
    found = []
    for factor in range(num_factors):
        without = sets[(sets >> factor & 1) == 0]
        gain = explained[without | 1 << factor] - explained[without]
        found.append(float(weights[sizes[without]] @ gain))
    return np.array(found)
