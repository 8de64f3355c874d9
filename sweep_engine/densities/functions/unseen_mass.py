"""How much of a law a sample has not shown: its own (Good-Turing), or another's."""

import dataclasses
import math

import numpy as np
from jaxtyping import Int
from scipy import special

from sweep_engine.densities.cells.counts import CellCounts, Cells
from sweep_engine.densities.estimate import Estimate, check_confidence
from sweep_engine.densities.estimator import Quantity
from sweep_engine.densities.probabilities.proportions import proportion
from sweep_engine.errors import InsufficientSamples

UNSEEN_MASSES = tuple(
    Quantity(
        f"unseen_mass_{side}",
        "A new draw shows a function not seen before {0.value:.0%} of the time.".format,
    )
    for side in ("source", "reference")
)
UNSEEN_BY_REFERENCE = Quantity(
    "mass_unseen_by_reference",
    "{0.value:.1%} of the source is on functions the reference never drew.".format,
)


def good_turing(counts: Int[np.ndarray, " F"], cells: Cells = 1) -> float:
    """Compute f1/n, the share of draws whose function was seen once.

    It estimates the probability that the next independent draw is a new function.

    Example:
        >>> good_turing(np.array([2, 1, 1]))
        0.5

    Args:
        counts: Independent draws per function, of one source.
        cells: How many functions each entry stands for.

    Source:
        Good (1953), Biometrika 40(3/4).
    """
    return float(((counts == 1) * cells).sum() / (counts * cells).sum())


def unseen_mass(
    counts: Int[np.ndarray, " F"],
    cells: Cells = 1,
    *,
    name: str = "unseen_mass",
    confidence: float = 0.95,
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
        cells: How many functions each entry stands for.
        name: The estimate's name, to say which source.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: There was no draw.

    Source:
        Good (1953), Biometrika 40(3/4); Esty (1983), Annals of Statistics 11(3).
    """
    check_confidence(confidence)
    num_draws = int((counts * cells).sum())
    if num_draws == 0:
        raise InsufficientSamples("the unseen mass needs at least 1 draw, got 0")
    once, twice = (int(((counts == times) * cells).sum()) for times in (1, 2))
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


def mass_unseen_by_reference(counts: CellCounts, *, confidence: float = 0.95) -> Estimate:
    """Estimate the source's mass on functions that this sample of the reference lacks.

    Given the reference's sample it is a proportion of independent draws, with its exact
    interval. It is not the mass outside the reference's support: rare functions count too.

    Example:
        >>> mass_unseen_by_reference(CellCounts(np.array([90, 10]), np.array([100, 0]))).value
        0.1

    Args:
        counts: Independent draws per function.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: One side has no draw.
    """
    counts.require(1)
    unseen = counts.select(counts.reference == 0).num_source
    estimate = proportion(
        int(unseen),
        int(counts.num_source),
        name=UNSEEN_BY_REFERENCE.name,
        confidence=confidence,
    )
    return dataclasses.replace(
        estimate,
        num_reference=counts.num_draws[1],
        n_eff_reference=counts.num_reference,
        method="share of independent source draws, given the reference's sample; Clopper-Pearson",
        warnings=(),
    )
