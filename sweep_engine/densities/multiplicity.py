"""Many tests and many intervals at once: the chance of any false alarm stays as stated."""

import numpy as np
from jaxtyping import Float


def holm(p_values: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
    """Adjust p-values by Holm's step-down rule.

    The k-th smallest of K is multiplied by K - k + 1, and never falls below a smaller one's.
    To call different what is below a keeps the chance of any false alarm at most a, whatever
    the tests' dependence.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
        [0.03, 0.06, 0.06]

    Args:
        p_values: All tests that are shown together.

    Source:
        Holm (1979), Scandinavian Journal of Statistics 6(2).
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * (len(order) - np.arange(len(order))))
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def each_of(num_intervals: int, confidence: float = 0.95) -> float:
    """Give the confidence of each of K intervals that are all to hold at once (Bonferroni).

    Each misses with chance (1 - confidence) / K, so that any of them does with at most
    1 - confidence, whatever their dependence: settings share their reference.

    Example:
        >>> round(each_of(8), 5)
        0.99375

    Args:
        num_intervals: K, of all that are shown together.
        confidence: Of all of them together.
    """
    return 1 - (1 - confidence) / num_intervals
