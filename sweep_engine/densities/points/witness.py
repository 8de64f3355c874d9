"""Lower bounds of KL and TV from a log density ratio that was learnt on other draws.

Let T approximate ln(p / q) without having seen the draws on which it is now evaluated. Then,
whatever T is,

    KL(P ‖ Q) >= E_P T - ln E_Q e^T        (Donsker & Varadhan),
    TV(P, Q)  >= P(T > 0) - Q(T > 0),

with equality where T is right. Both are averages, so their intervals need no assumption about
the dimension; what T missed is missed.

Halves that choose T for one another are not independent where there is nothing to find: what one
half shows by chance, T has the other half counted for, and the other way round (of equal laws,
200 draws a side and kernel densities, their differences are correlated with 0.6). So together they
show a difference only where, taken alone, they show one on average.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy import stats

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.held_out import HeldOut, above_pinsker, held_out
from sweep_engine.densities.cells.lower_bounds import KL_BOUND, METHODS, TV_BOUND
from sweep_engine.densities.estimate import Estimate, Interval
from sweep_engine.densities.estimator import Quantity
from sweep_engine.densities.points.independent import Points
from sweep_engine.densities.probabilities.proportions import clopper_pearson
from sweep_engine.densities.trust import Trust, ceiling

POWERS = (0.25, 0.5, 0.75)
"""Of the reference's number m: e^T is cut at one of them, and at the factor m below."""

STEP = 0.05
"""Nats to which T is rounded; 1e-4 nats of the bound are lost by it."""

Values = Float[np.ndarray, " n"]


def witness_quantities(estimator: str) -> tuple[Quantity, Quantity]:
    """Name the two bounds that an estimator's log density ratio gives."""
    return (
        replace(TV_BOUND, name=f"tv_bound_{estimator}"),
        replace(KL_BOUND, name=f"kl_bound_{estimator}"),
    )


