"""Over-parameterised least squares: (S)GD lands on the noise-free Gaussian posterior.

With X of full row rank n < d and P = X+ X, any batch order and any stable learning rate lead
from theta_0 to (I - P) theta_0 + X+ y, so N(0, s^2 I) lands at N(X+ y, s^2 (I - P)).
"""

import functools

import numpy as np
import pytest
from scipy import stats

from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from tests.statistics import (
    assert_catches,
    assert_ks,
    assert_mean_within,
    assert_probability,
    assert_same_law,
)

NUM_RUNS = 20_000
STD = 0.5
NUM_EXAMPLES, NUM_PARAMS = 4, 10
NULL = NUM_PARAMS - NUM_EXAMPLES


def _problem():
    """X with singular values between 1.6 and 2 (the Hessian XX^T/n between 0.64 and 1), and y."""
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.standard_normal((NUM_EXAMPLES, NUM_EXAMPLES)))[0]
    right = np.linalg.qr(rng.standard_normal((NUM_PARAMS, NUM_EXAMPLES)))[0]
    x = left * np.linspace(1.6, 2.0, NUM_EXAMPLES) @ right.T
    return x, rng.standard_normal(NUM_EXAMPLES)


X, Y = _problem()
LANDING = np.linalg.pinv(X) @ Y
ROW_SPACE, NULL_SPACE = np.split(np.linalg.svd(X)[2].T, [NUM_EXAMPLES], axis=1)


def _finish(source, runs, *, x=X, y=Y, max_residual=1e-5, axes=None):
    """Do the first runs of every setting; the settings share one program."""
    sweep = Sweep(
        name="least-squares",
        task={"kind": "regression", "x": x.tolist(), "y": y.tolist()},
        model={"kind": "linear", "bias": False},
        accept={"max_residual": max_residual},
        sources={"source": source},
        axes=axes or {},
    )
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    return work(programs, [Piece(setting, 0, runs) for setting in found], Control())


def _train(runs, *, steps=60, rate=1.0, batch_size="full", stop=None):
    return {
        "kind": "train",
        "init": {"kind": "gaussian", "std": STD, "shared": True},
        "optimizer": {"kind": "sgd", "learning_rate": rate},
        "batch_size": batch_size,
        "stop": {"fit": False, "max_steps": steps} | (stop or {}),
        "runs": runs,
    }


@functools.cache
def _full_batch():
    return _finish(_train(NUM_RUNS), NUM_RUNS)


@functools.cache
def _wrong_trainers():
    """theta of every deliberately wrong trainer, all of one program."""
    changes = {
        "sources.source.optimizer.weight_decay": [2e-3, 0.0, 0.0],
        "sources.source.optimizer.l2": [0.0, 2e-3, 0.0],
        "sources.source.init.std": [STD, STD, 1.08 * STD],
    }
    finished = _finish(_train(NUM_RUNS), NUM_RUNS, axes={"zip": [changes]})
    theta = finished.solutions.theta.reshape(3, NUM_RUNS, NUM_PARAMS)
    return dict(zip(("weight decay", "l2", "scale"), theta, strict=True))


def _starts(runs):
    """The shared initial parameters: runs that end at step 0, because any loss will do."""
    source = _train(runs, stop={"train_loss": 1e9})
    return _finish(source, runs).solutions.theta.astype(float)


def _check_landing_law(theta):
    """Mean, covariance and radius of the part in the null space of X, over independent runs."""
    free = theta.astype(float) @ NULL_SPACE
    assert_mean_within(free, np.zeros(NULL))
    i, j = np.triu_indices(NULL)
    assert_mean_within(free[:, i] * free[:, j], STD**2 * (i == j))
    assert_ks(np.sum(free**2, axis=1) / STD**2, stats.chi2(NULL).cdf)


def _null_space_kl(theta, std):
    """KL from the landing law to N(0, std^2 I) in the null space, by the closed form."""
    free = theta.astype(float) @ NULL_SPACE
    covariance = free.T @ free / len(free) / std**2
    return 0.5 * (np.trace(covariance) - NULL - np.linalg.slogdet(covariance)[1])


def test_full_batch_lands_on_the_posterior():
    finished = _full_batch()
    theta = finished.solutions.theta
    assert finished.solutions.fit.all()
    # What is left of the residuals is float32 rounding, some 1e-7 each.
    assert finished.columns["train_loss"].max() < 1e-12
    # A contraction forgets its rounding errors: some units in the last place of |theta| < 4.
    expected = np.broadcast_to(LANDING @ ROW_SPACE, (NUM_RUNS, NUM_EXAMPLES))
    np.testing.assert_allclose(theta @ ROW_SPACE, expected, atol=1e-5)
    _check_landing_law(theta)


