"""Which classes a data file has, and what its labels become."""

import numpy as np
import pytest

from sweep_engine.errors import SpecError
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep, dump_sweep, settings, spec_id
from sweep_engine.spec.tasks import FileTask
from sweep_engine.tasks import LOGISTIC, SQUARED, load_task

X = np.random.default_rng(0).normal(size=(12, 3))
TWO = np.arange(12) % 2
THREE = np.arange(12) % 3


def sweep(folder, y, **fields):
    np.savez(folder / "data.npz", x=X, y=y)
    task = {"kind": "file", "path": "data.npz", "train": 8, **fields}
    made = Sweep.model_validate(
        {
            "name": "labels",
            "task": task,
            "model": {"kind": "linear"},
            "sources": {"init": {"kind": "prior", "draws": 8}},
        }
    )
    made._folder = folder
    return plan(made).sweep


def load(folder, y, **fields):
    made = sweep(folder, y, **fields)
    return load_task(made.task, 0, folder)


def labels_of(task):
    """What every example is called in the file, in the order of its inputs."""
    named = np.arange(task.loss.num_labels) if task.labels is None else np.array(task.labels)
    y = np.concatenate([task.train.y, task.test.y])
    place = [np.flatnonzero(np.all(np.float32(X) == x, axis=1))[0] for x in task.inputs]
    return named[y][np.argsort(place)]


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (TWO, (0, 1)),
        (TWO + 1, (1, 2)),
        (2 * TWO - 1, (-1, 1)),
        (5 + 200 * TWO, (5, 205)),
        (TWO.astype(bool), (0, 1)),
        (TWO.astype(np.float32), (0, 1)),
        (10 * TWO - 3.0, (-3, 7)),
    ],
    ids=["0 1", "1 2", "-1 1", "5 205", "bool", "float", "-3 7"],
)
def test_any_two_labels_are_two_classes(tmp_path, y, labels):
    task = load(tmp_path, y)
    assert task.loss is LOGISTIC
    assert task.labels == labels
    assert np.array_equal(labels_of(task), y)


def test_two_labels_of_the_logistic_loss_are_mapped_too(tmp_path):
    assert load(tmp_path, TWO, loss="logistic").labels == (0, 1)
    task = load(tmp_path, TWO + 1, loss="logistic")
    assert task.labels == (1, 2)
    assert np.array_equal(labels_of(task), TWO + 1)


@pytest.mark.parametrize("scale", [-1, 2, 100])
def test_other_labels_are_classes_that_examples_have(tmp_path, scale):
    task = load(tmp_path, scale * THREE + 7)
    assert task.loss.num_outputs() == 3
    assert task.labels == tuple(sorted({7, scale + 7, 2 * scale + 7}))
    assert np.array_equal(labels_of(task), scale * THREE + 7)


def test_usual_labels_change_no_id(tmp_path):
    """Of what was right before there was `labels`, nothing more stands in `sweep.json`."""
    for y, loss in ((THREE, "cross_entropy"), (TWO, "logistic"), (TWO + 0.5, "squared")):
        made = sweep(tmp_path, y, loss=loss)
        assert "labels" not in dump_sweep(made)["task"]
        assert made.task.labels is None
    phantom = sweep(tmp_path, TWO)
    assert dump_sweep(phantom)["task"]["labels"] == [0, 1]
    before = phantom.model_copy(update={"task": phantom.task.model_copy(update={"labels": None})})
    assert spec_id(before) != spec_id(phantom)
    assert settings(before)[0].id != settings(phantom)[0].id


def test_a_sweep_of_phantom_classes_is_not_gone_on_with(tmp_path):
    made = sweep(tmp_path, TWO)
    before = made.task.model_copy(update={"labels": None})
    with pytest.raises(ValueError, match="left out, but 'y' has 0, 1: list these"):
        load_task(before, 0, tmp_path)


def test_labels_may_be_listed_in_any_order(tmp_path):
    task = load(tmp_path, THREE, labels=[2, 0, 1])
    assert task.labels == (2, 0, 1)
    assert np.array_equal(labels_of(task), THREE)
    with pytest.raises(SpecError, match=r"^task\.labels: 0, 1, but 'y' has 0, 1, 2"):
        load(tmp_path, THREE, labels=[0, 1])
    with pytest.raises(SpecError, match=r"^task\.labels: 0, 1, 2, 3, but"):
        load(tmp_path, THREE, labels=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="different integers"):
        FileTask(path="data.npz", train=8, labels=(1, 1))


def test_values_stay_values(tmp_path):
    task = load(tmp_path, 5 + 200 * TWO, loss="squared")
    assert task.loss is SQUARED
    assert task.labels is None
    assert set(task.train.y) == {5.0, 205.0}


def test_a_swept_loss_needs_no_other_labels(tmp_path):
    made = sweep(tmp_path, TWO)
    assert load_task(made.task.model_copy(update={"loss": "squared"}), 0, tmp_path).labels is None
    swept = made.task.model_copy(update={"loss": "logistic"})
    assert load_task(swept, 0, tmp_path).labels == (0, 1)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (TWO + 0.5, r"labels must be integers, got 0\.5"),
        (
            TWO.astype(np.uint64) + np.uint64(2**63),
            r"integers of at most 2\^53, got 9223372036854775",
        ),
        (TWO * 1e300, r"integers of at most 2\^53, got 1e\+300"),
    ],
)
def test_what_is_no_label(tmp_path, y, message):
    with pytest.raises(SpecError, match=rf"^task\.y: 'y': .*{message}"):
        load(tmp_path, y)


def test_one_class_is_no_task(tmp_path):
    with pytest.raises(SpecError, match=r"^task\.y: 'y': one class only: every example has label"):
        load(tmp_path, TWO * 0 + 3)
    with pytest.raises(SpecError, match=r"^task\.y: 'y': 3 labels .* at most 2"):
        load(tmp_path, THREE, loss="logistic")
