"""Known laws for the tests of the estimators."""

import numpy as np

from sweep_engine.densities.cells.counts import CellCounts


def zipf(num_functions, exponent=1.0):
    """P(rank r) proportional to r^-exponent."""
    mass = np.arange(1, num_functions + 1) ** -float(exponent)
    return mass / mass.sum()


def uniform(num_functions):
    return np.full(num_functions, 1 / num_functions)


def head_reversed(law, num_head):
    """The same law with its most frequent functions in reverse order."""
    return np.concatenate([law[:num_head][::-1], law[num_head:]])


def draw(rng, source, reference, num_source, num_reference):
    """Counts of independent draws of two laws over the same functions."""
    return CellCounts(
        rng.multinomial(num_source, source), rng.multinomial(num_reference, reference)
    )
