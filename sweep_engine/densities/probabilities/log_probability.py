"""ln P from independent repetitions of an unbiased estimator of P, such as splitting."""

import math

import numpy as np
from jaxtyping import Float
from scipy import special, stats

from sweep_engine.densities.estimate import Estimate, check_confidence
from sweep_engine.errors import InsufficientSamples

WIDE_SPREAD = 1.0
"""Standard deviation of the repetitions' ln P, in nats, above which a reader is warned."""


def log_mean_probability(
    log_p: Float[np.ndarray, " R"],
    *,
    name: str = "ln_p_fit",
    draws: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate ln P, in nats, from the repetitions' ln P_r.

    Each P_r is unbiased and ln P_r nearly normal with mean ln P - s²/2, s its standard
    deviation: that is the central limit theorem of splitting. With m the mean of R values of
    ln P_r, the estimate and its interval are

        m + s²/2 ± t √(s²/R + s⁴/(2(R-1))),   t of R - 1 degrees of freedom.

    Unlike ln of the mean of the P_r it is not decided by the largest of them.

    Example:
        >>> ln_p = log_mean_probability(np.array([-69.2, -69.4, -69.3]))
        >>> ln_p.low < -69.3147 < ln_p.high
        True

    Args:
        log_p: ln P_r of every repetition; -inf where none of its particles got there.
        name: The estimate's name.
        draws: Draws behind them, for the record; the repetitions when left out.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: There are fewer than 2 repetitions.

    Source:
        Cox's interval for a log-normal mean, in Land (1972), Technometrics 14(1); Cérou &
        Guyader (2007), Stochastic Analysis and Applications 25(2), for the limit theorem.
    """
    check_confidence(confidence)
    repetitions = len(log_p)
    if repetitions < 2:
        raise InsufficientSamples(f"an interval needs at least 2 repetitions, got {repetitions}")
    finite = log_p[np.isfinite(log_p)]
    value, low, high = _cox(finite, confidence) if len(finite) == repetitions else _mean(log_p)
    return Estimate(
        name=name,
        value=value,
        low=low,
        high=min(high, 0.0),
        confidence=confidence,
        num_source=draws or repetitions,
        n_eff_source=float(repetitions),
        unit="nats",
        method=f"mean of {repetitions} independent repetitions, log-normal; Cox's interval",
        warnings=_warnings(log_p, finite),
    )


def _cox(log_p: Float[np.ndarray, " R"], confidence: float) -> tuple[float, float, float]:
    repetitions, variance = len(log_p), float(log_p.var(ddof=1))
    value = min(float(log_p.mean()) + variance / 2, 0.0)
    stderr = math.sqrt(variance / repetitions + variance**2 / (2 * (repetitions - 1)))
    reach = float(stats.t.ppf((1 + confidence) / 2, repetitions - 1)) * stderr
    return value, value - reach, value + reach


def _mean(log_p: Float[np.ndarray, " R"]) -> tuple[float, float, float]:
    """Where a repetition found nothing: ln of the plain mean, without bounds."""
    value = float(special.logsumexp(log_p) - math.log(len(log_p)))
    return value, -math.inf, 0.0


def _warnings(log_p: Float[np.ndarray, " R"], finite: Float[np.ndarray, " R"]) -> tuple[str, ...]:
    if len(finite) < len(log_p):
        return (
            f"{len(log_p) - len(finite)} of {len(log_p)} repetitions did not get there: the "
            "interval says nothing; raise particles, moves or max_levels",
        )
    spread = float(finite.std(ddof=1))
    if spread > WIDE_SPREAD:
        return (
            f"the repetitions differ by {spread:.2g} nats (standard deviation): raise particles "
            "or moves",
        )
    return ()
