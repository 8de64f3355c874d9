"""How much of a law its sample has not shown: Good-Turing."""

import math

import numpy as np
from jaxtyping import Int
from scipy import special

from sweep_engine.densities.estimate import Estimate, check_confidence
from sweep_engine.errors import InsufficientSamples


def good_turing(counts: Int[np.ndarray, " F"]) -> float:
    """Compute f1/n, the share of draws whose function was seen once.

    It estimates the probability that the next independent draw is a new function.

    Example:
        >>> good_turing(np.array([2, 1, 1]))
        0.5

    Args:
        counts: Independent draws per function, of one source.

    Source:
        Good (1953), Biometrika 40(3/4).
    """
    return float((counts == 1).sum() / counts.sum())


def unseen_mass(
    counts: Int[np.ndarray, " F"], *, name: str = "unseen_mass", confidence: float = 0.95
) -> Estimate:
    """Estimate the probability that the next draw is a function not seen so far.

    Value f1/n; interval normal with variance (f1 + 2 f2 - f1²/n)/n², f1 and f2 the
    functions seen once and twice. Its high end is at least the exact Poisson limit of f1,
    which is 3.7/n when no function was seen once.

    Example:
        >>> unseen_mass(np.array([90, 8, 1, 1])).value
        0.02

    Args:
        counts: Independent draws per function, of one source.
        name: The estimate's name, to say which source.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: There was no draw.

    Source:
        Good (1953), Biometrika 40(3/4); Esty (1983), Annals of Statistics 11(3).
    """
    check_confidence(confidence)
    num_draws = int(counts.sum())
    if num_draws == 0:
        raise InsufficientSamples("the unseen mass needs at least 1 draw, got 0")
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    upper = (1 + confidence) / 2
    reach = float(special.ndtri(upper)) * math.sqrt(once + 2 * twice - once**2 / num_draws)
    poisson = float(special.gammaincinv(once + 1, upper))
    return Estimate(
        name=name,
        value=once / num_draws,
        low=max(once - reach, 0.0) / num_draws,
        high=min(max(once + reach, poisson) / num_draws, 1.0),
        confidence=confidence,
        num_source=num_draws,
        n_eff_source=float(num_draws),
        unit="1",
        method="Good-Turing f1/n of independent draws; Esty's normal interval",
    )
