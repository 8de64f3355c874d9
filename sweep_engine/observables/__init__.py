"""Observables: where a network lands. Each is a pure function of one network."""

from typing import Any, assert_never

from sweep_engine.observables.coordinates import (
    Basis,
    coordinates,
    fit_basis,
    is_fitted_on,
    point_of,
)
from sweep_engine.observables.function import (
    COMPLEXITY,
    FUNCTION,
    distinct,
    function_ids,
    pack,
    unpack,
)
from sweep_engine.observables.learning_coefficient import (
    learning_coefficient,
    volume_exponent,
)
from sweep_engine.observables.local_volume import local_volume
from sweep_engine.observables.networks import BALANCE, CONFIDENCE, DISTANCE, MARGIN, NORMS, PATH
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.observables.symmetry import SYMMETRY
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.observables import (
    Coordinates,
    LearningCoefficient,
    LocalVolume,
    ObservableSpec,
    VolumeExponent,
)

__all__ = [
    "OBSERVABLES",
    "Basis",
    "Observable",
    "Outcome",
    "columns_of",
    "coordinates",
    "distinct",
    "fit_basis",
    "function_ids",
    "is_fitted_on",
    "observables",
    "pack",
    "point_of",
    "unpack",
]

OBSERVABLES: dict[str, Observable] = {
    "norms": NORMS,
    "distance": DISTANCE,
    "margin": MARGIN,
    "path": PATH,
    "confidence": CONFIDENCE,
    "function": FUNCTION,
    "complexity": COMPLEXITY,
    "balance": BALANCE,
    "symmetry": SYMMETRY,
}
"""The observables that a sweep file can name; `spec.observables.ObservableName` lists
them, and beside it stand those that have settings."""


def observables(names: tuple[Any, ...]) -> list[Observable]:
    """Look observables up by name, or make them; a user's own are given as objects.

    Raises:
        ValueError: an object is not an `Observable`, or two fill one column.
    """
    chosen = [_observable(name) for name in names]
    if any(not isinstance(observable, Observable) for observable in chosen):
        raise ValueError("expected an instance of sweep_engine.Observable")
    columns = [column.name for observable in chosen for column in observable.columns]
    if len(set(columns)) < len(columns):
        raise ValueError("two observables fill one column, or one is named twice")
    return chosen


def columns_of(name: Any) -> list[tuple[str, str]]:
    """(name, dtype) of an observable's columns; a user's own may be at hand as a description."""
    if isinstance(name, Custom):
        return [(c["name"], c["dtype"]) for c in name.fields.get("columns", ())]
    return [(column.name, column.dtype) for column in _observable(name).columns]


def _observable(name: Any) -> Observable:
    if isinstance(name, str):
        return OBSERVABLES[name]
    return name.value if isinstance(name, Custom) else _made(name)


def _made(spec: ObservableSpec) -> Observable:
    match spec:
        case LocalVolume():
            return local_volume(spec)
        case LearningCoefficient():
            return learning_coefficient(spec)
        case VolumeExponent():
            return volume_exponent(spec)
        case Coordinates():
            return coordinates(spec)
        case _:
            assert_never(spec)
