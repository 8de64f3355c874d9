"""Statistical assertions with a stated false-alarm rate.

A correct program fails one of these checks, once per choice of seeds, with probability at
most `CHECK_FALSE_ALARM`; with up to `MAX_CHECKS` of them the whole suite stays at 1e-6.
Seeds are fixed, so a check that passed keeps passing. All are two-sided, but for coverage,
where too much is allowed.

A check must be able to fail: `assert_catches` feeds it a deliberately wrong sampler.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import special, stats

SUITE_FALSE_ALARM = 1e-6
MAX_CHECKS = 1000
CHECK_FALSE_ALARM = SUITE_FALSE_ALARM / MAX_CHECKS
NUM_STDERRS = float(special.ndtri(1 - CHECK_FALSE_ALARM / 2))
"""Two-sided normal quantile of one check, 6.1."""


class StatisticalFailure(AssertionError):
    """A check found what chance would not do."""


def assert_p_value(p_value: float, message: str) -> None:
    """Fail when a valid p-value is below one check's share of the budget."""
    if not p_value >= CHECK_FALSE_ALARM:
        raise StatisticalFailure(f"{message}: p = {p_value:.3g} < {CHECK_FALSE_ALARM:.3g}")


def assert_mean_within(
    sample: ArrayLike, truth: ArrayLike, stderr: ArrayLike | None = None
) -> None:
    """Check that independent draws, one a row, have the given mean in every column.

    The standard error comes from the draws, and then a t test is made, unless it is given.
    Draws should be many enough (hundreds) for their mean to be normal. Columns share the
    check's budget.
    """
    sample, truth = np.asarray(sample, float), np.asarray(truth, float)
    num_draws, mean = len(sample), sample.mean(axis=0)
    if stderr is None:
        stderr = sample.std(axis=0, ddof=1) / np.sqrt(num_draws)
        tail = stats.t(num_draws - 1).sf
    else:
        tail = stats.norm.sf
    gap = np.abs(mean - truth)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(gap > 0, gap / np.asarray(stderr), 0.0)
    p_value = float(np.min(2 * tail(distance)) * distance.size)
    assert_p_value(p_value, f"mean {mean} is {distance} standard errors from {truth}")


def assert_probability(successes: int, trials: int, truth: float) -> None:
    """Check a count of independent successes against their probability; exact."""
    p_value = stats.binomtest(int(successes), int(trials), truth).pvalue
    assert_p_value(float(p_value), f"{successes} of {trials} where {truth:.6g} was expected")


def assert_coverage(covered: ArrayLike, nominal: float = 0.95) -> None:
    """Check that an interval covered in at least `nominal` of independent repetitions.

    Exact and one-sided: an interval may cover too often.
    """
    covered = np.asarray(covered, bool)
    p_value = stats.binom.cdf(covered.sum(), covered.size, nominal)
    assert_p_value(float(p_value), f"covered {covered.mean():.4f}, claimed {nominal}")


def assert_frequencies(counts: ArrayLike, probabilities: ArrayLike) -> None:
    """Check counts of independent draws against the probabilities of all cells.

    Chi-squared; cells should expect 5 draws or more.
    """
    counts = np.asarray(counts, float)
    expected = np.asarray(probabilities, float) * counts.sum()
    p_value = stats.chisquare(counts, expected).pvalue
    assert_p_value(float(p_value), f"counts {counts} where {expected} were expected")


def assert_uniform_chi2(counts: ArrayLike) -> None:
    """Check that counts of independent draws are those of a uniform law over the cells."""
    counts = np.asarray(counts)
    assert_frequencies(counts, np.full(counts.shape, 1 / counts.size))


def assert_ks(sample: ArrayLike, cdf: Callable[[np.ndarray], np.ndarray]) -> None:
    """Check independent draws against a continuous distribution function."""
    result = stats.kstest(np.asarray(sample, float), cdf)
    assert_p_value(float(result.pvalue), f"Kolmogorov-Smirnov distance {result.statistic:.4g}")


def assert_same_law(one: ArrayLike, other: ArrayLike) -> None:
    """Check that two independent samples of a continuous scalar come from one law."""
    result = stats.ks_2samp(np.asarray(one, float), np.asarray(other, float), method="asymp")
    assert_p_value(float(result.pvalue), f"Kolmogorov-Smirnov distance {result.statistic:.4g}")


def assert_catches(check: Callable[[Any], None], wrong: Callable[[], Any]) -> None:
    """Check the power: `check` must refuse what a deliberately wrong sampler gives."""
    draws = wrong()
    with pytest.raises(StatisticalFailure):
        check(draws)
