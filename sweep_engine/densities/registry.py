"""The estimators that a sweep file can name under `estimator:`.

Each looks at draws once, and can then be read at any confidence: beside the interval of one
setting stands the one that holds together with those of all others.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from sweep_engine.densities.columns.binned import binned_divergences
from sweep_engine.densities.columns.mean import mean_difference
from sweep_engine.densities.columns.one_dimensional import (
    ks_distance,
    mass_outside_range,
    quantiles,
)
from sweep_engine.densities.columns.two_dimensional import binned_total_variation_2d
from sweep_engine.densities.columns.wasserstein import wasserstein
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.points.classifier import classified
from sweep_engine.densities.points.flow import fitted
from sweep_engine.densities.points.kernel_density import kde
from sweep_engine.densities.points.kernel_tests import energy_distance, mmd
from sweep_engine.densities.points.neighbours import knn_kl
from sweep_engine.errors import IncomparableSources

Measured = Callable[[float], Sequence[Estimate]]
"""From a confidence to the estimates, their intervals each at that confidence."""

Estimator = Callable[[Draws, Draws, int], Measured]


def _binned(source: Draws, reference: Draws, seed: int) -> Measured:
    if _dimension(source) == 2:
        return _one(partial(binned_total_variation_2d, source, reference, seed=seed))
    _one_column(source, "binned, of three columns and more,")
    return partial(_binned_column, source, reference, seed)


def _binned_column(
    source: Draws, reference: Draws, seed: int, confidence: float
) -> tuple[Estimate, ...]:
    return (
        *binned_divergences(source, reference, seed=seed, confidence=confidence),
        mass_outside_range(source, reference, confidence=confidence),
        *_quantiles("source", source, confidence),
        *_quantiles("reference", reference, confidence),
    )


def _quantiles(side: str, draws: Draws, confidence: float) -> list[Estimate]:
    found = quantiles(draws, confidence=confidence)
    return [dataclasses.replace(one, name=f"{side}_{one.name}") for one in found]


def _ks(source: Draws, reference: Draws, seed: int) -> Measured:
    _one_column(source, "ks")
    return _one(partial(ks_distance, source, reference))


def _mean(source: Draws, reference: Draws, seed: int) -> Measured:
    _one_column(source, "mean")
    return _one(partial(mean_difference, source, reference, seed=seed))


def _wasserstein(source: Draws, reference: Draws, seed: int) -> Measured:
    _one_column(source, "wasserstein")
    return _one(partial(wasserstein, source, reference, seed=seed))


def _one(estimate: Callable[..., Estimate]) -> Measured:
    return lambda confidence: (estimate(confidence=confidence),)


def _several(estimator: Callable[..., tuple[Estimate, ...]]) -> Estimator:
    return lambda source, reference, seed: (
        lambda confidence: estimator(source, reference, seed=seed, confidence=confidence)
    )


ESTIMATORS: dict[str, Estimator] = {
    "binned": _binned,
    "ks": _ks,
    "mean": _mean,
    "wasserstein": _wasserstein,
    "energy": lambda source, reference, seed: _one(
        partial(energy_distance, source, reference, seed=seed)
    ),
    "mmd": lambda source, reference, seed: _one(partial(mmd, source, reference, seed=seed)),
    "kde": _several(kde),
    "knn": _several(knn_kl),
    "flow": lambda source, reference, seed: fitted(source, reference, seed=seed),
    "c2st": lambda source, reference, seed: classified(source, reference, seed=seed),
}
"""By name. `spec.sweep.EstimatorName` lists them, and `ledger`, which needs more than draws."""


def default_estimators(draws: Draws) -> list[Literal["ks", "binned", "c2st"]]:
    """What suits the number of columns, where the sweep file names no estimator."""
    if _dimension(draws) == 1:
        return ["ks", "binned"]
    return ["binned"] if _dimension(draws) == 2 else ["c2st"]


def kl_lower_bound(source: Draws, reference: Draws, seed: int) -> Callable[[float], Estimate]:
    """Bound KL from below: in bins for one column, by a classifier for several.

    Args:
        source: Draws of one or several columns.
        reference: The same columns.
        seed: Of the estimator.

    Returns:
        From a confidence to the estimate.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.
    """
    if _dimension(source) == 1:
        return lambda level: binned_divergences(source, reference, seed=seed, confidence=level)[-1]
    found = classified(source, reference, seed=seed)
    return lambda level: found(level)[-1]


def _dimension(draws: Draws) -> int:
    return 1 if draws.values.ndim == 1 else draws.values.shape[1]


def _one_column(draws: Draws, name: str) -> None:
    if _dimension(draws) > 1:
        raise IncomparableSources(f"{name} is for one column, got {_dimension(draws)}")
