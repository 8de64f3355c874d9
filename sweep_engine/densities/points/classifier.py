"""Classifier two-sample test: can anything tell the two sources apart?

A classifier is fitted on four fifths of the draws, its log odds are calibrated and evaluated
on the last fifth, in turn. Held-out log odds are a log density ratio: accuracy detects in any
dimension, and `witness` makes lower bounds of TV and KL of it.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import special
from threadpoolctl import ThreadpoolController

from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate, Interval
from sweep_engine.densities.points.independent import Points, points
from sweep_engine.densities.points.witness import kl_bound, one_sided, p_value, tv_bound
from sweep_engine.densities.trust import Trust, ceiling

NUM_FOLDS = 5
MAX_DRAWS = 10_000
MAX_QUADRATIC = 20
"""Columns up to which products of columns are features of the logistic regression."""

TRUST = Trust("c2st", 100, max_nats=2.0, beyond="a lower bound, and far below")

Cloud = Float[np.ndarray, "n D"]
Scores = Float[np.ndarray, " n"]


def c2st(
    source: Draws, reference: Draws, *, seed: int, confidence: float = 0.95
) -> tuple[Estimate, ...]:
    """Test whether a classifier tells the sources apart, and bound TV and KL from below.

    The better of a logistic regression (with squares and products of at most 20 columns) and
    boosted trees, chosen on held-out draws of each fold and calibrated on them (Platt).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> accuracy, tv, kl = c2st(
        ...     Draws.of(rng.normal(1, 1, 1000)), Draws.of(rng.normal(0, 1, 1000)), seed=0)
        >>> accuracy.low < 0.6915 < accuracy.high  # Phi(1/2)
        True

    Args:
        source: One or several columns.
        reference: The same columns.
        seed: Of thinning, folds and classifiers.
        confidence: Of each interval.

    Returns:
        `c2st_accuracy` (balanced; 1/2 for one law, at most (1 + TV)/2; the interval is for this
        classifier's), `tv_bound_c2st` and `kl_bound_c2st`, whose intervals are open upwards.

    Raises:
        InsufficientSamples: Fewer than 100 independent draws on one side.

    Source:
        Lopez-Paz & Oquab (2017), arXiv:1610.06545; Platt (1999) for the calibration.
    """
    return classified(source, reference, seed=seed)(confidence)


def classified(
    source: Draws, reference: Draws, *, seed: int
) -> Callable[[float], tuple[Estimate, ...]]:
    """Make the test of `c2st` once, to be read at any confidence.

    Args:
        source: As in `c2st`.
        reference: As in `c2st`.
        seed: As in `c2st`.

    Raises:
        InsufficientSamples: As in `c2st`.
    """
    rng = np.random.default_rng([seed, 6])
    sample = points(source, reference, TRUST, rng, max_draws=MAX_DRAWS)
    held_out = log_ratios(sample, rng)
    return lambda confidence: _estimates(sample, *held_out, confidence, seed)


def _estimates(
    sample: Points, p: Scores, q: Scores, confidence: float, seed: int
) -> tuple[Estimate, ...]:
    tv = one_sided(tv_bound(p, q, confidence), 1.0)
    kl = one_sided(kl_bound(p, q, confidence), math.inf)
    method = f"classifier, {NUM_FOLDS} folds, held-out and calibrated log odds"
    range_warnings = TRUST.warnings(sample.dimension, kl.value)
    return (
        sample.estimate(
            "c2st_accuracy", _accuracy(p, q, confidence), unit="1",
            method=f"{method}; balanced accuracy", confidence=confidence, seed=seed,
            p_value=p_value(p, q),
        ),
        sample.estimate(
            "tv_bound_c2st", tv, unit="1", method=f"{method}; difference of the shares told "
            "to be the source's", confidence=confidence, seed=seed,
        ),
        sample.estimate(
            "kl_bound_c2st", kl, unit="nats", method=f"{method}; Donsker-Varadhan",
            confidence=confidence, seed=seed,
            warnings=(*range_warnings, ceiling(sample.n_eff[1])),
        ),
    )  # fmt: skip


def log_ratios(sample: Points, rng: np.random.Generator) -> tuple[Scores, Scores]:
    """Estimate ln(p / q) at every point by classifiers that did not see it, calibrated.

    Args:
        sample: Independent draws.
        rng: Of folds and classifiers.

    Returns:
        In nats, at the source's and at the reference's points.
    """
    x = np.concatenate([sample.source, sample.reference])
    mine = np.arange(len(x)) < len(sample.source)
    fold = np.empty(len(x), int)
    for side in (mine, ~mine):
        fold[side] = rng.permutation(np.arange(int(side.sum())) % NUM_FOLDS)
    scores = np.empty(len(x))
    # Samples this small gain nothing from a second thread, and where other work has the cores,
    # threads that wait for one another take twenty times as long.
    with _scikit_learn().limit(limits=1):
        for i in range(NUM_FOLDS):
            out = fold == i
            inner = fold == (i + 1) % NUM_FOLDS
            scores[out] = _fitted(x, mine, ~out & ~inner, inner, out, rng)
    return scores[mine], scores[~mine]


def _scikit_learn() -> ThreadpoolController:
    """Load scikit-learn, which takes seconds and most reports need none of, and see its threads."""
    import sklearn.ensemble  # noqa: F401  # loads the libraries whose threads are seen

    return ThreadpoolController()


def _fitted(
    x: Cloud,
    mine: Bool[np.ndarray, " n"],
    fit: Bool[np.ndarray, " n"],
    calibrate: Bool[np.ndarray, " n"],
    out: Bool[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Scores:
    """Fit every candidate, calibrate, keep the best on the calibration draws."""
    best, scores = math.inf, np.zeros(int(out.sum()))
    for model in _candidates(x.shape[1], int(rng.integers(2**31))):
        model.fit(x[fit], mine[fit], **_balanced(model, mine[fit]))
        slope, shift, loss = platt(_log_odds(model, x[calibrate]), mine[calibrate])
        if loss < best:
            best, scores = loss, slope * _log_odds(model, x[out]) + shift
    return scores


def _candidates(dimension: int, seed: int) -> Iterator[Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    degree = 2 if dimension <= MAX_QUADRATIC else 1
    yield make_pipeline(
        PolynomialFeatures(degree, include_bias=False),
        StandardScaler(),
        LogisticRegression(max_iter=300),
    )
    yield HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=8, min_samples_leaf=30, l2_regularization=1.0,
        early_stopping=False, random_state=seed,
    )  # fmt: skip


def _balanced(model: Any, mine: Bool[np.ndarray, " n"]) -> dict[str, np.ndarray]:
    """Weights that give both sources the same mass."""
    weights = np.where(mine, 0.5 / mine.mean(), 0.5 / (~mine).mean())
    step = "logisticregression__" if hasattr(model, "steps") else ""
    return {f"{step}sample_weight": weights}


def _log_odds(model: Any, x: Cloud) -> Scores:
    scores: Scores = np.asarray(model.decision_function(x), float)
    return scores


def platt(scores: Scores, mine: Bool[np.ndarray, " n"]) -> tuple[float, float, float]:
    """Fit odds = slope * score + shift by Newton steps: (slope, shift, mean log loss).

    A weak pull towards (1, 0) keeps a score that separates both sources finite.

    Args:
        scores: Log odds before calibration.
        mine: Which are of draws of the source.
    """
    weights = np.where(mine, 0.5 / mine.mean(), 0.5 / (~mine).mean())
    features = np.stack([scores, np.ones_like(scores)], axis=1)
    beta = np.array([1.0, 0.0])
    for _ in range(25):
        share = special.expit(features @ beta)
        gradient = features.T @ (weights * (share - mine)) + beta - (1.0, 0.0)
        curvature = (features * (weights * share * (1 - share))[:, None]).T @ features + np.eye(2)
        beta = beta - np.clip(np.linalg.solve(curvature, gradient), -1, 1)
    beta[0] = max(beta[0], 0.0)  # a score that is worse than chance says nothing
    odds = features @ beta
    loss = float((weights * np.logaddexp(0, np.where(mine, -odds, odds))).mean())
    return float(beta[0]), float(beta[1]), loss


def _accuracy(p: Scores, q: Scores, confidence: float) -> Interval:
    found = tv_bound(p, q, confidence)
    signed = float((p > 0).mean() - (q > 0).mean())
    return Interval(
        (1 + signed) / 2, min((1 + found.low) / 2, (1 + signed) / 2), (1 + found.high) / 2
    )
