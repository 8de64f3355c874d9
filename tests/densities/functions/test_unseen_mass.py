import numpy as np
import pytest

from sweep_engine.densities.functions.unseen_mass import unseen_mass
from sweep_engine.errors import InsufficientSamples
from tests.densities.laws import uniform, zipf
from tests.statistics import assert_catches, assert_coverage, assert_mean_within

CASES = {
    "most functions unseen": (zipf(100_000), 4096),
    "heavy head": (zipf(10_000, 1.5), 2000),
    "uniform, a third unseen": (uniform(1000), 1000),
    "everything seen": (zipf(20), 1000),
}


def _repeat(name, repetitions):
    law, num_draws = CASES[name]
    cumulative, rng = np.cumsum(law), np.random.default_rng(8)
    for _ in range(repetitions):
        drawn = np.searchsorted(cumulative, rng.random(num_draws) * cumulative[-1])
        counts = np.bincount(drawn, minlength=len(law))
        yield unseen_mass(counts), law[counts == 0].sum(), counts


@pytest.mark.parametrize("name", CASES)
def test_coverage(name):
    assert_coverage([e.low <= mass + 1e-12 <= e.high for e, mass, _ in _repeat(name, 1000)])


def test_bias_is_at_most_one_draws_worth_and_forgetting_the_unseen_is_caught():
    """E[f1/n - mass] is the mean mass of functions seen once, over n: at most 1/n."""
    outcomes = list(_repeat("uniform, a third unseen", 2000))

    def check(estimates):
        gaps = np.array(estimates) - [mass for _, mass, _ in outcomes]
        once = [(counts == 1).sum() / 1000 for _, _, counts in outcomes]
        assert_mean_within(gaps - np.array(once) / 1000, 0.0)

    check([estimate.value for estimate, _, _ in outcomes])
    assert_catches(check, lambda: [(counts == 2).sum() / 1000 for _, _, counts in outcomes])


def test_no_function_seen_once_still_leaves_room():
    estimate = unseen_mass(np.array([500, 500]))
    assert estimate.value == 0.0
    assert estimate.high == pytest.approx(-np.log(0.025) / 1000, rel=1e-9)


def test_no_draw():
    with pytest.raises(InsufficientSamples):
        unseen_mass(np.array([0]))
