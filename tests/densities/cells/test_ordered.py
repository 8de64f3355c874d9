"""Hold many draws in one order to those that are sorted again for each part."""

from functools import partial

import numpy as np
import pytest

from sweep_engine.densities.cells.binning import count_cells, equal_mass_cuts
from sweep_engine.densities.cells.lower_bounds import cell_values
from sweep_engine.densities.cells.ordered import BLOCK, Ordered, Side, are_many, coins
from sweep_engine.densities.columns import binned
from sweep_engine.densities.columns.column_ratio import ordered_log_ratio
from sweep_engine.densities.draws import MANY_DRAWS, Draws
from tests.statistics import assert_catches, assert_mean_within, assert_probability

RNG = np.random.default_rng(0)
SMOOTH = RNG.normal(size=3 * BLOCK + 7)
SAMPLES = {
    "smooth": SMOOTH,
    "atoms": np.round(SMOOTH, 1),
    "one value": np.full(2 * BLOCK, 3.0),
    "not finite": np.append(SMOOTH, [np.nan, np.inf, -np.inf, np.nan]),
    "nothing finite": np.full(5, np.nan),
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("num_bins", [2, 7, 32])
def test_cuts_and_counts_are_those_of_each_half_sorted_by_itself(name, num_bins):
    values, rng = (SAMPLES[name], SMOOTH[:BLOCK] + 0.5), np.random.default_rng(1)
    sides = tuple(map(Draws.of, values))
    line = Ordered.of(*map(Side.of, sides))
    coin = coins(len(line.sides), rng)
    parts = line.parts(coin, 2)
    (cuts,) = parts.cuts(np.array([1, 0, 1, 0]) / np.maximum(parts.num_finite, 1), (num_bins,))
    found = parts.counts(cuts)

    halves = [halves_of(line, coin, side) for side in (0, 1)]
    plain = equal_mass_cuts(halves[0][0], halves[1][0], num_bins)
    assert cuts.tolist() == plain.tolist()
    for half in (0, 1):
        counted = count_cells(halves[0][half], halves[1][half], plain)
        assert found[half].tolist() == counted.source.tolist()
        assert found[2 + half].tolist() == counted.reference.tolist()


def halves_of(line, coin, side):
    """Split one side's draws by their coin; what is not finite stands last, as NaN."""
    values = np.append(line.values, np.full(len(line.sides) - len(line.values), np.nan))
    return [Draws.of(values[(line.sides == side) & (coin == half)]) for half in (0, 1)]


def test_an_order_keeps_every_draw_on_its_side():
    one, other = SAMPLES["not finite"], SAMPLES["atoms"]
    line = Ordered.of(Side.of(Draws.of(one)), Side.of(Draws.of(other)))
    finite = line.sides[: len(line.values)]
    for side, values in enumerate((one, other)):
        assert line.values[finite == side].tolist() == np.sort(values[np.isfinite(values)]).tolist()
        assert np.count_nonzero(line.sides == side) == len(values)


def test_many_independent_draws_of_equal_weight_are_ordered():
    many, few = Draws.of(np.zeros(MANY_DRAWS)), Draws.of(np.zeros(3))
    assert are_many(many, few)
    assert not are_many(few, few)
    weights = np.where(np.arange(MANY_DRAWS) == 0, -1.0, 0.0)
    assert not are_many(Draws.of(many.values, weights), few)
    assert not are_many(Draws.of(many.values, None, np.arange(MANY_DRAWS) % 9), few)
    assert not are_many(many, Draws.of(np.empty(0)))


def test_coins_are_fair_and_of_their_own():
    thrown = coins(10**5 + 3, np.random.default_rng(2))
    assert len(thrown) == 10**5 + 3
    assert set(np.unique(thrown)) == {0, 1}
    assert_probability(thrown.sum(), len(thrown), 0.5)
    assert_probability((thrown[1:] & thrown[:-1])[::2].sum(), (len(thrown) - 1) // 2, 0.25)


def looked(look, seed):
    """List all that is random in the bounds on bins, with the squares."""
    rng = np.random.default_rng([3, 0])
    sides = [Draws.of(np.round(rng.normal(mean, 1, 400), 2)) for mean in (0.1, 0.0)]
    halves, log_ratio, nulls = look(*sides, seed, 12)
    values = [*cell_values(*halves, log_ratio), *(null.value for null in nulls)]
    values += [null.high for null in nulls]
    return [*values, *np.square(values)]


def test_bounds_of_an_order_have_the_law_of_the_plain_ones(monkeypatch):
    null = partial(binned.same_source_null, num_splits=1)
    monkeypatch.setattr(binned, "same_source_null", null)
    plain = np.array([looked(binned._plain, 1000 + i) for i in range(30)])

    def check(ordered):
        assert_mean_within(np.array(ordered) - plain, 0.0)

    check([looked(binned._ordered, i) for i in range(30)])

    def chosen_and_measured_on_the_same(source, reference, seed, num_bins):
        halves, *others = binned._ordered(source, reference, seed, num_bins)
        return (halves[1], halves[1]), *others

    assert_catches(check, lambda: [looked(chosen_and_measured_on_the_same, i) for i in range(30)])


def test_the_log_ratio_counts_every_draw_once():
    line = Ordered.of(Side.of(Draws.of(SAMPLES["not finite"])), Side.of(Draws.of(SMOOTH)))
    ratio = ordered_log_ratio(line, np.random.default_rng(4))
    assert ratio.counts.n_eff == (len(SAMPLES["not finite"]), len(SMOOTH))
    assert abs(ratio.value) < 0.01
