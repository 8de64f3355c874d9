"""Regression, factorisation and planar sets: given, or drawn from the seed."""

import numpy as np
import pytest

from sweep_engine.spec.tasks import Factorisation, Planar, Regression
from sweep_engine.tasks import LOGISTIC, SQUARED, SQUARED_LABELS, load_task, squared
from tests.statistics import assert_catches, assert_ks, assert_probability

ROWS = ((1.0, 0.5), (0.0, -1.0), (2.0, 2.0))


def load(spec, seed=0):
    return load_task(spec, seed, None)


def residuals(task):
    """What the least-squares line leaves of the training targets."""
    x, y = task.train.x, task.train.y
    return y - x @ np.linalg.lstsq(x, y, rcond=None)[0]


def test_a_given_regression_is_what_is_given():
    task = load(Regression(x=ROWS, y=(0.1, 0.2, 0.3), test_x=ROWS[:1], test_y=(5.0,)))
    assert np.array_equal(task.train.x, np.float32(ROWS))
    assert np.array_equal(task.train.y, np.float32([0.1, 0.2, 0.3]))
    assert task.test.y.tolist() == [5.0]
    assert task.loss is SQUARED
    assert load(Regression(x=ROWS, y=(0.1, 0.2, 0.3))).test is None


def test_a_drawn_regression_is_linear_without_noise():
    task = load(Regression(examples=40, test_examples=10, inputs=3))
    assert (task.train.x.shape, task.test.x.shape) == ((40, 3), (10, 3))
    assert task.train.y.dtype == np.float32
    assert np.abs(residuals(task)).max() < 1e-5


def test_a_drawn_regression_has_the_noise_that_was_asked_for():
    task = load(Regression(examples=2000, inputs=2, noise=0.3))
    left = residuals(task) / 0.3

    def check(sample):
        from scipy.stats import norm

        assert_ks(sample, norm.cdf)

    check(left)
    check(task.train.x.ravel())
    assert_catches(check, lambda: left * 2)


def test_draws_depend_on_the_seed_only():
    spec = Regression(examples=5, inputs=2, noise=0.1)
    assert np.array_equal(load(spec, 1).train.x, load(spec, 1).train.x)
    assert not np.any(load(spec, 1).train.x == load(spec, 2).train.x)
    clean = load(Regression(examples=5, inputs=2), 1)
    assert np.array_equal(clean.train.x, load(spec, 1).train.x)


def test_targets_of_several_outputs_are_rows():
    rows = ((1.0, 2.0, 3.0), (0.0, 1.0, 0.5), (4.0, 4.0, 4.0))
    task = load(Regression(x=ROWS, y=rows, test_x=ROWS[:1], test_y=rows[:1]))
    assert np.array_equal(task.train.y, np.float32(rows))
    assert task.loss is squared(3)
    assert task.loss.num_outputs() == 3


def test_every_drawn_output_is_linear_in_the_inputs_by_weights_of_its_own():
    task = load(Regression(examples=20, inputs=3, outputs=2))
    assert np.abs(residuals(task)).max() < 1e-5
    weights = np.linalg.lstsq(task.train.x, task.train.y, rcond=None)[0]
    assert np.linalg.matrix_rank(weights, tol=0.01) == 2
    left = residuals(load(Regression(examples=2000, inputs=1, outputs=2, noise=0.3)))
    np.testing.assert_allclose(np.cov(left.T) / 0.09, np.eye(2), atol=0.15)


def test_one_output_is_drawn_as_if_it_were_left_out():
    pair = [load(Regression(examples=5, inputs=2, noise=0.1, outputs=n)) for n in (None, 1)]
    assert np.array_equal(pair[0].train.y, pair[1].train.y)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"x": ROWS, "y": ((1.0, 2.0), (1.0,), (0.0, 1.0))}, "y: give numbers, or rows"),
        ({"x": ROWS, "y": ((1.0,), (1.0,), (0.0,))}, "y: give numbers, or rows of two"),
        ({"x": ROWS, "y": ((1.0, 2.0),)}, "x: give as many rows as values"),
        (
            {"x": ROWS, "y": (0.0, 1.0, 2.0), "test_x": ROWS[:1], "test_y": ((1.0,),)},
            "test_y: give numbers",
        ),
        ({"x": ROWS, "y": (0.0, 1.0, 2.0), "outputs": 1}, "outputs: is for drawn examples"),
    ],
)
def test_targets_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Regression(**fields)


def test_rows_have_no_levels():
    spec = Regression(examples=5, inputs=1, outputs=2, probe={"levels": 3})
    with pytest.raises(ValueError, match="rows of numbers"):
        load(spec)


def test_the_factorisation_is_one_example():
    task = load(Factorisation(target=-2.5))
    assert (task.train.x.tolist(), task.train.y.tolist()) == ([[1.0]], [-2.5])
    assert task.test is None
    assert task.loss.residuals is not None


# --- planar sets --------------------------------------------------------------------------------

MARGINS = [0.0, 0.1, 0.5]


def planar(name, margin, seed=0):
    task = load(Planar(set=name, margin=margin, examples=300, test_examples=700), seed)
    return task.inputs, np.concatenate([task.train.y, task.test.y])


@pytest.mark.parametrize("margin", MARGINS)
def test_two_slabs_are_separated_by_x1_linearly_and_by_x2_in_slabs(margin):
    x, y = planar("two_slab", margin)
    signs = 2 * y - 1
    assert np.min(signs * x[:, 0]) >= margin - 1e-6
    gap = np.where(y == 1, 0.5 - np.abs(x[:, 1]), np.abs(x[:, 1]) - 0.5)
    assert np.min(gap) >= margin / 2 - 1e-6
    assert np.abs(x).max() <= 1
    assert {tuple(np.sign(row)) for row in x[y == 0]} == {(-1, -1), (-1, 1)}


@pytest.mark.parametrize("margin", MARGINS)
def test_the_kink_leaves_its_margin_in_x2(margin):
    x, y = planar("kink", margin)
    height = (2 * y - 1) * (x[:, 1] - (np.abs(x[:, 0]) - 0.5))
    assert np.min(height) >= margin / 2 - 1e-6
    assert np.min(height) < margin / 2 + 0.02, "the margin is what was asked for, not more"


@pytest.mark.parametrize("name", ["two_slab", "kink"])
def test_classes_are_even_and_drawn_from_the_seed(name):
    x, y = planar(name, 0.1)
    assert_probability(int(y.sum()), len(y), 0.5)
    assert np.array_equal(planar(name, 0.1)[0], x)
    assert not np.any(planar(name, 0.1, seed=1)[0] == x)


def test_given_points():
    task = load(Planar(points=((0.0, 1.0), (1.0, 0.0)), labels=(1, 0)))
    assert task.train.y.tolist() == [1, 0]
    assert task.test is None
    assert task.loss is LOGISTIC
    squared = Planar(points=((0.0, 1.0),), labels=(1,), loss="squared")
    assert load(squared).loss is SQUARED_LABELS
