"""Means over pairs: which pairs there are, and intervals that count networks."""

import numpy as np
import pytest

from sweep_engine.densities.networks.jackknife import t_interval
from sweep_engine.densities.networks.pairs import PARTNERS, error_of_means, paired
from tests.densities.networks.made import members
from tests.statistics import StatisticalFailure, assert_coverage

RNG = np.random.default_rng(0)
REPEATS = 500


def networks(count, units=None):
    """Networks that nothing is computed of."""
    return members(np.zeros((count, 31)), units=units)


def covered(pairs, values, truth):
    """Whether the interval holds the truth, and whether one that counts pairs does."""
    error = error_of_means(pairs, [values])
    mean = float(values.mean())
    found = t_interval(mean, float(error.stderr[0]), error.freedom, 0.95, (-np.inf, np.inf))
    naive = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    return found.low <= truth <= found.high, abs(mean - truth) <= naive


def sums(one, other, pairs):
    """A network is in it with all that it is: pairs that share one depend."""
    return one[pairs.first] + other[pairs.second]


def gaps(one, other, pairs):
    return np.abs(one[pairs.first] - other[pairs.second])


@pytest.mark.parametrize(
    ("kernel", "truth"), [(sums, 0.0), (gaps, 2 / np.pi**0.5)], ids=["sums", "gaps"]
)
def test_the_interval_of_one_source_covers(kernel, truth):
    one = networks(20)
    pairs = paired(one, one)
    outcomes = []
    for _ in range(REPEATS):
        x = RNG.normal(size=20)
        outcomes.append(covered(pairs, kernel(x, x, pairs), truth))
    right, naive = np.array(outcomes).T
    assert_coverage(right)
    if kernel is sums:
        with pytest.raises(StatisticalFailure):
            assert_coverage(naive)


def test_the_interval_of_two_sources_covers():
    pairs = paired(networks(12), networks(30))
    outcomes = []
    for _ in range(REPEATS):
        one, other = RNG.normal(size=12), 1 + 2 * RNG.normal(size=30)
        outcomes.append(covered(pairs, sums(one, other, pairs), 1.0))
    right, naive = np.array(outcomes).T
    assert_coverage(right)
    with pytest.raises(StatisticalFailure):
        assert_coverage(naive)


def test_networks_of_one_unit_are_left_out_together():
    """Clones of 12 centres; as if each were by itself, the interval is too narrow."""
    order = RNG.permutation(np.repeat(np.arange(12), 5))
    one, alone = networks(60, order), networks(60)
    pairs, free = paired(one, one), paired(alone, alone)
    assert np.all(order[pairs.first] != order[pairs.second])
    outcomes = []
    for _ in range(REPEATS):
        x = RNG.normal(size=12)[order] + 0.3 * RNG.normal(size=60)
        outcomes.append(
            (covered(pairs, sums(x, x, pairs), 0.0)[0], covered(free, sums(x, x, free), 0.0)[0])
        )
    right, as_if_alone = np.array(outcomes).T
    assert_coverage(right)
    with pytest.raises(StatisticalFailure):
        assert_coverage(as_if_alone)


def test_every_network_is_in_as_many_pairs():
    one = networks(9)
    pairs = paired(one, one)
    assert np.all(np.bincount(np.concatenate([pairs.first, pairs.second])) == 2 * PARTNERS)
    both = {frozenset(pair) for pair in zip(pairs.first, pairs.second, strict=True)}
    assert len(both) == len(pairs.first)
    assert all(len(pair) == 2 for pair in both)
    across = paired(networks(9), networks(7))
    assert len(across.one) == len(across.other) == 7
    for places in (across.first, across.second):
        assert np.all(np.bincount(places) == 2 * PARTNERS)


def test_a_mean_of_what_is_no_number_has_no_interval():
    assert t_interval(np.nan, 1.0, 5, 0.95, (0, 1))[1:] == (0, 1)
    assert t_interval(0.9, 0.1, 5, 0.95, (0, 1)).high == 1
