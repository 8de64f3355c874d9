"""Proportions of independent draws with exact binomial intervals: P(fit), ln P(fit), P(f)."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Real
from scipy import special

from sweep_engine.densities.estimate import Estimate, check_confidence
from sweep_engine.errors import InsufficientSamples


def clopper_pearson(
    successes: Real[np.ndarray, "*shape"] | float,
    trials: Real[np.ndarray, "*shape"] | float,
    confidence: float = 0.95,
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Compute the exact interval of a binomial proportion from independent trials.

    With k successes in n trials and a = 1 - confidence it is
    [Beta(a/2; k, n-k+1), Beta(1-a/2; k+1, n-k)], the low end 0 at k = 0 and the high end 1
    at k = n. At k = 0 the high end is 1 - (a/2)^(1/n), about 3.7/n at 95%: the rule of
    three takes the whole of a on one side, which a two-sided interval may not.

    Weighted draws may be given as effective counts, which need not be whole numbers; the
    interval is then an approximation.

    Example:
        >>> low, high = clopper_pearson(0, 100)
        >>> float(low), round(float(high), 4)
        (0.0, 0.0362)

    Args:
        successes: k, between 0 and `trials`.
        trials: n, at least 1.
        confidence: Of each interval by itself.

    Returns:
        The low and the high ends.

    Raises:
        InsufficientSamples: There was no trial.
        ValueError: k is not between 0 and n.

    Source:
        Clopper & Pearson (1934), Biometrika 26(4).
    """
    check_confidence(confidence)
    k, n = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    if np.any(n <= 0):
        raise InsufficientSamples("a proportion needs at least 1 draw, got 0")
    if np.any((k < 0) | (k > n * (1 + 1e-12))):
        raise ValueError("expected 0 <= successes <= trials")
    tail, tiny = (1 - confidence) / 2, np.finfo(float).tiny
    failures = np.maximum(n - k, 0.0)
    low = special.betaincinv(np.maximum(k, tiny), failures + 1, tail)
    high = special.betainccinv(k + 1, np.maximum(failures, tiny), tail)
    return np.where(k > 0, low, 0.0), np.where(failures > 0, high, 1.0)


def proportion(
    successes: int, trials: int, *, name: str = "probability", confidence: float = 0.95
) -> Estimate:
    """Estimate a probability from a number of independent draws fixed beforehand: k/N.

    Example:
        >>> fit = proportion(3, 1000, name="p_fit")
        >>> fit.value, round(fit.low, 5), round(fit.high, 5)
        (0.003, 0.00062, 0.00874)

    Args:
        successes: k, e.g. the draws that fit.
        trials: N, all draws.
        name: The estimate's name.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: There was no draw.
        ValueError: k is not between 0 and N.
    """
    low, high = clopper_pearson(successes, trials, confidence)
    return Estimate(
        name=name,
        value=successes / trials,
        low=float(low),
        high=float(high),
        confidence=confidence,
        num_source=trials,
        n_eff_source=float(trials),
        unit="1",
        method="k/N of N independent draws, N fixed beforehand; Clopper-Pearson",
        warnings=() if successes else ("no success: the value is 0, only the high end speaks",),
    )


