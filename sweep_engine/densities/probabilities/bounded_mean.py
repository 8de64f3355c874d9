"""Upper and lower ends for the mean of a bounded variable: Clopper-Pearson's, for any values.

Let a variable be at most t, and x_1, ..., x_n independent draws of it. Give the draws, and one
draw more at t, random weights that are uniform on the simplex: Gaffke's end is the quantile of the
weighted mean. For a variable that is 0 or 1 it is Clopper and Pearson's, and no draw at t is no
proof that there is none; for many draws in the middle it is the normal end.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

LEAST, MOST = -35.0, 35.0
"""Of ln q: the mean of the draws and the top, to the rounding of float64."""


def upper_mean(
    values: Float[np.ndarray, " n"],
    counts: Float[np.ndarray, " n"],
    top: float,
    confidence: float,
) -> float:
    """Bound the mean of a variable from above, with (1 + confidence)/2 confidence.

    Example:
        >>> shares = np.array([0.0, 1.0]), np.array([190.0, 10.0])
        >>> round(upper_mean(*shares, top=1.0, confidence=0.95), 3)  # Clopper-Pearson: 0.09
        0.09

    Args:
        values: That were drawn.
        counts: How often each was; effective counts need not be whole.
        top: The largest value that there can be, as was known before the draws.
        confidence: Of the two-sided interval whose upper end this is.

    Raises:
        ValueError: a value is above the top, so that was not known.

    Source:
        Gaffke (2005), Math. Methods Statist. 14(4); Phan, Thomas & Learned-Miller (2021), ICML.
        The quantile by Lugannani & Rice (1980), Adv. Appl. Prob. 12: within 0.5 % of
        Clopper-Pearson's end, above it, in the worst case, no success at all.
    """
    seen = counts > 0
    values, counts = np.append(values[seen], top), np.append(counts[seen], 1.0)
    below = top - values
    if not (below >= 0).all():
        raise ValueError(f"a value is {values.max()}, above the largest that there can be, {top}")
    widest, level = float(below.max()), (1 + confidence) / 2
    if widest <= 0:
        return top
    below /= widest

    def excess(log_tilt: float) -> float:
        return _share_below(below, counts, math.exp(log_tilt)) - level

    if excess(MOST) <= 0:
        return top
    tilted = counts / (1 + math.exp(optimize.brentq(excess, LEAST, MOST)) * below)
    return float(tilted @ values / tilted.sum())


def lower_mean(
    values: Float[np.ndarray, " n"],
    counts: Float[np.ndarray, " n"],
    bottom: float,
    confidence: float,
) -> float:
    """Bound the mean of a variable from below, with (1 + confidence)/2 confidence.

    Example:
        >>> round(lower_mean(np.array([1.0]), np.array([200.0]), 0.0, 0.95), 3)
        0.982

    Args:
        values: As in `upper_mean`.
        counts: As in `upper_mean`.
        bottom: The smallest value that there can be, as was known before the draws.
        confidence: Of the two-sided interval whose lower end this is.
    """
    return -upper_mean(-values, counts, -bottom, confidence)


def _share_below(
    below: Float[np.ndarray, " n"], shapes: Float[np.ndarray, " n"], tilt: float
) -> float:
    """Chance that Σ g_i (D - d_i) <= 0, g_i independent of Gamma(shape_i): the weighted mean's law.

    D is the end that a tilt q belongs to, Σ shape_i (D - d_i) / (1 + q d_i) = 0: then
    q / (1 + q D) is the saddle point, and no root is looked for but that of the chance by q.
    """
    tilted = shapes / (1 + tilt * below)
    gaps = (float(tilted @ below / tilted.sum()) - below) / (1 + tilt * below)
    log_moment = float(shapes @ np.log1p(tilt * gaps))
    root = math.sqrt(max(-2 * log_moment, 0.0))
    if root < 1e-4:  # at the mean, where the next term is 0 / 0
        return 0.5
    slope = tilt * math.sqrt(float(shapes @ gaps**2))
    return float(special.ndtr(root + math.log(slope / root) / root))
