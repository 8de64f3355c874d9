"""The estimators that a sweep file can name under `estimator:`, each a function of draws."""

import dataclasses
from collections.abc import Callable
from typing import Literal

from sweep_engine.densities.binned import binned_divergences
from sweep_engine.densities.bootstrap import mean_difference
from sweep_engine.densities.classifier import c2st
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.kernel_density import kde
from sweep_engine.densities.kernel_tests import energy_distance, mmd
from sweep_engine.densities.neighbours import knn_kl
from sweep_engine.densities.one_dimensional import ks_distance, mass_outside_range, quantiles
from sweep_engine.densities.transport import wasserstein
from sweep_engine.densities.two_dimensional import binned_total_variation_2d
from sweep_engine.errors import IncomparableSources

Estimator = Callable[[Draws, Draws, int], tuple[Estimate, ...]]


def _binned(source: Draws, reference: Draws, seed: int) -> tuple[Estimate, ...]:
    if _dimension(source) == 2:
        return (binned_total_variation_2d(source, reference, seed=seed),)
    _one_column(source, "binned, of three columns and more,")
    return (
        *binned_divergences(source, reference, seed=seed),
        mass_outside_range(source, reference),
        *_quantiles("source", source),
        *_quantiles("reference", reference),
    )


def _quantiles(side: str, draws: Draws) -> list[Estimate]:
    return [dataclasses.replace(one, name=f"{side}_{one.name}") for one in quantiles(draws)]


def _ks(source: Draws, reference: Draws, seed: int) -> tuple[Estimate, ...]:
    _one_column(source, "ks")
    return (ks_distance(source, reference),)


def _mean(source: Draws, reference: Draws, seed: int) -> tuple[Estimate, ...]:
    _one_column(source, "mean")
    return (mean_difference(source, reference, seed=seed),)


def _wasserstein(source: Draws, reference: Draws, seed: int) -> tuple[Estimate, ...]:
    _one_column(source, "wasserstein")
    return (wasserstein(source, reference, seed=seed),)


ESTIMATORS: dict[str, Estimator] = {
    "binned": _binned,
    "ks": _ks,
    "mean": _mean,
    "wasserstein": _wasserstein,
    "energy": lambda source, reference, seed: (energy_distance(source, reference, seed=seed),),
    "mmd": lambda source, reference, seed: (mmd(source, reference, seed=seed),),
    "kde": lambda source, reference, seed: kde(source, reference, seed=seed),
    "knn": lambda source, reference, seed: knn_kl(source, reference, seed=seed),
    "c2st": lambda source, reference, seed: c2st(source, reference, seed=seed),
}
"""By name. `spec.sweep.EstimatorName` lists them, and `ledger`, which needs more than draws."""


def default_estimators(draws: Draws) -> list[Literal["ks", "binned", "c2st"]]:
    """What suits the number of columns, where the sweep file names no estimator."""
    if _dimension(draws) == 1:
        return ["ks", "binned"]
    return ["binned"] if _dimension(draws) == 2 else ["c2st"]


def kl_lower_bound(
    source: Draws, reference: Draws, *, seed: int, confidence: float = 0.95
) -> Estimate:
    """Bound KL from below: in bins for one column, by a classifier for several.

    Args:
        source: Draws of one or several columns.
        reference: The same columns.
        seed: Of the estimator.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.
    """
    estimator = binned_divergences if _dimension(source) == 1 else c2st
    return estimator(source, reference, seed=seed, confidence=confidence)[-1]


def _dimension(draws: Draws) -> int:
    return 1 if draws.values.ndim == 1 else draws.values.shape[1]


def _one_column(draws: Draws, name: str) -> None:
    if _dimension(draws) > 1:
        raise IncomparableSources(f"{name} is for one column, got {_dimension(draws)}")
