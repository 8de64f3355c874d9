"""Poison: wrong labels are added to the training set, and nothing else changes."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from sweep_engine.spec.tasks import TaskSpec
from sweep_engine.tasks import load_task

BOOLEAN = {"kind": "boolean", "bits": 5, "target": "x1 ^ x2", "train": 8}
DIGITS = {"kind": "digits", "classes": [1, 4, 7], "train": 60}
PLANAR = {"kind": "planar", "set": "kink", "examples": 20, "test_examples": 40}


def load(spec, seed=3):
    return load_task(TypeAdapter(TaskSpec).validate_python(spec), seed, Path())


def poisoned(spec, examples, seed=3):
    return load(spec | {"poison": {"examples": examples}}, seed)


@pytest.mark.parametrize("spec", [BOOLEAN, DIGITS, PLANAR], ids=["boolean", "digits", "planar"])
def test_wrong_labels_are_added_to_the_training_set(spec):
    clean, spoiled = load(spec), poisoned(spec, 20)
    number = len(clean.train)
    np.testing.assert_array_equal(spoiled.train.x[:number], clean.train.x)
    np.testing.assert_array_equal(spoiled.train.y[:number], clean.train.y)
    right = {x.tobytes(): y for x, y in zip(clean.test.x, clean.test.y, strict=True)}
    added = list(zip(spoiled.train.x[number:], spoiled.train.y[number:], strict=True))
    assert len({x.tobytes() for x, _ in added}) == len(added) == 20
    assert all(right[x.tobytes()] != y for x, y in added)
    assert all(0 <= y < clean.loss.num_labels for _, y in added)
    assert spoiled.train.y.dtype == clean.train.y.dtype


@pytest.mark.parametrize("spec", [BOOLEAN, DIGITS], ids=["boolean", "digits"])
def test_test_set_and_functions_stay(spec):
    clean, spoiled = load(spec), poisoned(spec, 15)
    np.testing.assert_array_equal(spoiled.test.x, clean.test.x)
    np.testing.assert_array_equal(spoiled.test.y, clean.test.y)
    np.testing.assert_array_equal(
        spoiled.inputs[spoiled.probe_inputs], clean.inputs[clean.probe_inputs]
    )
    assert spoiled.finite == clean.finite


def test_all_wrong_labels_of_many_classes_are_used():
    clean, spoiled = load(DIGITS), poisoned(DIGITS, 300)
    right = {x.tobytes(): y for x, y in zip(clean.test.x, clean.test.y, strict=True)}
    added = zip(spoiled.train.x[60:], spoiled.train.y[60:], strict=True)
    shifts = [(y - right[x.tobytes()]) % 3 for x, y in added]
    assert 100 < shifts.count(1) < 200
    assert shifts.count(0) == 0


def test_more_poison_extends_less_and_the_seed_decides():
    few, more = poisoned(BOOLEAN, 5), poisoned(BOOLEAN, 9)
    np.testing.assert_array_equal(more.train.x[: len(few.train)], few.train.x)
    np.testing.assert_array_equal(more.train.y[: len(few.train)], few.train.y)
    again, other = poisoned(BOOLEAN, 9), poisoned(BOOLEAN, 9, seed=4)
    np.testing.assert_array_equal(more.train.x, again.train.x)
    assert not np.array_equal(more.train.x, other.train.x)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (BOOLEAN | {"train": 32}, "1 test examples of 0"),
        (PLANAR | {"test_examples": 1, "poison": {"examples": 2}}, "2 test examples of 1"),
    ],
)
def test_too_much_poison(spec, message):
    with pytest.raises(ValueError, match=message):
        load({"poison": {"examples": 1}} | spec)


def test_poison_is_a_part_of_the_task_and_its_absence_is_not():
    adapter = TypeAdapter(TaskSpec)
    assert "poison" not in adapter.validate_python(BOOLEAN).model_dump(exclude_none=True)
    with pytest.raises(ValueError, match="examples"):
        adapter.validate_python(BOOLEAN | {"poison": {"examples": 0}})
