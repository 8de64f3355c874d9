"""Observables: where a network lands. Each is a pure function of one network."""

from sweep_engine.observables.coordinates import fit_basis, is_fitted_on
from sweep_engine.observables.function import Functions, distinct, function_ids, pack, unpack
from sweep_engine.observables.observable import Basis, FittedObservable, Observable, Outcome
from sweep_engine.observables.registry import OBSERVABLES, columns_of, observables

__all__ = [
    "OBSERVABLES",
    "Basis",
    "FittedObservable",
    "Functions",
    "Observable",
    "Outcome",
    "columns_of",
    "distinct",
    "fit_basis",
    "function_ids",
    "is_fitted_on",
    "observables",
    "pack",
    "unpack",
]
