"""Second sets: what corrupts the test inputs, other columns of a file, and ids without them."""

import hashlib

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from sweep_engine.errors import FieldError
from sweep_engine.spec.settings import identity
from sweep_engine.spec.tasks import Boolean, Digits, FileTask, Planar, TaskSpec
from sweep_engine.tasks import load_task
from tests.statistics import assert_mean_within, assert_probability


def digits(tmp_path, ood, seed=0):
    return load_task(Digits(train=1000, ood=ood), seed, tmp_path)


def test_noise_has_its_standard_deviation(tmp_path):
    task = digits(tmp_path, {"kind": "noise", "std": 0.5})
    offset = (task.ood.x - task.test.x).ravel()
    assert_mean_within(offset, 0.0)
    assert_mean_within(offset**2, 0.25)
    assert np.array_equal(task.ood.y, task.test.y)


def test_a_mask_sets_a_share_to_0(tmp_path):
    task = digits(tmp_path, {"kind": "mask", "share": 0.3})
    was = task.test.x != 0
    lost = was & (task.ood.x == 0)
    assert_probability(lost.sum(), was.sum(), 0.3)
    assert np.array_equal(task.ood.x[~lost], task.test.x[~lost])
    assert len({row.tobytes() for row in lost}) > 1


def test_a_shuffle_is_one_for_all(tmp_path):
    task = digits(tmp_path, {"kind": "shuffle"})
    before, after = task.test.x, task.ood.x
    assert not np.array_equal(before, after)
    columns = sorted(column.tobytes() for column in before.T)
    assert sorted(column.tobytes() for column in after.T) == columns
    assert np.array_equal(task.ood.y, task.test.y)
    other = digits(tmp_path, {"kind": "shuffle"}, seed=1)
    assert not np.array_equal(after.mean(axis=0), other.ood.x.mean(axis=0))


def test_wrong_labels_of_the_training_set_are_not_those_of_the_second(tmp_path):
    spec = Boolean(bits=5, train=8, poison={"examples": 9}, ood={"kind": "noise", "std": 0.1})
    task = load_task(spec, 0, tmp_path)
    assert np.array_equal(task.ood.y, task.test.y)


def file_task(tmp_path, y2, **fields):
    path = tmp_path / "data.npz"
    x = np.arange(24.0).reshape(12, 2)
    np.savez(path, x=x, y=np.arange(12) % 2 * 5 + 2, x2=x[: len(y2)] + 100, y2=np.array(y2))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    ood = {"kind": "columns", "x": "x2", "y": "y2"} | fields
    spec = FileTask(
        path="data.npz", sha256=digest, train=8, loss="logistic", labels=(7, 2), ood=ood
    )
    return load_task(spec, 0, tmp_path)


def test_other_columns_have_the_labels_of_the_task(tmp_path):
    task = file_task(tmp_path, [2, 7, 7])
    assert task.ood.y.tolist() == [1, 0, 0]
    assert task.ood.x[:, 0].tolist() == [100, 102, 104]


@pytest.mark.parametrize(
    ("y2", "fields", "field", "message"),
    [
        ([2, 3], {}, ("ood",), "the label 3 is none of the task's"),
        ([2, 7], {"x": "x3"}, ("ood", "x"), "x3"),
    ],
)
def test_columns_that_do_not_fit(tmp_path, y2, fields, field, message):
    with pytest.raises(FieldError, match=message) as caught:
        file_task(tmp_path, y2, **fields)
    assert caught.value.field == field


def test_what_has_no_test_set_or_no_file(tmp_path):
    points = Planar(points=((0, 1), (1, 0)), labels=(0, 1), ood={"kind": "shuffle"})
    with pytest.raises(FieldError, match="no test set to corrupt"):
        load_task(points, 0, tmp_path)
    with pytest.raises(ValidationError, match="this task has none"):
        Digits(ood={"kind": "columns", "x": "x", "y": "y"})


def test_where_it_is_left_out_nothing_of_it_is_written():
    """The spec's id is a hash of what is written, a setting's of its identity."""
    for spec in (Digits(), FileTask(path="a.npz", train=2)):
        assert "ood" not in TypeAdapter(TaskSpec).dump_python(spec)
        assert "ood" not in identity(spec)
    named = Digits(ood={"kind": "shuffle"})
    assert identity(named) == identity(Digits()) | {"ood": {"kind": "shuffle"}}
