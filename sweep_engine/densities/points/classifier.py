"""Classifier two-sample test: can anything tell the two sources apart?

A classifier is fitted on four fifths of the draws, its log odds are calibrated and evaluated
on the last fifth, in turn. Held-out log odds are a log density ratio: accuracy detects in any
dimension, and `witness` makes lower bounds of TV and KL of it.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import special
from threadpoolctl import ThreadpoolController

from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate, Interval
from sweep_engine.densities.estimator import Estimator, Part, Quantity, Table, Takes, Verdict
from sweep_engine.densities.points.independent import Points, points
from sweep_engine.densities.points.witness import Witness, p_value, tv_bound, witness_quantities
from sweep_engine.densities.trust import Trust

NUM_FOLDS = 5
MAX_DRAWS = 10_000
MAX_QUADRATIC = 20
"""Columns up to which products of columns are features of the logistic regression."""

Cloud = Float[np.ndarray, "n D"]
Scores = Float[np.ndarray, " n"]


ACCURACY = Quantity(
    "c2st_accuracy",
    "A classifier tells the two apart {0.value:.0%} of the time (chance: 50%).".format,
    Table.HEADLINES,
    Verdict.TEST,
    part=Part.SIZE,
    clause="a classifier tells them apart {0.value:.0%} of the time (chance: 50%)".format,
)


class ClassifierTest(Estimator[Draws]):
    """Tests whether a classifier tells the sources apart, and bounds TV and KL from below.

    The better of a logistic regression (with squares and products of at most 20 columns) and
    boosted trees, chosen on held-out draws of each fold and calibrated on them (Platt). The
    accuracy is balanced: 1/2 for one law, at most (1 + TV)/2; its interval is for this
    classifier's.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sides = Draws.of(rng.normal(1, 1, 1000)), Draws.of(rng.normal(0, 1, 1000))
        >>> accuracy, tv, kl = ClassifierTest().look(*sides, 0).at(0.95)
        >>> accuracy.low < 0.6915 < accuracy.high  # Phi(1/2)
        True

    Source:
        Lopez-Paz & Oquab (2017), arXiv:1610.06545; Platt (1999) for the calibration.
    """

    name = "c2st"
    takes = Takes.COLUMNS
    trust = Trust(name, 100, max_nats=2.0, beyond="a lower bound, and far below")
    seconds = 1.5
    quantities = (ACCURACY, *witness_quantities(name))

    def look(self, source: Draws, reference: Draws, seed: int) -> "ClassifierReading":
        """Fit the classifiers, fold by fold."""
        rng = np.random.default_rng([seed, 6])
        sample = points(source, reference, self.trust, rng, max_draws=MAX_DRAWS)
        log_odds = log_ratios(sample, rng)
        method = f"classifier, {NUM_FOLDS} folds, held-out and calibrated log odds"
        return ClassifierReading(
            Witness(self.name, self.trust, sample, [log_odds], seed=seed, method=method)
        )


@dataclass(frozen=True)
class ClassifierReading:
    """Held-out log odds."""

    odds: Witness

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Read accuracy and bounds off the held-out log odds."""
        odds = self.odds
        accuracy = odds.sample.estimate(
            ACCURACY.name,
            _accuracy(*odds.together, confidence),
            unit="1",
            method=f"{odds.method}; balanced accuracy",
            confidence=confidence,
            seed=odds.seed,
            p_value=p_value(*odds.together),
        )
        tv = dataclasses.replace(
            odds.tv(confidence),
            method=f"{odds.method}; difference of the shares told to be the source's",
        )
        return accuracy, tv, odds.kl(confidence)


def log_ratios(sample: Points, rng: np.random.Generator) -> tuple[Scores, Scores]:
    """Estimate ln(p / q) at every point by classifiers that did not see it, calibrated.

    Args:
        sample: Independent draws.
        rng: Of folds and classifiers.

    Returns:
        In nats, at the source's and at the reference's points.
    """
    x = np.concatenate([sample.source, sample.reference])
    is_source = np.arange(len(x)) < len(sample.source)
    fold = np.empty(len(x), int)
    for side in (is_source, ~is_source):
        fold[side] = rng.permutation(np.arange(int(side.sum())) % NUM_FOLDS)
    scores = np.empty(len(x))
    # Samples this small gain nothing from a second thread, and where other work has the cores,
    # threads that wait for one another take twenty times as long.
    with _scikit_learn().limit(limits=1):
        for i in range(NUM_FOLDS):
            out = fold == i
            inner = fold == (i + 1) % NUM_FOLDS
            scores[out] = _fitted(x, is_source, ~out & ~inner, inner, out, rng)
    return scores[is_source], scores[~is_source]


def _scikit_learn() -> ThreadpoolController:
    """Load scikit-learn, which takes seconds and most reports need none of, and see its threads."""
    import sklearn.ensemble  # noqa: F401  # loads the libraries whose threads are seen

    return ThreadpoolController()


def _fitted(
    x: Cloud,
    is_source: Bool[np.ndarray, " n"],
    fit: Bool[np.ndarray, " n"],
    calibrate: Bool[np.ndarray, " n"],
    out: Bool[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Scores:
    """Fit every candidate, calibrate, keep the best on the calibration draws.

    The sides' numbers are taken out of the log odds afterwards: given as weights, they would
    make the trees' bins ten times as dear as the trees.
    """
    best, scores = math.inf, np.zeros(int(out.sum()))
    prior_odds = math.log(is_source[fit].sum() / (~is_source[fit]).sum())
    for model in _candidates(x.shape[1], int(rng.integers(2**31))):
        model.fit(x[fit], is_source[fit])
        odds = _log_odds(model, x[calibrate | out]) - prior_odds
        held = calibrate[calibrate | out]
        slope, shift, loss = platt(odds[held], is_source[calibrate])
        if loss < best:
            best, scores = loss, slope * odds[~held] + shift
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


def _log_odds(model: Any, x: Cloud) -> Scores:
    scores: Scores = np.asarray(model.decision_function(x), float)
    return scores


def platt(scores: Scores, is_source: Bool[np.ndarray, " n"]) -> tuple[float, float, float]:
    """Fit odds = slope * score + shift by Newton steps: (slope, shift, mean log loss).

    A weak pull towards (1, 0) keeps a score that separates both sources finite.

    Args:
        scores: Log odds before calibration.
        is_source: Which are of draws of the source.
    """
    weights = np.where(is_source, 0.5 / is_source.mean(), 0.5 / (~is_source).mean())
    features = np.stack([scores, np.ones_like(scores)], axis=1)
    beta = np.array([1.0, 0.0])
    for _ in range(25):
        share = special.expit(features @ beta)
        gradient = features.T @ (weights * (share - is_source)) + beta - (1.0, 0.0)
        curvature = (features * (weights * share * (1 - share))[:, None]).T @ features + np.eye(2)
        beta = beta - np.clip(np.linalg.solve(curvature, gradient), -1, 1)
    beta[0] = max(beta[0], 0.0)  # a score that is worse than chance says nothing
    odds = features @ beta
    loss = float((weights * np.logaddexp(0, np.where(is_source, -odds, odds))).mean())
    return float(beta[0]), float(beta[1]), loss


def _accuracy(p: Scores, q: Scores, confidence: float) -> Interval:
    bound = tv_bound(p, q, confidence)
    signed = float((p > 0).mean() - (q > 0).mean())
    return Interval(
        (1 + signed) / 2, min((1 + bound.low) / 2, (1 + signed) / 2), (1 + bound.high) / 2
    )
