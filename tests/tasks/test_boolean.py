"""Boolean tasks: the order of inputs, truth tables, and text that is not a target."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep_engine.spec.tasks import Boolean
from sweep_engine.tasks import load_task
from sweep_engine.tasks.boolean import all_inputs, train_inputs, truth_table


def load(tmp_path, seed=0, **fields):
    return load_task(Boolean(**fields), seed, tmp_path)


def by_hand(function, bits):
    """The truth table of a Python function of 0/1 values, most significant bit first."""
    return [int(function(*x)) for x in itertools.product((0, 1), repeat=bits)]


# --- inputs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 3, 7])
def test_input_i_is_the_binary_expansion_of_i(bits):
    rows = ["".join(map(str, row)) for row in all_inputs(bits)]
    assert rows == [format(i, f"0{bits}b") for i in range(2**bits)]


def test_the_reference_inputs_are_all_inputs_in_order(tmp_path):
    task = load(tmp_path, bits=4, train=5)
    assert np.array_equal(task.inputs[task.probe_inputs], all_inputs(4))
    assert task.finite
    targets = np.concatenate([task.train.y, task.test.y])[task.probe_inputs]
    assert np.array_equal(targets, truth_table("x1", 4))


def test_train_and_test_share_the_inputs_out(tmp_path):
    task = load(tmp_path, bits=5, train=12)
    assert (len(task.train), len(task.test)) == (12, 20)
    assert len(np.unique(task.inputs, axis=0)) == 32
    assert load(tmp_path, bits=3, train=8).test is None


def test_plus_minus_inputs(tmp_path):
    plain = load(tmp_path, bits=3, train=4)
    signs = load(tmp_path, bits=3, train=4, inputs="plus_minus")
    assert np.array_equal(signs.inputs, 2 * plain.inputs - 1)
    assert np.array_equal(signs.train.y, plain.train.y)


def test_the_training_inputs_do_not_depend_on_the_target():
    chosen = [train_inputs(Boolean(target=t, train=16), 5) for t in ("x1", "parity", "random(3)")]
    assert all(np.array_equal(c, chosen[0]) for c in chosen)
    assert sorted(set(chosen[0])) == list(chosen[0])
    assert len(chosen[0]) == 16
    assert not np.array_equal(train_inputs(Boolean(train=16), 6), chosen[0])


def test_more_training_inputs_keep_the_earlier_ones():
    few, many = (set(train_inputs(Boolean(train=n), 0).tolist()) for n in (16, 40))
    assert few < many


def test_training_inputs_may_be_listed(tmp_path):
    task = load(tmp_path, bits=3, train=(6, 1))
    assert task.train.x.tolist() == [[0, 0, 1], [1, 1, 0]]
    assert task.train.y.tolist() == [0, 1]


# --- targets ----------------------------------------------------------------------------------


def test_named_targets():
    assert truth_table("parity", 3).tolist() == [0, 1, 1, 0, 1, 0, 0, 1]
    assert truth_table("majority", 3).tolist() == [0, 0, 0, 1, 0, 1, 1, 1]
    assert truth_table("majority", 2).tolist() == [0, 0, 0, 1]
    assert truth_table("x1", 2).tolist() == [0, 0, 1, 1]
    assert truth_table("x2", 2).tolist() == [0, 1, 0, 1]


def test_random_targets():
    first = truth_table("random(1)", 10)
    assert np.array_equal(first, truth_table("random(1)", 10))
    assert 400 < first.sum() < 624  # 512 +- 7 standard deviations
    assert 400 < np.sum(first != truth_table("random(2)", 10)) < 624


@given(st.integers(0, 2**16 - 1))
@settings(deadline=None, max_examples=30)
def test_a_truth_table_is_its_own_target(number):
    text = format(number, "016b")
    assert "".join(map(str, truth_table(text, 4))) == text


EXPRESSIONS = {
    "x1 | (x2 & x3)": lambda a, b, c: a or (b and c),
    "x1 ∨ (x2 ∧ ¬x3)": lambda a, b, c: a or (b and not c),
    "x1 ⊕ x2 ⊕ x3": lambda a, b, c: (a + b + c) % 2,
    "~x1 & !x2": lambda a, b, c: not a and not b,
    "not x1 or x2 and x3": lambda a, b, c: (not a) or (b and c),
    "x1 ^ x2 | x3": lambda a, b, c: (a != b) or c,
    "x1 & x2 | x3": lambda a, b, c: (a and b) or c,
    "~(x1 & 1) | 0": lambda a, b, c: not a,
    "0": lambda a, b, c: 0,
    "1": lambda a, b, c: 1,
    "  x3 ": lambda a, b, c: c,
    "((((x2))))": lambda a, b, c: b,
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions(text):
    assert truth_table(text, 3).tolist() == by_hand(EXPRESSIONS[text], 3)


trees = st.recursive(
    st.sampled_from(["x1", "x2", "x3", "x4", "0", "1"]),
    lambda part: st.one_of(
        st.tuples(part, st.sampled_from("&|^"), part).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        part.map(lambda p: f"~{p}"),
    ),
    max_leaves=8,
)


@given(trees)
@settings(deadline=None, max_examples=60)
def test_expressions_agree_with_python(text):
    code = compile(text, "expression", "eval")
    values = [dict(zip(["x1", "x2", "x3", "x4"], x, strict=True)) for x in all_inputs(4).tolist()]
    assert truth_table(text, 4).tolist() == [eval(code, {}, v) & 1 for v in values]


def test_bit_16_can_be_named():
    table = truth_table("x16", 16)
    assert table.tolist() == [0, 1] * 2**15


# --- text that is no target ---------------------------------------------------------------------

HOSTILE = [
    "__import__('os')",
    "__import__('os').system('touch executed')",
    "open('executed', 'w')",
    "x1.__class__",
    "x1.__class__.__mro__[1].__subclasses__()",
    "x99",
    "x8",
    "x0",
    "x01",
    "X1",
    "y",
    "",
    " ",
    "x1 +",
    "x1 + x2",
    "x1 == x2",
    "x1 != x2",
    "x1 if x2 else x3",
    "[x1 for x1 in (1,)]",
    "(x1 := x2)",
    "lambda: x1",
    "f'{x1}'",
    "x1; x2",
    "x1\nx2",
    "x1\0",
    "\ud800",
    "0101",
    "0" * 127,
    "2",
    "-1",
    "9" * 5000,
    "random(x1)",
    "random()",
    "random(-1)",
    "random(1" + "0" * 30 + ")",
    "9**9**9**9",
    "'a' * 10**12",
]


@pytest.mark.parametrize("text", HOSTILE, ids=[f"{i}" for i in range(len(HOSTILE))])
def test_hostile_text_is_refused_and_never_executed(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"no target|has 128 characters"):
        truth_table(text, 7)
    assert time.monotonic() - began < 1
    assert list(tmp_path.iterdir()) == []


DEEP = {
    "parentheses": lambda n: "(" * n + "x1" + ")" * n,
    "negations": lambda n: "~" * n + "x1",
    "nots": lambda n: "not " * n + "x1",
    "a chain": lambda n: "x1&" * n + "x1",
    "another operator": lambda n: "x1+" * n + "x1",
}


def refusal(text, bits):
    """Why a text is no target; None if it is one. Anything but a ValueError is an error."""
    try:
        table = truth_table(text, bits)
    except ValueError as error:
        return str(error)
    assert table.shape == (2**bits,)
    return None


@pytest.mark.parametrize("count", [100, 500, 960, 1500, 2500, 6000, 100_000, 340_000])
@pytest.mark.parametrize("make", DEEP.values(), ids=DEEP.keys())
def test_long_and_deep_expressions_are_evaluated_or_refused_quickly(make, count):
    began = time.monotonic()
    message = refusal(make(count), 7)
    assert message is None or "is no target" in message
    assert message is None or len(message) < 400
    assert time.monotonic() - began < 3


@given(st.text(max_size=30))
@settings(deadline=None, max_examples=200)
def test_any_text_is_a_target_or_a_value_error(text):
    message = refusal(text, 3)
    assert message is None or "no target" in message or "characters" in message
