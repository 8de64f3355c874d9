"""The LZ76 word count: two implementations, the definition, and values known by hand."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sweep_engine.kernels.lempel_ziv import complexity, count_words, plain, vectorised

# Length 128: K_LZ by hand, log2(128) = 7 times the mean words of both directions.
KNOWN = {
    "constant": ([0] * 128, 7.0),
    "one, then zeros": ([1] + [0] * 127, 17.5),
    "alternating": ([0, 1] * 64, 21.0),
    "one step": ([0] * 64 + [1] * 64, 21.0),
    "parity of 7 bits": ([i.bit_count() % 2 for i in range(128)], 91.0),
}

# One alphabet and length a matrix, as the vectorised count takes them.
matrices = st.tuples(
    st.integers(1, 6), st.integers(1, 40), st.sampled_from([1, 2, 3, 255])
).flatmap(
    lambda shape: arrays(np.uint8, shape[:2], elements=st.integers(0, shape[2]), fill=st.nothing())
)


def occurs(word: Sequence[int], text: Sequence[int]) -> bool:
    starts = range(len(text) - len(word) + 1)
    return any(text[start : start + len(word)] == word for start in starts)


def parse(symbols: list[int], *, overlap: bool = True, unfinished: bool = True) -> list[list[int]]:
    """The words by their definition; the two options make it wrong."""
    words, start = [], 0
    while start < len(symbols):
        end = start + 1
        while occurs(symbols[start:end], symbols[: end - 1 if overlap else start]):
            end += 1
            if end > len(symbols):
                return words + [symbols[start:]] * unfinished
        words.append(symbols[start:end])
        start = end
    return words


def known_complexity(symbols: list[int], count: Callable[[list[int]], int]) -> float:
    words = 1 if len(set(symbols)) == 1 else (count(symbols) + count(symbols[::-1])) / 2
    return math.log2(len(symbols)) * words


@pytest.mark.parametrize("name", KNOWN)
def test_complexity_of_known_strings(name):
    symbols, expected = KNOWN[name]
    assert complexity(np.array([symbols], np.uint8)) == [expected]


@pytest.mark.parametrize("name", KNOWN)
def test_reference_on_known_strings(name):
    symbols, expected = KNOWN[name]
    assert known_complexity(symbols, plain.count_words) == expected


@pytest.mark.parametrize("mistake", ["overlap", "unfinished"])
def test_the_table_catches_a_wrong_parser(mistake):
    def wrong_count(symbols):
        return len(parse(symbols, **{mistake: False}))

    wrong = [name for name, (x, k) in KNOWN.items() if known_complexity(x, wrong_count) != k]
    assert len(wrong) >= 3


def test_the_words_of_lempel_and_zivs_own_example():
    text = "0001101001000101"
    words = ["".join(map(str, word)) for word in parse([int(symbol) for symbol in text])]
    assert words == ["0", "001", "10", "100", "1000", "101"]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60))
@settings(deadline=None)
def test_reference_counts_the_words_of_the_definition(symbols):
    assert plain.count_words(symbols) == len(parse(symbols))


@given(matrices)
@settings(deadline=None)
def test_vectorised_equals_reference(strings):
    expected = [plain.count_words(row) for row in strings.tolist()]
    assert count_words(strings).tolist() == expected


# 256 symbols are the most whose matches fit in uint8; a constant string has the longest.
@pytest.mark.parametrize("length", [1, 2, 127, 128, 255, 256, 257, 1000])
@pytest.mark.parametrize("num_symbols", [1, 2, 3, 256])
def test_vectorised_equals_reference_at_length(length, num_symbols):
    rng = np.random.default_rng([length, num_symbols])
    strings = rng.integers(num_symbols, size=(3, length), dtype=np.uint8)
    strings[0] = strings[0, 0]
    expected = [plain.count_words(row) for row in strings.tolist()]
    assert count_words(strings).tolist() == expected


def test_chunks_do_not_show(monkeypatch):
    strings = np.random.default_rng(0).integers(2, size=(150, 20), dtype=np.uint8)
    whole = count_words(strings)
    monkeypatch.setattr(vectorised, "_CHUNK_SYMBOLS", 1)  # 64 strings a chunk
    np.testing.assert_array_equal(count_words(strings), whole)


@given(matrices)
@settings(deadline=None)
def test_complexity_is_the_same_backwards(strings):
    np.testing.assert_array_equal(complexity(strings), complexity(strings[:, ::-1]))


@given(matrices)
@settings(deadline=None)
def test_complexity_does_not_depend_on_the_names_of_the_symbols(strings):
    np.testing.assert_array_equal(complexity(strings), complexity(255 - strings))


def test_no_strings_give_no_counts():
    assert count_words(np.zeros((0, 7), np.uint8)).shape == (0,)


@pytest.mark.parametrize(
    "strings",
    [
        np.zeros(7, np.uint8),
        np.zeros((2, 7, 1), np.uint8),
        np.zeros((2, 0), np.uint8),
        np.zeros((1, 65536), np.uint8),
        np.zeros((2, 7), np.int64),
    ],
    ids=["one axis", "three axes", "empty", "too long", "not uint8"],
)
@pytest.mark.parametrize("function", [count_words, complexity])
def test_refuses_what_is_not_a_matrix_of_symbols(function, strings):
    with pytest.raises(ValueError, match="expected"):
        function(strings)


def test_reference_refuses_an_empty_string():
    with pytest.raises(ValueError, match="empty"):
        plain.count_words([])