def inverse_proportion(
    successes: int, trials: int, *, name: str = "probability", confidence: float = 0.95
) -> Estimate:
    """Estimate a probability from independent draws stopped at the k-th success.

    k/N is then biased upwards. (k-1)/(N-1) is unbiased, and the exact interval is
    [Beta(a/2; k, N-k+1), Beta(1-a/2; k, N-k)], with a = 1 - confidence.

    Example:
        >>> round(inverse_proportion(10, 1000).value, 6)
        0.009009

    Args:
        successes: k, fixed beforehand; at least 2.
        trials: N, draws in order up to and with the k-th success; later ones do not count.
        name: The estimate's name.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: k is below 2, where (k-1)/(N-1) says nothing.
        ValueError: N is below k.

    Source:
        Haldane (1945), Biometrika 33(3).
    """
    check_confidence(confidence)
    if successes < 2:
        raise InsufficientSamples(
            f"stopping at the k-th success needs k of at least 2, got {successes}"
        )
    low, _ = clopper_pearson(successes, trials, confidence)
    _, high = clopper_pearson(successes - 1, trials - 1, confidence)
    return Estimate(
        name=name,
        value=(successes - 1) / (trials - 1),
        low=float(low),
        high=float(high),
        confidence=confidence,
        num_source=trials,
        n_eff_source=float(trials),
        unit="1",
        method="(k-1)/(N-1), independent draws stopped at the k-th success; exact interval",
    )


def ln_probability(probability: Estimate) -> Estimate:
    """Restate an estimated probability as ln P, in nats.

    The logarithm is monotone, so the interval keeps its coverage; ln 0 is -inf.

    Example:
        >>> ln_probability(proportion(0, 1000, name="p_fit")).name
        'ln_p_fit'

    Args:
        probability: What `proportion` or `inverse_proportion` gave.

    Raises:
        ValueError: The estimate is not between 0 and 1.
    """
    if probability.low < 0 or probability.high > 1:
        raise ValueError(f"expected a probability, got [{probability.low}, {probability.high}]")
    return dataclasses.replace(
        probability,
        name=f"ln_{probability.name}",
        value=_ln(probability.value),
        low=_ln(probability.low),
        high=_ln(probability.high),
        unit="nats",
        method=f"ln of: {probability.method}",
    )


@dataclass(frozen=True)
class Frequencies:
    """Probabilities of F cells with exact intervals, each by itself, for plots.

    Attributes:
        counts: Draws in each cell.
        probability: counts / total.
        low: Low end of the Clopper-Pearson interval of each cell.
        high: High end.
    """

    counts: Real[np.ndarray, " F"]
    probability: Float[np.ndarray, " F"]
    low: Float[np.ndarray, " F"]
    high: Float[np.ndarray, " F"]


def frequencies(
    counts: Real[np.ndarray, " F"],
    confidence: float = 0.95,
    only: Int[np.ndarray, " G"] | slice = slice(None),
) -> Frequencies:
    """Compute the probability of each cell, with an exact interval each.

    Example:
        >>> frequencies(np.array([3, 1])).probability
        array([0.75, 0.25])

    Args:
        counts: Independent draws per cell, all cells: their sum is the number of draws.
        confidence: Of each interval by itself, not of all together.
        only: Cells to give, in this order; all by default.

    Raises:
        InsufficientSamples: The counts sum to 0.
    """
    total, counts = counts.sum(), counts[only]
    distinct, cell = np.unique(counts, return_inverse=True)
    low, high = clopper_pearson(distinct, np.full(len(distinct), total), confidence)
    return Frequencies(counts, counts / total, low[cell], high[cell])


def log_ratio(
    source: Frequencies, reference: Frequencies
) -> tuple[Float[np.ndarray, " F"], Float[np.ndarray, " F"], Float[np.ndarray, " F"]]:
    """Compute ln(p_source / p_reference) of every cell with an interval, in nats.

    The interval is [ln(p_low / q_high), ln(p_high / q_low)]: exact, and wider than need be.
    It misses when either proportion's interval does, so its error is at most twice theirs.
    A cell that neither has seen is NaN in [-inf, inf].

    Example:
        >>> same = frequencies(np.array([5, 5]))
        >>> log_ratio(same, same)[0]
        array([0., 0.])

    Args:
        source: Frequencies with intervals, over the same cells as the reference.
        reference: The other side.

    Returns:
        The log ratio, its low and its high ends.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return (
            np.log(source.probability) - np.log(reference.probability),
            np.log(source.low) - np.log(reference.high),
            np.log(source.high) - np.log(reference.low),
        )


def _ln(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
