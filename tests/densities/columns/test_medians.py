"""The shift of medians: its interval covers, ties and few draws are borne."""

import math

import numpy as np
import pytest

from sweep_engine.densities.columns.medians import MedianShift
from sweep_engine.densities.draws import Draws
from sweep_engine.errors import IncomparableSources


def shift(source, reference, confidence=0.95):
    sides = Draws.of(np.asarray(source, float)), Draws.of(np.asarray(reference, float))
    return MedianShift().look(*sides, 0).at(confidence)[-1]


LAWS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "skew": lambda rng, n: rng.exponential(size=n) - math.log(2),
}


@pytest.mark.parametrize("law", LAWS)
def test_the_interval_covers_the_shift_and_half_of_it_would_not(law):
    rng, draw, true = np.random.default_rng(3), LAWS[law], 0.7
    repeats, hits, hits_of_half = 600, 0, 0
    for _ in range(repeats):
        found = shift(draw(rng, 40) + true, draw(rng, 60))
        hits += found.low <= true <= found.high
        hits_of_half += abs(found.value - true) <= (found.high - found.low) / 4
    least = 0.95 - 4.9 * math.sqrt(0.95 * 0.05 / repeats)  # one false alarm in a million
    assert hits / repeats > least > hits_of_half / repeats


def test_ties_and_infinities_are_outcomes():
    found = shift([0] * 20 + [1, np.nan], [0] * 22)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert math.isinf(shift([1, 2, 3], [1, 2, 3]).high), "three draws bound no median"
    with pytest.raises(IncomparableSources, match="2 of 4 draws are not finite"):
        shift([1, 2, np.nan, np.inf], [1, 2])