@pytest.mark.parametrize("wrong", ["weight decay", "l2", "scale"])
def test_a_wrong_trainer_is_caught(wrong):
    assert_catches(_check_landing_law, lambda: _wrong_trainers()[wrong])


def test_minibatches_change_nothing():
    """3 of 4 examples a step: one is left over in each epoch."""
    runs = 2000
    landed = _finish(_train(runs, steps=150, rate=0.5, batch_size=3), runs).solutions
    assert landed.fit.all()
    _check_landing_law(landed.theta)
    expected = _starts(256) @ NULL_SPACE @ NULL_SPACE.T + LANDING
    # The null space is left alone but for rounding: 150 steps of eps |theta| at random.
    np.testing.assert_allclose(landed.theta[:256], expected, atol=1e-5)


@functools.cache
def _other_trainers():
    """theta of momentum with minibatches, all in one program, and of Adam, which leaves the law."""
    changes = {"sources.source.optimizer.momentum": [0.5, 0.8]}
    source = _train(2000, steps=400, rate=0.2, batch_size=2)
    momentum = _finish(source, 2000, axes={"zip": [changes]}).solutions
    source = _train(2000, steps=600)
    # At a constant rate Adam would go on jumping about the solution.
    falling = {"kind": "cosine", "steps": 600}
    source["optimizer"] = {"kind": "adam", "learning_rate": 0.05, "schedule": falling}
    return momentum.theta.reshape(2, 2000, NUM_PARAMS), _finish(source, 2000).solutions.theta


def test_momentum_and_minibatches_land_by_the_same_law_and_adam_does_not():
    """Every step of momentum lies in the row space of X; Adam's divide by each root of nu."""
    momentum, adam = _other_trainers()
    for theta in momentum:
        np.testing.assert_allclose(theta @ X.T, np.broadcast_to(Y, (2000, NUM_EXAMPLES)), atol=1e-4)
        _check_landing_law(theta)
    np.testing.assert_allclose(adam @ X.T, np.broadcast_to(Y, (2000, NUM_EXAMPLES)), atol=1e-2)
    assert_catches(_check_landing_law, lambda: adam)


@pytest.mark.parametrize(("ratio", "kl"), [(0.25, 1.90888), (0.5, 0.57944), (4.0, 4.84112)])
def test_kl_to_a_prior_of_another_scale(ratio, kl):
    """(d - n)/2 (r - 1 - ln r) at d - n = 6, r = s1^2 / s2^2; 1.90888 at r = 1/4.

    Standard error by the delta method: dKL = (r - 1)/2 tr(dS) with var(tr S) = 2 (d - n)/N in
    units of s^2. The bias (d - n)(d - n + 1)/(4N) = 0.0005 is a tenth of it or less.
    """
    np.testing.assert_allclose(NULL / 2 * (ratio - 1 - np.log(ratio)), kl, atol=5e-6)
    stderr = abs(ratio - 1) / 2 * np.sqrt(2 * NULL / NUM_RUNS)

    def check(theta):
        assert_mean_within([_null_space_kl(theta, STD / np.sqrt(ratio))], kl, stderr)

    check(_full_batch().solutions.theta)
    assert_catches(check, lambda: _wrong_trainers()["scale"])


def test_guess_and_check_gives_the_same_law():
    """P_SGD = P_B. In the null space the window |residual| < e leaves no bias at all."""
    x, y, window, draws, runs = X[:1], Y[:1], 0.05, 200_000, 10_000
    law = {"kind": "gaussian", "std": STD}
    guess = {"kind": "guess_and_check", "law": law, "draws": draws}
    guessed = _finish(guess, draws, x=x, y=y, max_residual=window).solutions
    output = stats.norm(scale=STD * np.linalg.norm(x))
    fits = output.cdf(y[0] + window) - output.cdf(y[0] - window)
    assert_probability(len(guessed), draws, fits)
    trained = _finish(_train(runs, rate=1 / np.sum(x**2)), runs, x=x, y=y).solutions
    null_space = np.linalg.svd(x)[2][1:].T
    sgd, posterior = trained.theta @ null_space, guessed.theta @ null_space
    for column in range(NUM_PARAMS - 1):
        assert_same_law(sgd[:, column], posterior[:, column])
    assert_same_law(np.sum(sgd**2, axis=1), np.sum(posterior**2, axis=1))
