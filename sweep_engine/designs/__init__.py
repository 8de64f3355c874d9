"""Designs of experiments: which rows of levels to run, and what they can tell apart.

Fractions and D-optimal designs are made here. pyDOE3 1.6 was tried: its `fracfact_by_res` gives 7
factors in 32 rows as resolution V, where IV is the best that there is, and refuses 5 in 16.
"""

from sweep_engine.designs.aliases import Alias, Structure, structure
from sweep_engine.designs.coding import Term, effect_coded, model_matrix, term_text, terms_of
from sweep_engine.designs.d_optimal import d_optimal
from sweep_engine.designs.fractional import fraction

__all__ = [
    "Alias",
    "Structure",
    "Term",
    "d_optimal",
    "effect_coded",
    "fraction",
    "model_matrix",
    "structure",
    "term_text",
    "terms_of",
]
