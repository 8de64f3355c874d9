"""Hold cells of equal counts, split together, to a coin for every draw."""

from collections import Counter

import numpy as np
import pytest

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import MIN_CELL_COUNT, plug_in
from sweep_engine.densities.cells.splitting import (
    FEW_DRAWS,
    MANY_CELLS,
    OneSide,
    folds,
    gather,
    gather_many,
    halve,
    same_source_null_of_counts,
)
from sweep_engine.densities.functions.function_space import FunctionSpace, UnseenMasses
from sweep_engine.densities.functions.plug_in import plug_ins
from sweep_engine.densities.functions.split_half import (
    frequent_functions,
    function_log_ratio,
    split_half,
)
from sweep_engine.densities.functions.unseen_mass import mass_unseen_by_reference
from tests.densities.laws import draw, zipf
from tests.statistics import (
    NUM_STDERRS,
    assert_catches,
    assert_mean_within,
    assert_probability,
)

RARE = CellCounts(np.array([1, 1, 2, 0, 0]), np.array([0, 0, 1, 3, 3]))


def each_cell(counts):
    """List both sides' draws of every cell, one cell a row, in no order."""
    both = np.stack([counts.source, counts.reference], axis=1)
    return np.repeat(both, np.broadcast_to(counts.cells, len(both)), axis=0)


def as_multiset(*parts):
    """Count the cells that have the same counts in all parts."""
    return Counter(map(tuple, np.hstack([each_cell(part) for part in parts]).tolist()))


def coin_for_every_draw(counts, rng):
    """Halve as the plain twin of `halve`: one draw after the other."""
    halves = np.zeros((2, 2, len(counts.source)), int)
    for side, draws in enumerate((counts.source, counts.reference)):
        for cell in np.repeat(np.arange(len(draws)), draws):
            halves[rng.integers(2), side, cell] += 1
    return CellCounts(*halves[0]), CellCounts(*halves[1])


def test_gathering_keeps_every_cell_and_what_does_not_hang_on_its_place():
    counts = draw(np.random.default_rng(0), zipf(3000), zipf(3000), 4000, 3000)
    seen = counts.select(counts.source + counts.reference > 0)
    few = gather(seen)
    assert len(few.source) < len(seen.source) / 8
    assert as_multiset(few) == as_multiset(seen)
    assert few.n_eff == seen.n_eff
    assert plug_in(few) == pytest.approx(plug_in(seen), rel=1e-12)
    assert UnseenMasses(few).at(0.95) == UnseenMasses(seen).at(0.95)
    assert mass_unseen_by_reference(few) == mass_unseen_by_reference(seen)
    frequent, plain = frequent_functions(few), frequent_functions(seen)
    assert each_cell(few.select(frequent)).tolist() == each_cell(seen.select(plain)).tolist()


