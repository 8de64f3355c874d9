import math

import numpy as np
import pytest

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import NAMES, plug_in
from sweep_engine.densities.functions.split_half import MAX_FUNCTIONS, frequent_functions
from sweep_engine.densities.functions.unseen_mass import mass_unseen_by_reference
from sweep_engine.errors import InsufficientSamples
from tests.densities.laws import draw, head_reversed, uniform, zipf
from tests.densities.read import (
    compare_functions,
    divergence_lower_bounds,
    divergences,
    kl_common_support,
    split_half_divergences,
)
from tests.statistics import NUM_STDERRS, assert_catches, assert_coverage, assert_mean_within


def test_one_zipf_law_twice_shows_a_large_plug_in_and_claims_nothing():
    """4,096 draws of a Zipf law over 1e6 functions, twice: plug-in TV 0.59, truth 0."""
    rng, law = np.random.default_rng(13), zipf(10**6)
    counts = draw(rng, law, law, 4096, 4096)
    seen = (counts.source > 0) | (counts.reference > 0)
    tv, js, kl = divergences(counts.select(seen), seed=0)
    # The standard deviation of a plug-in TV is at most (1/2) √(1/n + 1/m).
    assert tv.value == pytest.approx(0.59, abs=NUM_STDERRS * math.sqrt(2 / 4096) / 2)
    assert tv.null_low is not None
    assert tv.null_low > tv.value - 0.02
    assert "not above its same-source null" in tv.warnings
    assert (tv.low, js.low, kl.low) == (0.0, 0.0, 0.0)
    assert kl.value == math.inf
    for bound in divergence_lower_bounds(counts.select(seen), seed=0):
        assert bound.low == 0.0
        assert bound.null_value is not None
        assert bound.null_value < 0.03


def _bounds_are_below(p, q, repetitions):
    rng, expected = np.random.default_rng(14), plug_in(CellCounts(p, q))
    for _ in range(repetitions):
        bounds = split_half_divergences(draw(rng, p, q, 2000, 2000), rng)
        yield [bounds[name].low <= expected[name] + 1e-12 for name in NAMES]


@pytest.mark.parametrize("num_reversed", [0, 10, 300])
def test_the_low_end_stays_below_the_truth(num_reversed):
    p = zipf(10_000)
    below = list(_bounds_are_below(p, head_reversed(p, num_reversed), 250))
    for hits in zip(*below, strict=True):  # one list a divergence
        assert_coverage(list(hits), 0.975)


def test_a_plug_in_interval_would_be_caught():
    """What a bootstrap does: take the plug-in for the centre."""
    p, rng = zipf(10_000), np.random.default_rng(15)
    plug_ins = [plug_in(draw(rng, p, p, 2000, 2000))["total_variation"] for _ in range(200)]
    assert_catches(lambda x: assert_coverage(np.array(x) < 0.1, 0.975), lambda: plug_ins)


def test_a_real_difference_is_found():
    p, rng = zipf(10_000), np.random.default_rng(16)
    q = head_reversed(p, 20)
    expected = plug_in(CellCounts(p, q))
    counts = draw(rng, p, q, 20_000, 20_000)
    for bound, name in zip(divergence_lower_bounds(counts, seed=0), NAMES, strict=True):
        assert 0.8 * expected[name] < bound.low <= expected[name]
        assert bound.null_high is not None
        assert bound.low > bound.null_high


def test_the_interval_of_the_divergence_holds_the_truth_between_its_ends():
    p, q, rng = zipf(300), head_reversed(zipf(300), 300), np.random.default_rng(17)
    expected = plug_in(CellCounts(p, q))
    covered: dict[str, list[bool]] = {name: [] for name in NAMES}
    for seed in range(200):
        for estimate in divergences(draw(rng, p, q, 1000, 3000), seed=seed):
            covered[estimate.name].append(estimate.low <= expected[estimate.name] <= estimate.high)
    for hits in covered.values():
        assert_coverage(hits)


def test_a_thousand_million_draws():
    rng, p = np.random.default_rng(18), zipf(10_000)
    q = head_reversed(p, 10)
    expected = plug_in(CellCounts(p, q))["total_variation"]
    counts = draw(rng, p, q, 10**9, 10**9)
    tv, _, _ = divergence_lower_bounds(counts, seed=0)
    assert tv.num_source == 10**9
    assert tv.low == pytest.approx(expected, abs=1e-3)


def test_singular_laws_print_infinity_the_mass_outside_and_the_rest():
    """A fifth of the source is where the reference has no mass at all."""
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.5, 0.5, 0.0])
    rng = np.random.default_rng(19)
    inside = plug_in(CellCounts(p[:2], q[:2]))["kl"]
    covered, outside = [], []
    for seed in range(1000):
        counts = draw(rng, p, q, 1000, 1000)
        common = kl_common_support(counts, seed=seed)
        mass = mass_unseen_by_reference(counts)
        covered.append(common.low <= inside <= common.high)
        outside.append(mass.low <= 0.2 <= mass.high)
    assert_coverage(covered)
    assert_coverage(outside)
    kl = divergences(counts, seed=0)[2]
    assert (kl.value, kl.high) == (math.inf, math.inf)
    assert 0 < kl.low < math.inf
    assert any("infinite as a plug-in" in warning for warning in kl.warnings)


def test_nothing_in_common():
    counts = CellCounts(np.array([500, 0]), np.array([0, 500]))
    common = kl_common_support(counts, seed=0)
    assert math.isnan(common.value)
    assert (common.low, common.high) == (0.0, math.inf)
    tv, js, _ = divergences(counts, seed=0)
    assert tv.value == 1.0
    assert tv.low > 0.97
    assert js.value == pytest.approx(math.log(2))
    assert mass_unseen_by_reference(counts).value == 1.0


def test_mass_unseen_is_unbiased_given_the_reference():
    rng, p = np.random.default_rng(20), zipf(1000)
    reference = rng.multinomial(500, p)
    values = [
        mass_unseen_by_reference(CellCounts(rng.multinomial(500, p), reference)).value
        for _ in range(1000)
    ]
    assert_mean_within(values, p[reference == 0].sum())


def test_everything_at_once_and_again_the_same():
    rng = np.random.default_rng(21)
    counts = draw(rng, zipf(30), uniform(30), 5000, 2000)
    first, again = compare_functions(counts, seed=3), compare_functions(counts, seed=3)
    assert first == again
    names = [estimate.name for estimate in first]
    assert len(set(names)) == len(names) == 11
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in first)


def test_the_order_of_functions_does_not_matter_to_the_plug_in():
    rng = np.random.default_rng(22)
    counts, order = draw(rng, zipf(50), uniform(50), 5000, 1000), rng.permutation(50)
    moved = CellCounts(counts.source[order], counts.reference[order])
    for one, other in zip(divergences(counts, seed=0), divergences(moved, seed=0), strict=True):
        assert one.value == pytest.approx(other.value)


def test_frequent_functions_are_few_and_weigh_both_sources_alike():
    assert frequent_functions(CellCounts(np.full(999, 50), np.full(999, 50))).sum() == MAX_FUNCTIONS
    # 30 of 100 against 30 of 1e6: the small source's favourite counts as much.
    one_sided = CellCounts(np.array([30, 70]), np.array([30, 10**6]))
    assert frequent_functions(one_sided).all()


@pytest.mark.parametrize("estimator", [compare_functions, divergence_lower_bounds])
def test_too_few_draws_says_how_many(estimator):
    with pytest.raises(InsufficientSamples, match="100"):
        estimator(CellCounts(np.array([99]), np.array([1000])), seed=0)
