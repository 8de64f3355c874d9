"""D-optimal designs by Fedorov's exchange."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from sweep_engine.designs.coding import model_matrix, terms_of

NUM_STARTS = 8
MAX_CANDIDATES = 50_000
MAX_EXCHANGES = 1_000

_ENOUGH = 1e-6
"""Relative growth of the determinant below which no exchange is made."""


def d_optimal(
    sizes: Sequence[int], num_rows: int, order: int, rng: np.random.Generator
) -> Int[np.ndarray, "n F"]:
    """Choose the rows that make the determinant of the effects' information largest.

    Starts from rows drawn at random, and exchanges the row and the candidate that raise |X'X| the
    most, until none does; the best of several starts. No row is there twice.

    Example:
        >>> d_optimal([2, 3], 4, 1, np.random.default_rng(0)).shape
        (4, 2)

    Args:
        sizes: How many levels each factor has.
        num_rows: Rows wanted.
        order: 1: of main effects; 2: of two-way interactions too.
        rng: Draws the starts.

    Raises:
        ValueError: the rows are fewer than the effects, or more than the combinations.

    Source:
        Fedorov (1972), Theory of Optimal Experiments, chapter 3.
    """
    num_candidates = int(np.prod(sizes))
    if num_candidates > MAX_CANDIDATES:
        raise ValueError(
            f"{num_candidates:,} combinations are more than {MAX_CANDIDATES:,}: fewer levels, or "
            "cross some factors"
        )
    if num_rows > num_candidates:
        raise ValueError(f"there are {num_candidates:,} combinations, fewer than {num_rows:,} rows")
    candidates = np.stack(np.unravel_index(np.arange(num_candidates), sizes), axis=1)
    names = [str(i) for i in range(len(sizes))]
    levels = dict(zip(names, candidates.T, strict=True))
    matrix = model_matrix(levels, dict(zip(names, sizes, strict=True)), terms_of(names, order))
    if num_rows < matrix.shape[1]:
        raise ValueError(
            f"{num_rows} rows cannot tell {matrix.shape[1]} effects apart, the mean among them: "
            f"give {matrix.shape[1]} or more"
        )
    starts = [_exchanged(matrix, num_rows, rng) for _ in range(NUM_STARTS)]
    best = max(starts, key=lambda chosen: _log_determinant(matrix[chosen]))
    return candidates[np.sort(best)]


def _log_determinant(rows: Float[np.ndarray, "n p"]) -> float:
    return float(np.linalg.slogdet(rows.T @ rows)[1])


def _exchanged(
    matrix: Float[np.ndarray, "N p"], num_rows: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    chosen = rng.choice(len(matrix), num_rows, replace=False)
    ridge = 1e-8 * np.eye(matrix.shape[1])  # a random start may be singular
    for _ in range(MAX_EXCHANGES):
        rows = matrix[chosen]
        spread = np.linalg.inv(rows.T @ rows + ridge)
        cross = rows @ spread @ matrix.T
        own = np.einsum("np,pq,nq->n", rows, spread, rows)
        new = np.einsum("np,pq,nq->n", matrix, spread, matrix)
        growth = (1 + new[None, :]) * (1 - own[:, None]) + cross**2
        growth[:, chosen] = 0.0
        out, into = np.unravel_index(np.argmax(growth), growth.shape)
        if growth[out, into] <= 1 + _ENOUGH:
            break
        chosen[out] = into
    return chosen
