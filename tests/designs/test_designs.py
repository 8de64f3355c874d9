"""Designs against exhaustive search and their own definitions."""

import itertools

import numpy as np
import pytest

from sweep_engine.designs import d_optimal, fraction, model_matrix, structure, terms_of

LEAST = {
    (3, 3): 4,
    (5, 5): 16,
    (6, 4): 16,
    (7, 3): 8,
    (7, 4): 16,
    (7, 5): 64,
    (8, 4): 16,
    (9, 3): 16,
}
"""Rows of the smallest regular fractions: Box, Hunter & Hunter (2005), table 6.22."""


def named(table):
    return dict(zip("abcdefghijkl", table.T, strict=False))


def shortest_word(table):
    signs = 1 - 2 * table
    return min(
        (
            size
            for size in range(1, table.shape[1] + 1)
            for word in itertools.combinations(range(table.shape[1]), size)
            if abs(signs[:, word].prod(axis=1).sum()) == len(table)
        ),
        default=table.shape[1] + 1,
    )


@pytest.mark.parametrize(("asked", "rows"), LEAST.items())
def test_a_fraction_has_its_resolution_and_the_fewest_rows(asked, rows):
    table = fraction(*asked, np.random.default_rng(1))
    assert table.shape == (rows, asked[0])
    assert len(np.unique(table, axis=0)) == rows
    assert shortest_word(table) >= asked[1]


def test_a_fraction_of_too_low_a_resolution_is_caught():
    assert shortest_word(fraction(7, 4, np.random.default_rng(0))) < 5


def test_resolutions_alias_what_they_say():
    seen = {}
    for resolution in (3, 4, 5):
        table = fraction(5, resolution, np.random.default_rng(2))
        found = structure(named(table), dict.fromkeys("abcde", 2))
        seen[resolution] = {(len(each.one), len(each.other)) for each in found.aliases}
        assert all(each.is_full for each in found.aliases)
    assert seen == {3: {(1, 2), (2, 2)}, 4: {(2, 2)}, 5: set()}


def test_words_are_the_defining_relation():
    table = np.array(list(itertools.product([0, 1], repeat=3)))
    table = np.column_stack([table, table[:, 0] ^ table[:, 1] ^ 1])
    found = structure(named(table), dict.fromkeys("abcd", 2))
    assert found.words == (("a", "b", "d"),)
    assert found.with_effect(("a",)) == (("b", "d"),)
    assert found.rank == 1 + 4 + 6 - 3


def test_a_full_design_mixes_nothing_up():
    table = np.array(list(itertools.product(range(3), range(2), range(2))))
    found = structure(named(table), {"a": 3, "b": 2, "c": 2})
    assert not found.aliases
    assert not found.words
    assert found.rank == found.num_effects == 1 + 2 + 1 + 1 + 2 + 2 + 1


def determinant(table, sizes, order=1):
    matrix = model_matrix(
        named(table), dict(zip("abc", sizes, strict=True)), terms_of("abc", order)
    )
    return np.linalg.det(matrix.T @ matrix)


def test_a_d_optimal_design_is_the_best_of_all():
    sizes, num_rows = (2, 2, 3), 6
    every = np.array(list(itertools.product(*map(range, sizes))))
    best = max(
        determinant(every[list(rows)], sizes)
        for rows in itertools.combinations(range(len(every)), num_rows)
    )
    table = d_optimal(sizes, num_rows, 1, np.random.default_rng(0))
    assert determinant(table, sizes) == pytest.approx(best)
    drawn = every[np.random.default_rng(0).choice(len(every), num_rows, replace=False)]
    assert determinant(drawn, sizes) < 0.99 * best  # rows drawn at random are not


@pytest.mark.parametrize(
    ("rows", "order", "says"),
    [(4, 1, "cannot tell 5 effects"), (13, 1, "fewer than 13 rows"), (8, 2, "10 or more")],
)
def test_what_cannot_be_designed_is_refused(rows, order, says):
    with pytest.raises(ValueError, match=says):
        d_optimal((2, 2, 3), rows, order, np.random.default_rng(0))


def test_correlated_effects_are_named():
    table = d_optimal((2, 2, 3), 7, 1, np.random.default_rng(0))
    found = structure(named(table), {"a": 2, "b": 2, "c": 3})
    assert found.rank == 7 < found.num_effects
    assert any(not each.is_full for each in found.aliases)
    assert all(0.7 <= each.correlation <= 1 + 1e-9 for each in found.aliases)
