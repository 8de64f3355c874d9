"""Logistic loss on separable data: the direction tends to the hard margin's, at rate 1 / ln t."""

import functools

import numpy as np
from scipy import optimize

from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings


def _finish(points, labels, axes, *, kind="sgd"):
    """theta of one run per setting, from (nearly) 0."""
    train = {
        "kind": "train",
        "init": {"kind": "gaussian", "std": 1e-7},
        "optimizer": {"kind": kind},
        "stop": {"fit": False, "check_every": 1000},
        "runs": 1,
    }
    sweep = Sweep(
        name="max-margin",
        task={"kind": "planar", "points": points.tolist(), "labels": labels.tolist()},
        model={"kind": "linear", "bias": False},
        sources={"source": train},
        axes={"zip": [{f"sources.source.{path}": values for path, values in axes.items()}]},
        execution={"lanes": 8},
    )
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    landed = work(programs, [Piece(setting, 0, 1) for setting in found], Control())
    return landed.solutions.theta.astype(float)


def test_orthonormal_examples_follow_the_flow():
    """Loss sum ln(1 + e^-w_i) from 0: e^w + w = t + 1, so w(10) = 2.177325.

    The engine's loss is the mean over the two examples: time is half of rate x steps. Euler's
    error is of first order in the step; extrapolating it away leaves the second.
    """
    points, labels = np.array([[1.0, 0.0], [0.0, -1.0]]), np.array([1, 0])
    steps = np.array([100, 200, 400])
    axes = {"optimizer.learning_rate": (20 / steps).tolist(), "stop.max_steps": steps.tolist()}
    w = _finish(points, labels, axes)
    truth = optimize.brentq(lambda w: np.exp(w) + w - 11, 0, 10)
    np.testing.assert_allclose(truth, 2.177325, atol=5e-7)
    error = w - truth
    np.testing.assert_allclose(error[:-1] / error[1:], 2, rtol=0.03)
    extrapolated = 2 * w[1:] - w[:-1] - truth
    np.testing.assert_allclose(extrapolated[0] / extrapolated[1], 4, rtol=0.3)
    assert np.abs(extrapolated[1]).max() < 1e-4
    assert np.abs(error[-1]).min() > 1e-3


POINTS = np.array([[1.0, 0.4], [-0.3, 1.2], [2.5, 1.0], [-1.0, -2.5]])
LABELS = np.array([1, 1, 1, 0])
RATE = 2.0
STEPS = [100, 1000, 10_000, 100_000]


@functools.cache
def _along(kind):
    rates = [RATE if kind == "sgd" else 1e-3] * len(STEPS)
    axes = {"optimizer.learning_rate": rates, "stop.max_steps": STEPS}
    return _finish(POINTS, LABELS, axes, kind=kind)


def _hard_margin():
    """The smallest w with every margin at least 1, by SciPy, and its multipliers."""
    signed = POINTS * (2 * LABELS - 1)[:, None]
    bounds = {"type": "ineq", "fun": lambda w: signed @ w - 1, "jac": lambda w: signed}
    found = optimize.minimize(
        lambda w: w @ w / 2, [1.0, 1.0], jac=lambda w: w, constraints=[bounds], tol=1e-12
    )
    margins = signed @ found.x
    support = margins < 1 + 1e-6
    assert support.sum() == 2
    assert margins[~support].min() > 1.5
    multipliers = np.linalg.solve(signed[support].T, found.x)
    assert np.all(multipliers > 0)
    return found.x, signed[support], multipliers


def _away(w):
    """How far w(t) is from hard ln t + rest, rate/N exp(-y x . rest) being the multipliers."""
    hard, support, multipliers = _hard_margin()
    rest = np.linalg.solve(support, -np.log(multipliers * len(POINTS) / RATE))
    return np.abs(w - hard * np.log(STEPS)[:, None] - rest).max(axis=1), rest


def test_the_direction_tends_to_the_hard_margins():
    """w(t) = hard ln t + rest + o(1): the gap of directions falls as 1 / ln t and no faster.

    Source:
        Soudry et al. (2018), JMLR 19(70), theorems 3 and 4.
    """
    hard, w = _hard_margin()[0], _along("sgd")
    away, rest = _away(w)
    assert np.all(np.diff(away) < 0)
    assert away[-1] < 1e-3
    length = np.linalg.norm(hard)
    gap = np.linalg.norm(w / np.linalg.norm(w, axis=1, keepdims=True) - hard / length, axis=1)
    limit = np.linalg.norm(rest - hard * (rest @ hard) / length**2) / length
    # The direction's next term is smaller by about |rest| / (|hard| ln t).
    expected, smaller = limit / np.log(STEPS), np.linalg.norm(rest) / (length * np.log(STEPS))
    assert np.all(np.abs(gap / expected - 1)[1:] < smaller[1:])
    assert np.all(np.diff(gap) < 0)


def test_adam_is_caught():
    """Its steps grow as the gradients fall."""
    away, _ = _away(_along("adam"))
    assert away.min() > 0.1
