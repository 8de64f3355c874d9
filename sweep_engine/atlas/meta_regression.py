"""Random-effects meta-regression: effects over rows whose own errors are known.

    y = X β + u + t + e,   e ~ N(0, S) known,   u ~ N(0, τ²) a row,   t ~ N(0, ω²) a task.

τ² and ω² by restricted maximum likelihood (REML), β by generalised least squares, and the
covariance of β scaled as Knapp and Hartung do, so that t intervals hold with few rows.
statsmodels 0.15 combines effects without regressors, and its mixed models have no known errors.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg, optimize, stats

from sweep_engine.errors import InsufficientSamples

TINY = 1e-8
"""Share of the variance that rows have at least: so that errors of 0 can be inverted."""

NUM_DRAWS = 50_000
"""Of the largest |t|, whose quantile makes intervals hold at once."""


@dataclass(frozen=True)
class Fit:
    """A meta-regression.

    Attributes:
        coefficients: β.
        covariance: Of β.
        heterogeneity: τ², the variance of rows beyond their errors and the effects.
        task_variance: ω², the variance of tasks; 0 where no tasks are given.
        degrees: Degrees of freedom of the t intervals.
        residuals: y - X β.
    """

    coefficients: Float[np.ndarray, " p"]
    covariance: Float[np.ndarray, "p p"]
    heterogeneity: float
    task_variance: float
    degrees: int
    residuals: Float[np.ndarray, " n"]


def meta_regression(
    values: Float[np.ndarray, " n"],
    errors: Float[np.ndarray, "n n"],
    matrix: Float[np.ndarray, "n p"],
    tasks: Int[np.ndarray, " n"] | None = None,
) -> Fit:
    """Fit the regression.

    Example:
        >>> x = np.repeat([-1.0, 1.0], 20)
        >>> y = 3 * x + np.random.default_rng(0).normal(size=40)
        >>> found = meta_regression(y, np.eye(40), np.column_stack([np.ones(40), x]))
        >>> round(found.coefficients[1])
        3

    Args:
        values: y, one a row.
        errors: S, the covariance of the rows' own errors.
        matrix: X, of full column rank.
        tasks: The task of every row, where tasks are a random effect.

    Raises:
        InsufficientSamples: no more rows than coefficients.

    Source:
        Berkey et al. (1995), Statistics in Medicine 14; Knapp & Hartung (2003), 22.
    """
    num_rows, num_effects = matrix.shape
    if num_rows <= num_effects:
        raise InsufficientSamples(
            f"{num_rows} rows for {num_effects} effects: more rows are needed"
        )
    parts = [np.eye(num_rows)]
    if tasks is not None:
        parts.append((tasks[:, None] == tasks[None, :]).astype(float))
    variances = _reml(values, errors, matrix, parts)
    covariance = errors + sum(v * part for v, part in zip(variances, parts, strict=True))
    beta, spread, residuals, scaled = _least_squares(values, covariance, matrix)
    degrees = num_rows - num_effects
    # Below 1 the residuals are smaller than the known errors alone would make them: by luck.
    factor = max(1.0, float(scaled @ scaled) / degrees)
    return Fit(
        beta, factor * spread, float(variances[0]), float(sum(variances[1:])), degrees, residuals
    )


def _least_squares(
    values: np.ndarray, covariance: np.ndarray, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Solve by whitening: (β, its covariance, residuals, whitened residuals)."""
    factor = linalg.cholesky(covariance, lower=True)
    white = linalg.solve_triangular(factor, np.column_stack([matrix, values]), lower=True)
    x, y = white[:, :-1], white[:, -1]
    spread = np.linalg.inv(x.T @ x)
    beta = spread @ x.T @ y
    return beta, spread, values - matrix @ beta, y - x @ beta


def _reml(
    values: np.ndarray, errors: np.ndarray, matrix: np.ndarray, parts: list[np.ndarray]
) -> np.ndarray:
    """Maximise the restricted likelihood over the variances, none of which is negative."""
    residual = values - matrix @ np.linalg.lstsq(matrix, values, rcond=None)[0]
    scale = max(float(residual.std()), math.sqrt(float(np.diag(errors).mean())), 1e-12)

    def cost(deviations: np.ndarray) -> float:
        covariance = errors + sum(
            (d * scale) ** 2 * part for d, part in zip(deviations, parts, strict=True)
        )
        covariance = covariance + TINY * scale**2 * parts[0]  # where errors are 0
        _, spread, _, scaled = _least_squares(values, covariance, matrix)
        whole = np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(spread)[1]
        return 0.5 * float(whole + scaled @ scaled)

    starts = [np.full(len(parts), start) for start in (0.1, 1.0)]
    found = [
        optimize.minimize(cost, start, method="L-BFGS-B", bounds=[(0.0, 30.0)] * len(parts))
        for start in starts
    ]
    best = min(found, key=lambda each: float(each.fun))
    variances: np.ndarray = (best.x * scale) ** 2
    variances[0] += TINY * scale**2
    return variances


def critical_value(
    contrasts: Float[np.ndarray, "k p"], fit: Fit, confidence: float, seed: int
) -> float:
    """Find c such that all k contrasts lie within c standard errors at once.

    The largest |t| of the contrasts is drawn from their joint t law: shorter than Bonferroni's,
    since it knows how contrasts of one factor depend on one another, and Scheffé's would hold for
    contrasts that nobody asks for.

    Example:
        >>> x = np.repeat([-1.0, 1.0], 50)[:, None]
        >>> fit = meta_regression(x[:, 0] + np.linspace(-1, 1, 100), 0.01 * np.eye(100), x)
        >>> 1.9 < critical_value(np.ones((1, 1)), fit, 0.95, 0) < 2.05
        True

    Source:
        Hothorn, Bretz & Westfall (2008), Biometrical Journal 50(3).
    """
    spread = contrasts @ fit.covariance @ contrasts.T
    deviations = np.sqrt(np.diag(spread))
    if len(contrasts) == 1:
        return float(stats.t.ppf((1 + confidence) / 2, fit.degrees))
    correlation = spread / np.outer(deviations, deviations)
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    rng = np.random.default_rng([seed, 19])
    normal = rng.standard_normal((NUM_DRAWS, len(contrasts))) @ root.T
    chi = np.sqrt(rng.chisquare(fit.degrees, NUM_DRAWS) / fit.degrees)
    return float(np.quantile(np.abs(normal).max(axis=1) / chi, confidence))
