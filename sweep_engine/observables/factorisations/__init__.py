"""Factorisations: through what a model's function depends on theta, and what its flow conserves."""

from sweep_engine.observables.factorisations.factorisation import Factorisation
from sweep_engine.observables.factorisations.table import FACTORISATIONS, factorisation

__all__ = ["FACTORISATIONS", "Factorisation", "factorisation"]
