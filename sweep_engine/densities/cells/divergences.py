"""Divergences between two laws over the same cells, from independent counts.

With p and q the laws of source and reference over B cells, n and m their draws:

    TV = (1/2) Σ |p - q|
    JS = (1/2) Σ p ln(2p / (p + q)) + (1/2) Σ q ln(2q / (p + q)), at most ln 2
    KL = Σ p ln(p / q), infinite where p > 0 = q

Pooling cells can only lower a divergence (data processing), so what is measured on pooled
cells is a lower bound of the divergence itself. An interval is valid when the cells were
chosen without looking at the counts it is computed from: choose on one half, measure on
the other. Nothing here is bootstrapped.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy import special

from sweep_engine.densities.cells.counts import CellCounts, Cells
from sweep_engine.densities.estimate import Interval
from sweep_engine.densities.probabilities.proportions import clopper_pearson

NAMES = ("total_variation", "jensen_shannon", "kl")
UNITS = {"total_variation": "1", "jensen_shannon": "nats", "kl": "nats"}
LARGEST = {"total_variation": 1.0, "jensen_shannon": math.log(2), "kl": math.inf}
"""What two laws side by side have: where the interval of a lower bound ends."""

MIN_REFERENCE_COUNT = 20
"""Draws of the reference that a cell needs on one half to be a cell of KL on the other.

With 20 here, the chance of none there is below 1e-6, whatever the cell's probability.
"""

MIN_CELL_COUNT = 10
"""Draws a cell needs before a delta-method interval may rest on it."""

JS_DEVIATION = 0.4024
"""The largest standard deviation of (1/2) ln(p / (p + q)) under p, over all p and q.

