"""Losses, errors and margins against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep_engine.tasks import LOGISTIC, SQUARED, SQUARED_LABELS, cross_entropy, label_loss, squared

RNG = np.random.default_rng(0)
BINARY = RNG.normal(size=(9, 1)).astype(np.float32) * 3
CLASSES = RNG.normal(size=(9, 4)).astype(np.float32) * 3
LABELS = RNG.integers(0, 2, 9)
DIGITS = RNG.integers(0, 4, 9)
REALS = RNG.normal(size=9).astype(np.float32)
REAL_ROWS = RNG.normal(size=(9, 4)).astype(np.float32)


def log_softmax(f):
    f = f.astype(float)
    top = f.max(axis=1, keepdims=True)
    return f - top - np.log(np.exp(f - top).sum(axis=1, keepdims=True))


def logistic(f, y):
    return np.logaddexp(0, -(2.0 * y - 1) * f[:, 0].astype(float))


def half_square(f, y):
    return 0.5 * (f[:, 0].astype(float) - y) ** 2


def rise(f, y):
    """By how much every output exceeds the right one's."""
    return f.astype(float) - f[np.arange(len(y)), y].astype(float)[:, None]


CASES = {
    "logistic": (LOGISTIC, BINARY, LABELS, logistic),
    "squared labels": (SQUARED_LABELS, BINARY, LABELS, lambda f, y: half_square(f, 2.0 * y - 1)),
    "squared": (SQUARED, BINARY, REALS, half_square),
    "squared rows": (
        squared(4),
        CLASSES,
        REAL_ROWS,
        lambda f, y: 0.5 * np.sum((f.astype(float) - y) ** 2, axis=1),
    ),
    "cross-entropy": (
        cross_entropy(4),
        CLASSES,
        DIGITS,
        lambda f, y: -log_softmax(f)[np.arange(len(y)), y],
    ),
    "softmax of two": (
        label_loss("softmax", 2),
        CLASSES[:, :2],
        LABELS,
        lambda f, y: -log_softmax(f)[np.arange(len(y)), y],
    ),
    "hinge": (
        label_loss("hinge", 2),
        BINARY,
        LABELS,
        lambda f, y: np.maximum(0, 1 - (2.0 * y - 1) * f[:, 0]),
    ),
    "hinge of classes": (
        label_loss("hinge", 4),
        CLASSES,
        DIGITS,
        lambda f, y: np.maximum(
            0, 1 + np.where(np.eye(4)[y] == 1, -np.inf, rise(f, y)).max(axis=1)
        ),
    ),
    "exponential": (
        label_loss("exponential", 2),
        BINARY,
        LABELS,
        lambda f, y: np.exp(-(2.0 * y - 1) * f[:, 0].astype(float)),
    ),
    "exponential of classes": (
        label_loss("exponential", 4),
        CLASSES,
        DIGITS,
        lambda f, y: np.exp(rise(f, y)).sum(axis=1) - 1,
    ),
    "smoothed logistic": (
        label_loss("logistic", 2, 0.2),
        BINARY,
        LABELS,
        lambda f, y: 0.9 * logistic(f, y) + 0.1 * logistic(f, 1 - y),
    ),
    "smoothed cross-entropy": (
        label_loss("cross_entropy", 4, 0.2),
        CLASSES,
        DIGITS,
        lambda f, y: -np.sum((0.8 * np.eye(4)[y] + 0.05) * log_softmax(f), axis=1),
    ),
}
GRADIENTS = {
    "logistic": lambda f, y: -(2.0 * y - 1)[:, None] / (1 + np.exp((2.0 * y - 1)[:, None] * f)),
    "squared labels": lambda f, y: f - (2.0 * y - 1)[:, None],
    "squared": lambda f, y: f - y[:, None],
    "squared rows": lambda f, y: f - y,
    "cross-entropy": lambda f, y: np.exp(log_softmax(f)) - np.eye(4)[y],
}


@pytest.mark.parametrize("name", CASES)
def test_a_loss_is_its_formula_and_a_mean(name):
    loss, outputs, targets, formula = CASES[name]
    expected = formula(outputs, targets)
    found = loss.per_example(jnp.asarray(outputs), jnp.asarray(targets))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loss.mean(outputs, targets), expected.mean(), rtol=1e-5)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    loss, outputs, targets, _ = CASES[name]
    found = jax.grad(loss.mean)(jnp.asarray(outputs), jnp.asarray(targets))
    expected = GRADIENTS[name](outputs.astype(float), targets) / len(targets)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("logit", [-1e4, -100.0, 100.0, 1e4])