@dataclass(frozen=True)
class Witness:
    """A log density ratio at held-out draws: lower bounds of TV and KL.

    Attributes:
        estimator: Who learnt it.
        trust: Of the estimator.
        sample: Independent draws of both sides.
        parts: T at draws of the source and of the reference; two parts if each chose T for the
            other, one for all folds, of which four fifths are shared.
        seed: Of the estimator.
        method: How the ratio was learnt.
    """

    estimator: str
    trust: Trust
    sample: Points
    parts: Sequence[tuple[Values, Values]]
    seed: int
    method: str

    @cached_property
    def together(self) -> tuple[Values, Values]:
        """T at all draws of the source, and at all of the reference."""
        t_source, t_reference = map(np.concatenate, zip(*self.parts, strict=True))
        return t_source, t_reference

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Bound TV and KL from below; the intervals are open upwards."""
        return self.tv(confidence), self.kl(confidence)

    def tv(self, confidence: float) -> Estimate:
        """Bound the total variation."""
        bound = one_sided(self._tv(confidence), 1.0)
        return self.sample.estimate(
            f"tv_bound_{self.estimator}", bound, unit="1", method=self.method,
            confidence=confidence, seed=self.seed,
            warnings=self.trust.warnings(self.sample.dimension),
        )  # fmt: skip

    def kl(self, confidence: float) -> Estimate:
        """Bound the KL divergence."""
        bound = above_pinsker(kl_bound(*self.together, confidence), self._tv(confidence))
        outside = self.trust.warnings(self.sample.dimension, bound.value)
        return self.sample.estimate(
            f"kl_bound_{self.estimator}", bound, unit="nats",
            method=f"{self.method}; {METHODS['kl']}", confidence=confidence, seed=self.seed,
            warnings=(*outside, ceiling(self.sample.n_eff[1])),
        )  # fmt: skip

    def _tv(self, confidence: float) -> Interval:
        bound = tv_bound(*self.together, confidence)
        alone = [_tv_ends(*part, confidence).low for part in self.parts]
        return bound if np.mean(alone) > 0 else bound._replace(low=0.0)


def kl_bound(
    t_source: Float[np.ndarray, " n"],
    t_reference: Float[np.ndarray, " m"],
    confidence: float = 0.95,
) -> Interval:
    """Bound KL by E_P T - ln E_Q e^T of held-out values, in nats; open upwards.

    T is cut so that e^T spans the factor m, the reference's draws, that m draws can tell; each
    half of the values is cut where the other half's bound is best. The low end is exact
    (`HeldOut.bound`): T that separates every draw is no proof that the next will be.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> bound = kl_bound(rng.normal(1, 1, 9000) - 0.5, rng.normal(0, 1, 9000) - 0.5)
        >>> 0.9 * 0.5 < bound.low < 0.5
        True

    Args:
        t_source: T at independent draws of P that did not choose T.
        t_reference: T at independent draws of Q that did not choose T.
        confidence: The low end holds with (1 + confidence)/2.
    """
    halves = [(t_source[part::2], t_reference[part::2]) for part in (0, 1)]
    tops = [_best_top(*half) for half in halves]
    cut = [_cut(*half, top) for half, top in zip(halves, reversed(tops), strict=True)]
    bottom, top = min(each.bottom for each in cut), max(each.top for each in cut)
    together = held_out((each.log_ratio, each.counts) for each in cut)
    return replace(together, bottom=bottom, top=top).bound(confidence)


def _best_top(t_source: Values, t_reference: Values) -> float:
    """Choose where to cut T: a large e^T tells much, and one draw more of it would cost much."""
    tops = [power * math.log(len(t_reference)) for power in POWERS]
    return max(tops, key=lambda top: _cut(t_source, t_reference, top).bound(0.95).low)


def _cut(t_source: Values, t_reference: Values, top: float) -> HeldOut:
    bottom = top - math.log(len(t_reference))
    values = np.clip(np.concatenate([t_source, t_reference]), bottom, top)
    # Of the rounded T the bound is one too, and has few values however many draws there are.
    steps, cell = np.unique(np.floor(values / STEP), return_inverse=True)
    sides = cell[: len(t_source)], cell[len(t_source) :]
    counts = CellCounts(*(np.bincount(side, minlength=len(steps)) for side in sides))
    return HeldOut(np.clip((steps + 0.5) * STEP, bottom, top), counts, bottom, top)


def tv_bound(
    t_source: Float[np.ndarray, " n"],
    t_reference: Float[np.ndarray, " m"],
    confidence: float = 0.95,
) -> Interval:
    """Estimate P(T > 0) - Q(T > 0) from held-out values, with exact ends of both.

    Example:
        >>> tv_bound(np.ones(100), -np.ones(100)).value
        1.0

    Args:
        t_source: As in `kl_bound`.
        t_reference: As in `kl_bound`.
        confidence: Of the interval, for the bound.

    Source:
        Newcombe (1998), Statistics in Medicine 17(8), with exact limits for Wilson's.
    """
    value, low, high = _tv_ends(t_source, t_reference, confidence)
    return Interval(max(value, 0.0), max(low, 0.0), min(max(high, 0.0), 1.0))


def _tv_ends(t_source: Values, t_reference: Values, confidence: float) -> Interval:
    shares, ends = [], []
    for t in (t_source, t_reference):
        hits = int((t > 0).sum())
        shares.append(hits / len(t))
        ends.append(tuple(map(float, clopper_pearson(hits, len(t), confidence))))
    (p, q), ((p_low, p_high), (q_low, q_high)) = shares, ends
    low = p - q - math.hypot(p - p_low, q_high - q)
    high = p - q + math.hypot(p_high - p, q - q_low)
    return Interval(p - q, low, high)


def one_sided(bound: Interval, most: float) -> Interval:
    """Open the interval of a bound upwards: what T missed can be anything.

    Then it holds the divergence itself, with confidence (1 + confidence) / 2.

    Example:
        >>> one_sided(Interval(0.4, 0.3, 0.5), 1.0)
        Interval(value=0.4, low=0.3, high=1.0)

    Args:
        bound: What `tv_bound` gave.
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
