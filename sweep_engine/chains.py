"""Whether Markov chains have mixed, and what their draws are worth: R-hat and ESS.

Draws of one scalar stand as (M chains, N draws). All functions split every chain in halves
first, so that a chain which is still on its way differs from itself, and look at ranks, so
that heavy tails do no harm. They give NaN where nothing can be said: fewer than
`MIN_DRAWS` draws a chain, a NaN among the draws, or draws that are all the same.

Source:
    Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2), section
    4; Geyer (1992), Statistical Science 7(4), for the initial monotone sequence.
"""

import math

import numpy as np
from jaxtyping import Float

MIN_DRAWS = 4
TAILS = (0.05, 0.95)
"""The quantiles at which `tail_ess` looks."""


def r_hat(draws: Float[np.ndarray, "M N"]) -> float:
    """Compute the rank-normalised split R-hat: 1 when the chains tell one story.

    The larger of that of the draws and that of their distances from the median, so that
    chains of one place and different width are told apart too. Above 1.01 is suspect.

    Example:
        >>> draws = np.random.default_rng(0).normal(size=(4, 500))
        >>> round(r_hat(draws), 2), bool(r_hat(draws + np.arange(4)[:, None]) > 1.5)
        (1.0, True)
    """
    if not _can_tell(draws):
        return math.nan
    halves = _halves(draws)
    folded = np.abs(halves - np.median(halves))
    return max(_potential_scale_reduction(_normal_scores(x)) for x in (halves, folded))


def bulk_ess(draws: Float[np.ndarray, "M N"]) -> float:
    """Compute how many independent draws the draws are worth for the centre of the law.

    Example:
        >>> draws = np.random.default_rng(0).normal(size=(4, 500))
        >>> bool(1500 < bulk_ess(draws) < 2600)
        True
    """
    return _ess(_normal_scores(_halves(draws))) if _can_tell(draws) else math.nan


def tail_ess(draws: Float[np.ndarray, "M N"]) -> float:
    """Compute how many independent draws they are worth for the 5% and 95% quantiles."""
    if not _can_tell(draws):
        return math.nan
    below = [draws <= np.quantile(draws, probability) for probability in TAILS]
    return min(_ess(_halves(indicator.astype(float))) for indicator in below)


def _can_tell(draws: np.ndarray) -> bool:
    if draws.ndim != 2:
        raise ValueError(f"expected draws of shape (chains, draws), got {draws.shape}")
    enough = draws.shape[1] >= MIN_DRAWS and len(draws) > 0
    return enough and not np.isnan(draws).any() and bool(draws.min() < draws.max())


def _halves(draws: np.ndarray) -> np.ndarray:
    """Every chain's first and second half, as chains of their own; a middle draw goes."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _normal_scores(chains: np.ndarray) -> np.ndarray:
    """Each draw's rank among all of them, as a standard normal's quantile."""
    from scipy import special, stats  # whoever only trains never needs them

    ranks = stats.rankdata(chains, axis=None).reshape(chains.shape)
    scores: np.ndarray = special.ndtri((ranks - 3 / 8) / (chains.size + 1 / 4))
    return scores


def _potential_scale_reduction(chains: np.ndarray) -> float:
    num_draws = chains.shape[1]
    within = chains.var(axis=1, ddof=1).mean()
    between = num_draws * chains.mean(axis=1).var(ddof=1)
    if within == 0:
        return math.inf if between > 0 else math.nan
    return math.sqrt((between / within + num_draws - 1) / num_draws)


def _ess(chains: np.ndarray) -> float:
    """M N / tau, tau = 1 + 2 sum of the autocorrelations up to where pairs turn negative."""
    num_draws = chains.shape[1]
    covariances = _autocovariances(chains).mean(axis=0)
    within = covariances[0] * num_draws / (num_draws - 1)
    total = covariances[0] + chains.mean(axis=1).var(ddof=1)
    if not total > 0:
        return math.nan
    correlations = 1 - (within - covariances) / total
    correlations[0] = 1.0
    num_pairs = max(1, (num_draws - 1) // 2)  # the last lags have hardly any data
    pairs = correlations[: 2 * num_pairs].reshape(-1, 2)
    negative = np.flatnonzero(pairs.sum(axis=1) < 0)
    end = int(negative[0]) if len(negative) else num_pairs - 1
    sums = np.minimum.accumulate(pairs[:end].sum(axis=1))
    tau = -1 + 2 * sums.sum() + max(0.0, pairs[end, 0])
    tau = max(tau, 1 / math.log10(chains.size))
    return float(chains.size / tau)


def _autocovariances(chains: np.ndarray) -> np.ndarray:
    """Every chain's autocovariances at lags 0 .. N - 1, sums divided by N."""
    num_draws = chains.shape[1]
    centred = chains - chains.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, n=2 * num_draws)
    covariances: np.ndarray = np.fft.irfft(np.abs(spectrum) ** 2)[:, :num_draws] / num_draws
    return covariances
