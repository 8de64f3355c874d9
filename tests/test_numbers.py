"""Numbers that are read together have equally many decimals, and are told apart."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep_engine.numbers import format_beside, format_ends, format_range


def decimals(text):
    return len(text.partition("e")[0].partition(".")[2])


@pytest.mark.parametrize(
    ("ends", "texts"),
    [
        ([(0.32101, 0.29, 0.35), (0.348217, 0.3479, 0.3485)], ["0.321", "0.348"]),
        ([(60.1, 50.0, 70.0), (70.02, 69.9, 70.1)], ["60", "70"]),
        ([(-28.2, -35.0, -21.0), (-21.04, -21.1, -21.0)], ["−28", "−21"]),
        ([(19.93, 12.0, 25.0), (20.31, 20.30, 20.32)], ["19.9", "20.3"]),
        ([(-0.009, -0.05, 0.03), (0.000448, 0.0004, 0.0005)], ["−0.0090", "0.0004"]),
        ([(0.5, 0.4, 0.6), (0.5, 0.49, 0.51)], ["0.50", "0.50"]),
        ([(0.0, -0.1, 0.1), (0.2, 0.1, 0.3)], ["0.00", "0.20"]),
        ([(1.5, -math.inf, math.inf), (12.25, -math.inf, math.inf)], ["1.5", "12.2"]),
        ([(1e-9, -0.5, 0.5), (1.25, 0.5, 2.0)], ["1.00e−9", "1.2"]),
    ],
)
def test_ends_of_a_range(ends, texts):
    assert format_range(ends) == texts


def test_numbers_beside_one_another_do_not_vanish():
    assert format_beside([0.0004, 0.128], -0.14, -0.11) == ["0.0004", "0.1280"]
    assert format_beside([4.054e10, 4.11], 5e9, 8.8e11) == ["4e10", "4.11"], "not 0e10"
    assert format_range([(4e10, 1e10, 5e10), (-3.0, -4.0, -2.0)]) == ["4.0e10", "−3.00"]


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.321, 0.34821), "0.3210 to 0.3482"),
        ((-1.5, 10.25), "−1.5 to 10.2"),
        ((-math.inf, math.inf), "−∞ to ∞"),
        ((0.25, math.inf), "0.2500 to ∞"),
        ((math.nan, math.nan), "not available"),
        ((7.0, 7.0), "7.000 to 7.000"),
    ],
)
def test_ends_of_an_interval(ends, text):
    assert format_ends(*ends) == text


numbers = st.floats(-1e6, 1e6).filter(lambda number: not number or abs(number) > 1)


@given(st.lists(st.tuples(numbers, st.floats(1e-3, 1e3)), min_size=2, max_size=2))
def test_both_ends_have_equally_many_decimals(drawn):
    texts = format_range([(value, value - width, value + width) for value, width in drawn])
    assert decimals(texts[0]) == decimals(texts[1])