def test_no_gathered_cell_is_frequent_however_few_the_draws():
    counts = CellCounts(np.array([FEW_DRAWS - 1, 0]), np.array([0, FEW_DRAWS - 1]))
    assert not frequent_functions(counts).any()
    assert frequent_functions(CellCounts(np.array([FEW_DRAWS // 2]), np.array([10**6]))).all()
    assert FEW_DRAWS == 2 * MIN_CELL_COUNT


def test_few_cells_are_split_one_by_one():
    counts = CellCounts(np.ones(MANY_CELLS - 1, int), np.ones(MANY_CELLS - 1, int))
    assert gather_many(counts) is counts
    more = CellCounts(np.ones(MANY_CELLS, int), np.ones(MANY_CELLS, int))
    assert gather_many(more).cells.tolist() == [MANY_CELLS]


@pytest.mark.parametrize("counts", [RARE, gather(RARE)], ids=["each", "gathered"])
def test_halves_have_the_law_of_a_coin_for_every_draw(counts):
    def tally(split, seed):
        rng = np.random.default_rng(seed)
        return Counter(frozenset(as_multiset(*split(rng)).items()) for _ in range(700))

    def check(found):
        plain = tally(lambda rng: coin_for_every_draw(RARE, rng), 1)
        outcomes = [one for one, times in plain.items() if times + found[one] >= 10]
        table = np.array([[each[one] for one in outcomes] for each in (plain, found)])
        rest = np.array([[each.total()] for each in (plain, found)]) - table.sum(1, keepdims=True)
        table = np.hstack([table, rest + 1])
        stderr = np.sqrt(table.sum(axis=0))  # of a difference of two Poisson numbers
        assert_mean_within(np.diff(table, axis=0), np.zeros(table.shape[1]), stderr)

    check(tally(lambda rng: halve(counts, rng), 2))
    assert_catches(check, lambda: tally(all_alike_go_together, 3))


def all_alike_go_together(rng):
    """Halve wrongly: an entry is split as one cell, and the others follow it."""
    few = gather(RARE)
    halves = halve(CellCounts(few.source, few.reference), rng)
    return [CellCounts(half.source, half.reference, few.cells) for half in halves]


def test_halves_add_up_at_a_thousand_million_draws():
    counts = np.array([10**9, 1, 0, 3 * 10**9])
    halves = OneSide(counts, 1).cut(np.random.default_rng(0))
    assert (halves.source + halves.reference).tolist() == counts.tolist()
    assert_probability(halves.num_source, counts.sum(), 0.5)


def _correlated_halves(rng):
    """Split one sample into halves of equal size: they know of each other."""
    return [(x, 50 - x) for x in rng.hypergeometric(50, 50, 50, 4000)]


def test_halves_of_a_poisson_number_of_draws_are_independent():
    rng = np.random.default_rng(3)
    halves = [OneSide(np.array([n]), 1).cut(rng) for n in rng.poisson(20, 4000)]

    def check(pairs):
        pairs = np.asarray(pairs, float) - np.mean(pairs, axis=0)
        assert_mean_within(pairs[:, 0] * pairs[:, 1], 0.0)

    check([half.n_eff for half in halves])
    assert_catches(check, lambda: _correlated_halves(rng))


@pytest.mark.parametrize("counts", [RARE, gather(RARE)], ids=["each", "gathered"])
def test_folds_hold_every_draw_once_and_their_sizes_are_multinomial(counts):
    rng = np.random.default_rng(4)
    sizes = []
    for _ in range(250):
        parts = [*folds(counts, 3, rng)]
        for part in parts:
            both = sum(each_cell(each) for each in part)  # row by row: of one and the same cell
            assert sorted(both.tolist()) == sorted(each_cell(RARE).tolist())
        sizes.append([fold.num_source for fold, _, _ in parts])
    assert (np.sum(sizes, axis=1) == RARE.num_source).all()
    check_sizes(sizes)
    assert_catches(check_sizes, lambda: rng.binomial(4, 1 / 3, (250, 3)))


def check_sizes(sizes):
    """Expect a third of four draws a fold; one more in one is one less in the others."""
    gaps = np.asarray(sizes, float) - 4 / 3
    pairs = [gaps[:, 0] * gaps[:, 1], gaps[:, 1] * gaps[:, 2], gaps[:, 0] * gaps[:, 2]]
    assert_mean_within(np.stack([*gaps.T, *pairs], axis=1), [0] * 3 + [-4 / 9] * 3)


def looked(counts, seed):
    """Draws of all that is random in function space, with their squares."""
    rng = np.random.default_rng(seed)
    tv, js, _ = same_source_null_of_counts(lambda one: plug_in(one).values(), counts, rng, 1)
    selection, estimation = split_half(counts, rng)
    gap = (estimation.source / estimation.num_source)[-1]
    values = [tv.value, js.value, len(selection.source), gap, function_log_ratio(counts, rng).value]
    return [*values, *np.square(values)]


def test_estimates_of_gathered_cells_have_the_law_of_those_of_each_cell():
    law = zipf(10_000)
    counts = draw(np.random.default_rng(5), law, np.roll(law, 3), 2000, 3000)
    seen = counts.select(counts.source + counts.reference > 0)
    plain = np.array([looked(seen, [6, i]) for i in range(40)])

    def check(gathered):
        assert_mean_within(np.array(gathered) - plain, 0.0)

    check([looked(gather(seen), [7, i]) for i in range(40)])
    rare = seen.source + seen.reference < 2
    pooled = seen.pool(np.where(rare, 0, np.cumsum(~rare)))  # one cell of all that were seen once
    pooled = CellCounts(pooled.source.astype(int), pooled.reference.astype(int))
    assert_catches(check, lambda: [looked(pooled, [8, i]) for i in range(40)])


def test_many_functions_are_gathered_and_one_seed_gives_one_answer():
    law = zipf(10**6)
    counts = draw(np.random.default_rng(9), law, law, 60_000, 60_000)
    seen = counts.select(counts.source + counts.reference > 0)
    assert len(seen.source) > MANY_CELLS
    first, again = (FunctionSpace().look(seen.source, seen.reference, 3).at(0.9) for _ in range(2))
    assert first == again
    plain, noise = plug_ins(seen, 3).at(0.9)[0], NUM_STDERRS * np.sqrt(2 / 60_000) / 2
    assert first[0].value == pytest.approx(plain.value, rel=1e-12)
    assert first[0].null_value == pytest.approx(plain.null_value, abs=2 * noise)
    assert first[0].warnings == plain.warnings
