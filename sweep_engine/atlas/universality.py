"""Test whether an effect is the same on every task."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

UNIVERSAL = "universal"
SAME_SIGN = "same sign"
TASK_DEPENDENT = "task dependent"
UNDECIDED = "undecided"

LEVEL = 0.05
Z_SHOWN = 1.96


@dataclass(frozen=True)
class Universality:
    """One effect on several tasks.

    Attributes:
        num_tasks: On which it was estimated.
        num_agree: Tasks on which its sign is that of most.
        sign: That sign: 1 or -1.
        sign_p: Chance of as many or more that agree, were both signs as likely (two-sided).
        i_squared: Share of the variance between tasks that is no error, from 0 to 1.
        low: Lower end of its 95 % interval.
        high: Upper end.
        heterogeneity_p: Of the test that the effect is one on all tasks (Cochran's Q).
        pooled_z: Mean over tasks in units of its standard error, differences between tasks
            included (DerSimonian & Laird).
    """

    num_tasks: int
    num_agree: int
    sign: int
    sign_p: float
    i_squared: float
    low: float
    high: float
    heterogeneity_p: float
    pooled_z: float

    @property
    def verdict(self) -> str:
        """Say in two words what the tasks say.

        `universal`: all signs agree, and no difference between tasks is shown. `same sign`: all
        signs agree, sizes differ. `task dependent`: signs disagree, and sizes differ.
        `undecided`: neither an effect nor a difference between tasks is shown.
        """
        differ = self.heterogeneity_p < LEVEL
        if self.num_agree == self.num_tasks and abs(self.pooled_z) > Z_SHOWN:
            return SAME_SIGN if differ else UNIVERSAL
        return TASK_DEPENDENT if differ and self.num_agree < self.num_tasks else UNDECIDED

    def __str__(self) -> str:
        """Write it as people do."""
        return (
            f"the sign holds on {self.num_agree} of {self.num_tasks} tasks, I² "
            f"{self.i_squared:.0%} ({self.low:.0%} to {self.high:.0%})"
        )


def universality(values: Sequence[float], stderrs: Sequence[float]) -> Universality | None:
    """Compare an effect's estimates on several tasks; None where there are fewer than 2.

    Example:
        >>> str(universality([1.0, 1.1, 0.9, 1.0], [0.1, 0.1, 0.1, 0.1]))
        'the sign holds on 4 of 4 tasks, I² 0% (0% to 89%)'

    Args:
        values: One a task.
        stderrs: Their standard errors.

    Source:
        Higgins & Thompson (2002), Statistics in Medicine 21; the interval is that of Q profiles:
        Viechtbauer (2007), 26.
    """
    y, s = np.array(values, float), np.array(stderrs, float)
    known = np.isfinite(y) & np.isfinite(s) & (s > 0)
    y, s = y[known], s[known]
    if len(y) < 2:
        return None
    degrees = len(y) - 1
    q = _cochran_q(y, s, 0.0)
    weights = 1 / s**2
    typical = degrees * weights.sum() / (weights.sum() ** 2 - (weights**2).sum())
    ends = [_variance_at(y, s, float(stats.chi2.ppf(p, degrees))) for p in (0.975, 0.025)]
    low, high = (variance / (variance + typical) for variance in ends)
    i_squared = max(0.0, 1 - degrees / q) if q > 0 else 0.0
    positive = int((y > 0).sum())
    agree = max(positive, len(y) - positive)
    return Universality(
        num_tasks=len(y),
        num_agree=agree,
        sign=1 if positive == agree else -1,
        sign_p=float(stats.binomtest(agree, len(y)).pvalue),
        i_squared=i_squared,
        low=min(low, i_squared),
        high=max(high, i_squared),
        heterogeneity_p=float(stats.chi2.sf(q, degrees)),
        pooled_z=_pooled_z(y, s, max(0.0, (q - degrees) / degrees) * typical),
    )


def _cochran_q(y: np.ndarray, s: np.ndarray, variance: float) -> float:
    weights = 1 / (s**2 + variance)
    return float(weights @ (y - weights @ y / weights.sum()) ** 2)


def _pooled_z(y: np.ndarray, s: np.ndarray, variance: float) -> float:
    weights = 1 / (s**2 + variance)
    return float(weights @ y / math.sqrt(weights.sum()))


def _variance_at(y: np.ndarray, s: np.ndarray, target: float) -> float:
    """The variance between tasks at which Q, which falls with it, is so large; 0 if it never is."""
    if _cochran_q(y, s, 0.0) <= target:
        return 0.0
    top = float(y.var() + (s**2).max())
    while _cochran_q(y, s, top) > target and math.isfinite(top):
        top *= 2
    return float(optimize.brentq(lambda v: _cochran_q(y, s, v) - target, 0.0, top))
