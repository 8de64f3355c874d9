"""Lower bounds of KL and TV from a log density ratio that was learnt on other draws.

Let T approximate ln(p / q) without having seen the draws on which it is now evaluated. Then,
whatever T is,

    KL(P ‖ Q) >= E_P T - ln E_Q e^T        (Donsker & Varadhan),
    TV(P, Q)  >= P(T > 0) - Q(T > 0),

with equality where T is right. Both are averages, so their intervals need no assumption about
the dimension; what T missed is missed.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special, stats

from sweep_engine.densities.cells.lower_bounds import kl_bound_words, tv_bound_words
from sweep_engine.densities.estimate import Estimate, Interval
from sweep_engine.densities.estimator import Quantity, Table
from sweep_engine.densities.points.independent import Points
from sweep_engine.densities.trust import Trust, ceiling

MIN_SHARE = 30
"""No draw of the reference may weigh more than this many average ones over all of them.

e^T is cut at M / MIN_SHARE, M their number: an average that one draw decides has no interval.
"""


def witness_quantities(estimator: str) -> tuple[Quantity, Quantity]:
    """Name the two bounds that an estimator's log density ratio gives."""
    return (
        Quantity(f"tv_bound_{estimator}", tv_bound_words, Table.HEADLINES),
        Quantity(f"kl_bound_{estimator}", kl_bound_words, Table.HEADLINES),
    )


@dataclass(frozen=True)
class Witness:
    """A log density ratio at held-out draws: lower bounds of TV and KL.

    Attributes:
        estimator: Who learnt it.
        trust: Of the estimator.
        sample: Independent draws of both sides.
        t_source: T at the source's draws.
        t_reference: T at the reference's draws.
        seed: Of the estimator.
        method: How the ratio was learnt.
    """

    estimator: str
    trust: Trust
    sample: Points
    t_source: Float[np.ndarray, " n"]
    t_reference: Float[np.ndarray, " m"]
    seed: int
    method: str

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Bound TV and KL from below; the intervals are open upwards."""
        return self.tv(confidence), self.kl(confidence)

    def tv(self, confidence: float) -> Estimate:
        """Bound the total variation."""
        bound = one_sided(tv_bound(self.t_source, self.t_reference, confidence), 1.0)
        return self.sample.estimate(
            f"tv_bound_{self.estimator}", bound, unit="1", method=self.method,
            confidence=confidence, seed=self.seed,
            warnings=self.trust.warnings(self.sample.dimension),
        )  # fmt: skip

    def kl(self, confidence: float) -> Estimate:
        """Bound the KL divergence."""
        bound = one_sided(kl_bound(self.t_source, self.t_reference, confidence), math.inf)
        outside = self.trust.warnings(self.sample.dimension, bound.value)
        return self.sample.estimate(
            f"kl_bound_{self.estimator}", bound, unit="nats",
            method=f"{self.method}; Donsker-Varadhan", confidence=confidence, seed=self.seed,
            warnings=(*outside, ceiling(self.sample.n_eff[1])),
        )  # fmt: skip


def kl_bound(
    t_source: Float[np.ndarray, " n"],
    t_reference: Float[np.ndarray, " m"],
    confidence: float = 0.95,
) -> Interval:
    """Estimate E_P T - ln E_Q e^T from held-out values, in nats.

    Delta method: var(T)/n + var(e^T)/(m (mean e^T)²). Values and low ends are not below 0.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> bound = kl_bound(rng.normal(1, 1, 9000) - 0.5, rng.normal(0, 1, 9000) - 0.5)
        >>> bound.low < 0.5 < bound.high
        True

    Args:
        t_source: T at independent draws of P that did not choose T.
        t_reference: T at independent draws of Q that did not choose T.
        confidence: Of the interval, for the bound.
    """
    top = math.log(len(t_reference) / MIN_SHARE)
    p, q = (np.clip(t, -top, top) for t in (t_source, t_reference))
    ratio = np.exp(q - special.logsumexp(q) + math.log(len(q)))
    value = float(p.mean() - special.logsumexp(q) + math.log(len(q)))
    stderr = math.sqrt(p.var() / len(p) + ratio.var() / len(q))
    return _not_negative(value, stderr, confidence)


def tv_bound(
    t_source: Float[np.ndarray, " n"],
    t_reference: Float[np.ndarray, " m"],
    confidence: float = 0.95,
) -> Interval:
    """Estimate P(T > 0) - Q(T > 0) from held-out values.

    Example:
        >>> tv_bound(np.ones(100), -np.ones(100)).value
        1.0

    Args:
        t_source: As in `kl_bound`.
        t_reference: As in `kl_bound`.
        confidence: Of the interval, for the bound.
    """
    p, q = (t_source > 0).mean(), (t_reference > 0).mean()
    # Agresti & Caffo (2000): one success and one failure more, or 0 and 1 would have no error.
    shares = [((t > 0).sum() + 1) / (len(t) + 2) for t in (t_source, t_reference)]
    variance = sum(
        s * (1 - s) / (len(t) + 2) for s, t in zip(shares, (t_source, t_reference), strict=True)
    )
    bound = _not_negative(float(p - q), math.sqrt(variance), confidence)
    return Interval(bound.value, bound.low, min(bound.high, 1.0))


def one_sided(bound: Interval, most: float) -> Interval:
    """Open the interval of a bound upwards: what T missed can be anything.

    Then it holds the divergence itself, with confidence (1 + confidence) / 2.

    Example:
        >>> one_sided(Interval(0.4, 0.3, 0.5), 1.0)
        Interval(value=0.4, low=0.3, high=1.0)

    Args:
        bound: What `kl_bound` or `tv_bound` gave.
        most: The largest value that the divergence can have.
    """
    return Interval(bound.value, bound.low, most)


def p_value(t_source: Float[np.ndarray, " n"], t_reference: Float[np.ndarray, " m"]) -> float:
    """Test P = Q: the chance of so many T > 0 at the source's draws (Fisher's exact test).

    Example:
        >>> p_value(np.ones(50), np.ones(50))
        1.0

    Args:
        t_source: As in `kl_bound`.
        t_reference: As in `kl_bound`.
    """
    hits, num = int((t_source > 0).sum()), len(t_source) + len(t_reference)
    positive = hits + int((t_reference > 0).sum())
    return math.exp(float(stats.hypergeom.logsf(hits - 1, num, positive, len(t_source))))


def _not_negative(value: float, stderr: float, confidence: float) -> Interval:
    reach = float(special.ndtri((1 + confidence) / 2)) * stderr
    return Interval(max(value, 0.0), max(value - reach, 0.0), max(value + reach, 0.0))