def test_the_logistic_loss_neither_overflows_nor_saturates(logit):
    f = jnp.array([[logit]])
    for label in (0, 1):
        y = jnp.array([label])
        wrong = logit * (2 * label - 1) < 0
        assert float(LOGISTIC.mean(f, y)) == pytest.approx(abs(logit) if wrong else 0.0, abs=1e-6)
        assert abs(float(jax.grad(LOGISTIC.mean)(f, y)[0, 0])) == pytest.approx(
            float(wrong), abs=1e-6
        )


# --- labels and errors --------------------------------------------------------------------------


def test_a_binary_label_is_1_above_zero_only():
    outputs = jnp.array([[1e-30], [0.0], [-0.0], [-1.0], [2.0]])
    for loss in (LOGISTIC, SQUARED_LABELS):
        assert loss.labels(outputs).tolist() == [1, 0, 0, 0, 1]
        assert loss.error(outputs, jnp.array([1, 0, 0, 1, 0])) == pytest.approx(2 / 5)


def test_a_class_is_the_first_of_the_largest():
    outputs = jnp.array([[0.0, 1.0, 1.0], [2.0, 2.0, 2.0], [0.0, 0.0, 3.0]])
    assert cross_entropy(3).labels(outputs).tolist() == [1, 0, 2]


@given(st.integers(0, 2**9 - 1), st.sampled_from(["logistic", "squared labels"]))
@settings(deadline=None, max_examples=30)
def test_the_error_is_the_share_of_wrong_labels(number, name):
    loss, outputs, *_ = CASES[name]
    labels = (number >> np.arange(9)) & 1
    expected = np.mean((outputs[:, 0] > 0) != labels)
    assert float(loss.error(outputs, labels)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["logistic", "squared labels", "cross-entropy"])
def test_a_nan_output_is_wrong_whatever_the_label(name):
    loss, outputs, targets, _ = CASES[name]
    right = np.asarray(loss.labels(jnp.asarray(outputs)))
    assert float(loss.error(outputs, right)) == 0
    spoilt = outputs.copy()
    spoilt[3, 0] = np.nan
    for label in (0, 1):
        targets = right.copy()
        targets[3] = label
        assert float(loss.error(spoilt, targets)) == pytest.approx(1 / 9)
    assert float(loss.error(np.full_like(outputs, np.nan), targets)) == 1


def test_regression_has_no_error():
    assert np.isnan(SQUARED.error(BINARY, REALS))
    assert SQUARED.labels is None
    assert SQUARED.num_labels is None


# --- margins, residuals and sizes ---------------------------------------------------------------


@pytest.mark.parametrize("loss", [LOGISTIC, SQUARED_LABELS])
def test_binary_margins(loss):
    found = loss.margins(jnp.asarray(BINARY), jnp.asarray(LABELS))
    np.testing.assert_allclose(found, np.where(LABELS == 1, 1, -1) * BINARY[:, 0])


def test_class_margins():
    found = cross_entropy(4).margins(jnp.asarray(CLASSES), jnp.asarray(DIGITS))
    expected = [row[y] - np.delete(row, y).max() for row, y in zip(CLASSES, DIGITS, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    right = np.argmax(CLASSES, axis=1)
    assert np.all(np.asarray(cross_entropy(4).margins(jnp.asarray(CLASSES), right)) > 0)


def test_residuals():
    f = jnp.asarray(BINARY)
    np.testing.assert_allclose(SQUARED.residuals(f, REALS), BINARY[:, 0] - REALS)
    np.testing.assert_allclose(SQUARED_LABELS.residuals(f, LABELS), BINARY[:, 0] - (2 * LABELS - 1))
    assert LOGISTIC.residuals is None


def test_number_of_outputs():
    assert [loss.num_outputs() for loss in (LOGISTIC, SQUARED_LABELS, SQUARED)] == [1, 1, 1]
    assert cross_entropy(10).num_outputs() == 10


def test_labels_do_not_wrap_at_256():
    """Labels are bytes: more classes than a byte holds must be refused, not wrapped."""
    assert cross_entropy(256).labels(jnp.eye(256)[255:]).tolist() == [255]
    with pytest.raises(ValueError, match="256"):
        cross_entropy(257)
