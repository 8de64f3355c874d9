"""How well a score puts one kind of example before another; ties count as every order of them.

Counts are whole numbers until the last division, so that no order of the examples shows.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def auroc(scores: Float[Array, " N"], positive: Bool[Array, " N"]) -> Float[Array, ""]:
    """Compute P(a positive scores above a negative) + P(they tie) / 2; NaN where one is missing.

    Source:
        Hanley & McNeil (1982), Radiology 143(1): the area under the curve is Mann-Whitney's U.
    """
    negatives = _cumulative(scores, ~positive)
    twice = jnp.where(positive, negatives.before + negatives.upto, 0)
    num_positive, num_negative = jnp.sum(positive), jnp.sum(~positive)
    return jnp.sum(twice / num_negative) / 2 / num_positive


class RiskCoverage(NamedTuple):
    """Areas under the curve of error against the share of inputs that are answered."""

    area: Float[Array, ""]
    excess: Float[Array, ""]


def risk_coverage(sureness: Float[Array, " N"], wrong: Bool[Array, " N"]) -> RiskCoverage:
    """Answer the surest k inputs, and average the share of wrong answers over k = 1 .. N.

    The excess is over the same answers in the best order, the right ones first.

    Source:
        Geifman & El-Yaniv (2017), NeurIPS; Geifman, Uziel & El-Yaniv (2019), ICLR (the excess).
    """
    num = len(wrong)
    answered = jnp.arange(1, num + 1)
    errors = _cumulative(-sureness, wrong)
    order = jnp.argsort(-sureness)
    before, upto = errors.before[order], errors.upto[order]
    first, last = errors.first[order], errors.last[order]
    share = (answered - first) / (last - first)
    area = jnp.mean((before + share * (upto - before)) / answered)
    best = jnp.maximum(answered - jnp.sum(~wrong), 0)
    return RiskCoverage(area, area - jnp.mean(best / answered))


class _Cumulative(NamedTuple):
    """Of every example: how many come before it, and up to it; all of them, and the marked."""

    first: Int[Array, " N"]
    last: Int[Array, " N"]
    before: Int[Array, " N"]
    upto: Int[Array, " N"]


def _cumulative(scores: Float[Array, " N"], marked: Bool[Array, " N"]) -> _Cumulative:
    order = jnp.argsort(scores)
    rising = scores[order]
    counts = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(marked[order], dtype=jnp.int32)])
    first = jnp.searchsorted(rising, scores, side="left")
    last = jnp.searchsorted(rising, scores, side="right")
    return _Cumulative(first, last, counts[first], counts[last])
