"""Matrix sensing: its matrix, its measurements, and what is left to be tested."""

import numpy as np
import pytest

from sweep_engine.spec.tasks import MatrixSensing
from sweep_engine.tasks import load_task
from tests.statistics import assert_catches, assert_mean_within

BOTH = pytest.mark.parametrize("measurements", ["gaussian", "entries"])


def load(seed=0, **fields):
    return load_task(MatrixSensing(**fields), seed, None)


def matrix_of(task):
    """The matrix, which all inputs together determine."""
    rows = task.inputs.reshape(len(task.inputs), -1).astype(float)
    return np.linalg.solve(rows, np.concatenate([task.train.y, task.test.y]))


@BOTH
def test_the_matrix_has_its_rank_and_norm_one(measurements):
    matrix = matrix_of(load(size=6, rank=2, examples=20, measurements=measurements)).reshape(6, 6)
    values = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(np.sum(values**2), 1, rtol=1e-5)
    assert values[1] > 1e-2
    assert values[2] < 1e-6


@BOTH
def test_measurements_have_norm_one_and_the_test_set_is_what_they_leave_unknown(measurements):
    task = load(size=4, examples=7, measurements=measurements)
    train, test = task.train.x.reshape(7, 16), task.test.x.reshape(9, 16)
    np.testing.assert_allclose(np.linalg.norm(train, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(test @ test.T, np.eye(9), atol=1e-6)
    np.testing.assert_allclose(test @ train.T, 0, atol=1e-6)
    assert np.linalg.matrix_rank(train) == 7


def test_entries_are_entries():
    task = load(size=3, examples=4, measurements="entries")
    assert sorted(np.unique(task.inputs)) == [0, 1]
    assert np.array_equal(task.inputs.sum(axis=0), np.ones((3, 3)))


@BOTH
def test_more_measurements_begin_with_the_same_ones(measurements):
    few, more = (load(examples=n, measurements=measurements) for n in (4, 9))
    assert np.array_equal(more.train.x[:4], few.train.x)
    np.testing.assert_allclose(matrix_of(few), matrix_of(more), atol=1e-5)
    assert not np.allclose(matrix_of(few), matrix_of(load(1, examples=4)), atol=1e-2)


@pytest.mark.parametrize("width", [5, 20])
def test_the_priors_test_loss_is_known_at_any_width(width):
    """Twice it is 0.2 + |P M|^2 / 10, for factors of entries N(0, 1) / sqrt(columns)."""
    task = load(size=5, rank=1, examples=15)
    rng = np.random.default_rng(width)
    factors = rng.normal(size=(4000, 2, 5, width))
    products = factors[:, 0] / np.sqrt(width) @ (factors[:, 1] / np.sqrt(5)).swapaxes(1, 2)
    outputs = np.einsum("rij,nij->rn", products, task.test.x)
    losses = np.array([2 * task.loss.mean(f[:, None], task.test.y) for f in outputs])
    expected = 0.2 + np.sum(task.test.y.astype(float) ** 2) / 10

    def check(losses):
        assert_mean_within(losses[:, None], np.array([expected]))

    check(losses)
    assert_catches(check, lambda: losses * 1.1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"size": 2, "examples": 4}, "4 measurements say all"), ({"rank": 6}, "rank: a matrix of 5")],
)
def test_what_leaves_nothing_to_find_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        MatrixSensing(**fields)
