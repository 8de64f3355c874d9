"""Modular arithmetic, teachers and the named sets of the plane, against what defines them."""

import numpy as np
import pytest
from pydantic import ValidationError

from sweep_engine.spec.tasks import Modular, Planar, Teacher
from sweep_engine.tasks import load_task

ANSWERS = {
    "add": lambda a, b: (a + b) % 7,
    "subtract": lambda a, b: (a - b) % 7,
    "multiply": lambda a, b: (a * b) % 7,
    "sum_of_squares": lambda a, b: (a**2 + b**2) % 7,
}


@pytest.mark.parametrize("operation", [*ANSWERS, "divide"])
def test_pairs_and_their_answers(operation, tmp_path):
    task = load_task(
        Modular(modulus=7, operation=operation, train=20, inputs="tokens"), 3, tmp_path
    )
    a, b = task.inputs[task.probe_inputs].astype(int).T
    y = np.concatenate([task.train.y, task.test.y])[task.probe_inputs]
    assert len(task.train) == 20
    assert list(zip(a, b, strict=True)) == sorted({*zip(a, b, strict=True)})
    if operation == "divide":
        assert (len(a), b.min()) == (42, 1)
        np.testing.assert_array_equal(y * b % 7, a)
    else:
        assert len(a) == 49
        np.testing.assert_array_equal(y, ANSWERS[operation](a, b))


def test_one_hot_inputs_are_the_tokens(tmp_path):
    spoken = Modular(modulus=5, train=9)
    hot = load_task(spoken, 0, tmp_path)
    tokens = load_task(spoken.model_copy(update={"inputs": "tokens"}), 0, tmp_path)
    assert hot.input_shape == (10,)
    np.testing.assert_array_equal(hot.inputs.sum(axis=1), np.full(25, 2.0))
    both = np.stack([hot.inputs[:, :5].argmax(1), hot.inputs[:, 5:].argmax(1)], axis=1)
    np.testing.assert_array_equal(both, tokens.inputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"modulus": 9, "train": 5, "operation": "divide"}, "prime modulus, and 9 is none"),
        ({"modulus": 3, "train": 10}, "asks for 10 of 9 pairs"),
        ({"modulus": 3, "train": 7, "operation": "divide"}, "asks for 7 of 6 pairs"),
    ],
)
def test_pairs_that_there_are_not(fields, message):
    with pytest.raises(ValidationError, match=message):
        Modular(**fields)


def test_a_linear_teacher_is_a_linear_function(tmp_path):
    spec = Teacher(
        model={"kind": "linear"}, inputs=3, examples=400, says="values", bias_std=2.0, seed=1
    )
    task = load_task(spec, 0, tmp_path)
    design = np.column_stack([task.inputs, np.ones(len(task.inputs))])
    y = np.concatenate([task.train.y, task.test.y])
    weights, *_ = np.linalg.lstsq(design, y, rcond=None)
    np.testing.assert_allclose(design @ weights, y, atol=1e-5)
    named = load_task(spec.model_copy(update={"says": "labels"}), 0, tmp_path)
    np.testing.assert_array_equal(named.train.y, task.train.y > 0)


def test_teachers_weights_have_the_law_that_is_stated(tmp_path):
    """The mean square of a linear teacher's outputs is weight_std^2, over seeds: stderr 4.5 %."""
    spec = Teacher(
        model={"kind": "linear"}, inputs=4, examples=50, says="values", weight_std=3.0,
        test_examples=0,
    )  # fmt: skip
    squares = [np.mean(load_task(spec, seed, tmp_path).train.y ** 2) / 9 for seed in range(300)]
    assert abs(np.mean(squares) - 1) < 5 * np.std(squares) / 300**0.5
    assert np.std(squares) / 300**0.5 < 0.06  # so that weights without fan_in, 4, were caught


def test_a_teacher_of_several_outputs_says_the_largest(tmp_path):
    fields = {"model": {"kind": "mlp", "widths": [4]}, "inputs": 2, "outputs": 3, "examples": 60}
    values = load_task(Teacher(**fields, says="values"), 0, tmp_path)
    labels = load_task(Teacher(**fields), 0, tmp_path)
    np.testing.assert_array_equal(labels.train.y, values.train.y.argmax(axis=1))
    assert labels.loss.num_outputs() == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"noise": 0.1}, "noise: is for values"),
        ({"says": "values", "label_noise": 0.1}, "label_noise: is for labels"),
        ({"says": "values", "loss": "hinge"}, "values have squared error"),
    ],
)
def test_values_are_no_labels(fields, message):
    with pytest.raises(ValidationError, match=message):
        Teacher(model={"kind": "linear"}, inputs=2, examples=5, **fields)


def named_set(name, margin, folder):
    task = load_task(Planar(set=name, examples=4000, margin=margin), 0, folder)
    return task.train.x.astype(float).T, task.train.y


def test_two_tents_with_a_gap(tmp_path):
    (x1, x2), y = named_set("tents", 0.25, tmp_path)
    np.testing.assert_allclose(x2, np.where(y == 1, -np.abs(x1), 0.25 - np.abs(x1)), atol=1e-6)
    assert (x1.min(), x1.max()) == pytest.approx((-1, 1), abs=0.01)


def test_four_slabs(tmp_path):
    """Their edges, from above: 1, 0.65 | 0.45, 0.1 | -0.1, -0.45 | -0.65, -1."""
    (x1, x2), y = named_set("slabs", 0.1, tmp_path)
    slab = np.searchsorted([-0.55, 0, 0.55], x2)
    np.testing.assert_array_equal(y, slab % 2)
    np.testing.assert_array_equal(y, x1 < 0)
    assert np.abs(x1).min() >= 0.1
    edges = [(x2[slab == i].min(), x2[slab == i].max()) for i in range(4)]
    expected = [(-1, -0.65), (-0.45, -0.1), (0.1, 0.45), (0.65, 1)]
    np.testing.assert_allclose(edges, expected, atol=0.01)


def test_arms_of_a_swiss_roll_stay_apart(tmp_path):
    (x1, x2), y = named_set("swiss_roll", 0.2, tmp_path)
    points = np.stack([x1, x2], axis=1)
    gaps = np.linalg.norm(points[y == 0][:, None] - points[y == 1], axis=2)
    assert 0.15 < gaps.min() <= 0.2  # the arms wind inwards: a little nearer than along a ray
    assert np.linalg.norm(points, axis=1).max() < 1
