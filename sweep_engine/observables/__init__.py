"""Observables: where a network lands. Each is a pure function of one network."""

from typing import Any

from sweep_engine.observables.function import (
    COMPLEXITY,
    FUNCTION,
    distinct,
    function_ids,
    pack,
    unpack,
)
from sweep_engine.observables.networks import BALANCE, CONFIDENCE, DISTANCE, MARGIN, NORMS, PATH
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.spec.custom import Custom

__all__ = [
    "OBSERVABLES",
    "Observable",
    "Outcome",
    "distinct",
    "function_ids",
    "observables",
    "pack",
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
}
"""The observables that a sweep file can name; `spec.sweep.ObservableName` lists the names."""


def observables(names: tuple[Any, ...]) -> list[Observable]:
    """Look the named observables up; a user's own are given as objects.

    Raises:
        ValueError: an object is not an `Observable`, or two fill one column.
    """
    chosen = [n.value if isinstance(n, Custom) else OBSERVABLES[n] for n in names]
    if any(not isinstance(observable, Observable) for observable in chosen):
        raise ValueError("expected an instance of sweep_engine.Observable")
    columns = [column.name for observable in chosen for column in observable.columns]
    if len(set(columns)) < len(columns):
        raise ValueError("two observables fill one column, or one is named twice")
    return chosen