Its square is at most (1/4) max E[2 r ln² r] over r in [0, 1] with E r = 1/2: a two-point
law on 1 and r = 0.203, which gives 0.1619.
"""


def plug_in(counts: CellCounts) -> dict[str, float]:
    """Compute TV, JS and KL of the two empirical laws.

    All three are biased upwards, by about (B-1)/2 (1/n + 1/m) for KL and without limit
    when most cells are seen once.

    Example:
        >>> plug_in(CellCounts(np.array([5, 5, 0]), np.array([5, 0, 5])))["kl"]
        inf

    Args:
        counts: Over the same cells; both sides have draws.

    Returns:
        Values under `total_variation`, `jensen_shannon` and `kl`.
    """
    p, q = _laws(counts)
    return {
        "total_variation": float((np.abs(p - q) * counts.cells).sum() / 2),
        "jensen_shannon": _js(p, q, counts.cells),
        "kl": float((special.rel_entr(p, q) * counts.cells).sum()),
    }


def upper_bounds(counts: CellCounts, confidence: float = 0.95) -> dict[str, float]:
    """Compute what TV, JS and KL are below, with (1 + confidence)/2 confidence each.

    TV and JS are suprema of averages over the draws: of P(A) - Q(A) over sets A, of
    (1/2) E_P ln g + (1/2) E_Q ln(1 - g) + ln 2 over functions g into (0, 1). The plug-in takes the
    supremum over the sample, so it is above the sample average at the *true* optimum,
    which differs from the truth by ordinary noise. With z the normal quantile,

        TV <= plug-in + z (1/2) √(1/n + 1/m),   JS <= plug-in + z 0.4024 √(1/n + 1/m),

    whatever the number of cells, and JS <= ln 2 · TV. No sample bounds a KL from above.

    Example:
        >>> upper_bounds(CellCounts(np.array([500, 500]), np.array([500, 500])))["kl"]
        inf

    Args:
        counts: Independent draws over the same cells.
        confidence: Of the two-sided interval whose upper end this is.

    Source:
        Lin (1991), IEEE Trans. Inf. Theory 37(1), for JS <= ln 2 · TV.
    """
    values = plug_in(counts)
    noise = _normal_quantile(confidence) * math.hypot(
        counts.num_source**-0.5, counts.num_reference**-0.5
    )
    tv = min(1.0, values["total_variation"] + noise / 2)
    js = values["jensen_shannon"] + JS_DEVIATION * noise
    return {"total_variation": tv, "jensen_shannon": min(js, math.log(2) * tv), "kl": math.inf}


def cell_divergences(
    selection: CellCounts, estimation: CellCounts, confidence: float = 0.95
) -> dict[str, Interval]:
    """Estimate TV and JS over given cells from two independent halves of the draws.

    The first half chooses (the set where the source has more mass), the second is measured.
    Values and low ends are not allowed below 0. For KL see `held_out`.

    Example:
        >>> half = CellCounts(np.array([900, 100]), np.array([100, 900]))
        >>> round(cell_divergences(half, half)["total_variation"].value, 3)
        0.8

    Args:
        selection: Counts of one half.
        estimation: Counts of the other half, over the same cells.
        confidence: Of each interval by itself.
    """
    return {
        "total_variation": total_variation_interval(selection, estimation, confidence),
        "jensen_shannon": jensen_shannon_interval(estimation, confidence),
    }


def total_variation_interval(
    selection: CellCounts, estimation: CellCounts, confidence: float = 0.95
) -> Interval:
    """Estimate the TV over given cells, from below by the set that one half chose.

    With A the cells where p exceeds q on the first half, P(A) - Q(A) <= TV, and the second
    half estimates it without bias: it is centred at 0 when the laws agree. The low end
    combines the exact intervals [l, u] of both proportions,

        low = p(A) - q(A) - √((p(A) - l_p)² + (u_q - q(A))²),

    and the high end is that of `upper_bounds`.

    Example:
        >>> half = CellCounts(np.array([60, 40]), np.array([40, 60]))
        >>> total_variation_interval(half, half).low > 0
        True

    Args:
        selection: Counts that choose A.
        estimation: Counts that measure it, independent of the first.
        confidence: Of the interval for the TV over these cells.

    Source:
        Newcombe (1998), Statistics in Medicine 17(8), with exact limits for Wilson's.
    """
    p_first, q_first = _laws(selection)
    chosen = estimation.select(p_first > q_first)
    n, m = estimation.num_source, estimation.num_reference
    p, q = chosen.num_source / n, chosen.num_reference / m
    p_low, _ = clopper_pearson(chosen.num_source, n, confidence)
    _, q_high = clopper_pearson(chosen.num_reference, m, confidence)
    low = p - q - math.hypot(p - float(p_low), float(q_high) - q)
    high = upper_bounds(estimation, confidence)["total_variation"]
    return _not_negative(p - q, low, high)


def jensen_shannon_interval(counts: CellCounts, confidence: float = 0.95) -> Interval:
    """Estimate the JS divergence over given cells, in nats, by the delta method.

    The plug-in less its first-order bias (1/4) Σ [(1-p) q/(p+q)/n + (1-q) p/(p+q)/m], over
    cells seen by the side in question; (B-1)/8 (1/n + 1/m) when the laws agree. Variance:
    Var_p[(1/2) ln(2p/(p+q))]/n + Var_q[(1/2) ln(2q/(p+q))]/m; near 0 the high end is that of
    the quadratic regime, z²/8 (1/n + 1/m) above. The low end allows for mass 3.7/n, or
    what the rule of three says, in cells that one side lacks.

    Example:
        >>> disjoint = CellCounts(np.array([50, 0]), np.array([0, 50]))
        >>> round(jensen_shannon_interval(disjoint).value, 4)
        0.6931

    Args:
        counts: Independent draws; the cells were chosen without them.
        confidence: Of the interval.
    """
    p, q = _laws(counts)
    n, m = counts.num_source, counts.num_reference
    mean = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = np.nansum((p > 0) * (1 - p) * q / mean) / n
        bias += np.nansum((q > 0) * (1 - q) * p / mean) / m
        score_p = np.where(p > 0, np.log(p / mean), 0.0) / 2
        score_q = np.where(q > 0, np.log(q / mean), 0.0) / 2
    stderr = math.sqrt(_variance(p, score_p) / n + _variance(q, score_q) / m)
    value = _js(p, q) - float(bias) / 8
    least = _js(_fill_unseen(p, q, n, confidence), _fill_unseen(q, p, m, confidence))
    high = value + _reach(stderr, (1 / n + 1 / m) / 4, confidence)
    low = min(value - _reach(stderr, 0.0, confidence), least)
    return _not_negative(value, low, min(high, math.log(2)))


def kl_interval(counts: CellCounts, confidence: float = 0.95) -> Interval:
    """Estimate KL(source ‖ reference) over given cells, in nats, by the delta method.

    The plug-in less its first-order bias (1/2) Σ_{p>0} [(1-p)/n + p(1-q)/(q m)], which is
    (B-1)/2 (1/n + 1/m) when the laws agree. Variance: Var_p[ln(p/q)]/n + Var_q[p/q]/m; near
    0 the high end is that of the quadratic regime, z²/2 (1/n + 1/m) above. The low end allows
    for mass 3.7/n, or what the rule of three says, in cells that the source lacks.
    Where the source has draws in a cell and the reference none: [0, ∞] around ∞.

    Example:
        >>> round(kl_interval(CellCounts(np.array([500, 500]), np.array([250, 750]))).value, 2)
        0.14

    Args:
        counts: Independent draws; the cells were chosen without them.
        confidence: Of the interval.
    """
    if np.any((counts.source > 0) & (counts.reference == 0)):
        return Interval(math.inf, 0.0, math.inf)
    seen = counts.reference > 0
    p, q = (law[seen] for law in _laws(counts))
    n, m = counts.num_source, counts.num_reference
    ratio = p / q
    bias = ((1 - p)[p > 0] / n).sum() / 2 + (ratio * (1 - q)).sum() / m / 2
    score = np.log(np.where(p > 0, ratio, 1.0))
    stderr = math.sqrt(_variance(p, score) / n + _variance(q, ratio) / m)
    value = float(special.rel_entr(p, q).sum() - bias)
    least = float(special.rel_entr(_fill_unseen(p, q, n, confidence), q).sum())
    high = value + _reach(stderr, 1 / n + 1 / m, confidence)
    return _not_negative(value, min(value - _reach(stderr, 0.0, confidence), least), high)


def _laws(counts: CellCounts) -> tuple[Float[np.ndarray, " B"], Float[np.ndarray, " B"]]:
    return counts.source / counts.num_source, counts.reference / counts.num_reference


def _js(p: Float[np.ndarray, " B"], q: Float[np.ndarray, " B"], cells: Cells = 1) -> float:
    mean = (p + q) / 2
    return float(((special.rel_entr(p, mean) + special.rel_entr(q, mean)) * cells).sum() / 2)


def _variance(law: Float[np.ndarray, " B"], score: Float[np.ndarray, " B"]) -> float:
    mean = (law * score).sum()
    return float((law * (score - mean) ** 2).sum())


def _normal_quantile(confidence: float) -> float:
    return float(special.ndtri((1 + confidence) / 2))


def _reach(stderr: float, scale: float, confidence: float) -> float:
    """Give z stderr + z² scale/2, how far an end lies from the value.

    Near 0 a divergence is quadratic, D = δ²/2 with Var δ = scale, and its estimated
    stderr vanishes with it. The interval of δ, squared, ends at D + z √(2 scale D) + z² scale/2:
    the middle term is z stderr, the last one matters only near 0.
    """
    z = _normal_quantile(confidence)
    return z * stderr + z**2 * scale / 2


def _fill_unseen(
    law: Float[np.ndarray, " B"],
    other: Float[np.ndarray, " B"],
    num_draws: float,
    confidence: float,
) -> Float[np.ndarray, " B"]:
    """Give cells without a draw, together, the most mass they may have had, like the other law.

    The delta method takes an empty cell for an impossible one, with no error; this is the
    rule of three.
    """
    unseen = np.where(law > 0, 0.0, other)
    if unseen.sum() == 0:
        return law
    _, most = clopper_pearson(0, num_draws, confidence)
    filled: Float[np.ndarray, " B"] = (1 - most) * law + most * unseen / unseen.sum()
    return filled


def _not_negative(value: float, low: float, high: float) -> Interval:
    return Interval(max(value, 0.0), max(low, 0.0), max(high, 0.0))
