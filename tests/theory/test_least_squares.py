"""Over-parameterised least squares: (S)GD lands on the noise-free Gaussian posterior.

With X of full row rank n < d and P = X+ X, any batch order and any stable learning rate lead
from theta_0 to (I - P) theta_0 + X+ y, so N(0, s^2 I) lands at N(X+ y, s^2 (I - P)).
"""

import numpy as np
from scipy import stats

from sweep_engine.sources import Control, open_bucket, work
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


def _draw(source, runs, x=X, y=Y, max_residual=1e-5):
    sweep = Sweep(
        name="least-squares",
        task={"kind": "regression", "x": x.tolist(), "y": y.tolist()},
        model={"kind": "linear", "bias": False},
        accept={"max_residual": max_residual},
        sources={"source": source},
    )
    (setting,) = settings(sweep)
    bucket = open_bucket(setting, sweep.seed, sweep.folder, (), sweep.execution)
    return work(bucket, [Piece(setting, 0, runs)], Control())


def _train(runs, steps=60, std=STD, batch_size="full", stop=None, **optimizer):
    init = {"kind": "gaussian", "std": std, "shared": True}
    source = {
        "kind": "train",
        "init": init,
        "optimizer": {"kind": "sgd", "learning_rate": 1.0} | optimizer,
        "batch_size": batch_size,
        "stop": {"fit": False, "max_steps": steps} | (stop or {}),
        "runs": runs,
    }
    return _draw(source, runs)


def _starts(runs):
    """The shared initial parameters: runs that end at step 0 because any loss will do."""
    return _train(runs, stop={"train_loss": 1e9}).solutions.theta.astype(float)


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
    finished = _train(NUM_RUNS)
    theta = finished.solutions.theta
    assert finished.solutions.fit.all()
    # The training loss is float32's own: residuals of some units in the last place.
    assert finished.columns["train_loss"].max() < 1e-12
    # Rounding of a contraction: a few units in the last place of |theta| < 4.
    np.testing.assert_allclose(theta @ ROW_SPACE, _rows(LANDING @ ROW_SPACE), atol=1e-5)
    _check_landing_law(theta)


def test_every_run_lands_at_the_projection_of_its_start():
    starts = _starts(256)
    expected = starts @ NULL_SPACE @ NULL_SPACE.T + LANDING
    for batch_size, steps in (("full", 60), (1, 2000), (3, 2000)):
        rate = 1.0 if batch_size == "full" else 0.3
        landed = _train(256, steps, batch_size=batch_size, learning_rate=rate).solutions
        # Float32: steps of size eps |theta|, 2,000 of them, most of them 0.
        np.testing.assert_allclose(landed.theta, expected, atol=1e-5)


def test_minibatches_change_nothing():
    finished = _train(4000, steps=400, batch_size=2, learning_rate=0.5)
    assert finished.solutions.fit.all()
    _check_landing_law(finished.solutions.theta)


def test_kl_to_a_prior_of_another_scale():
    """(d - n)/2 (r - 1 - ln r) at d - n = 6, r = 1/4 is 1.90888.

    Standard error by the delta method: dKL = (r - 1)/2 tr(dS), var(tr S) = 2 (d - n)/N in
    units of s^2. The bias (d - n)(d - n + 1)/(4N) = 0.0005 is a twentieth of it.
    """
    stderr = 0.75 / 2 * np.sqrt(2 * NULL / NUM_RUNS)

    def check(theta):
        assert_mean_within([_null_space_kl(theta, 2 * STD)], 1.90888, stderr)

    check(_train(NUM_RUNS).solutions.theta)
    assert_catches(check, lambda: _train(NUM_RUNS, std=1.05 * STD).solutions.theta)


def test_guess_and_check_gives_the_same_law():
    """P_SGD = P_B. In the null space the window |residual| < e leaves no bias at all."""
    x, y, window = X[:1], Y[:1], 0.05
    null_space = np.linalg.svd(x)[2][1:].T
    draws = 200_000
    law = {"kind": "gaussian", "std": STD}
    guessed = _draw(
        {"kind": "guess_and_check", "law": law, "draws": draws}, draws, x, y, window
    )
    output = stats.norm(scale=STD * np.linalg.norm(x))
    fits = output.cdf(y[0] + window) - output.cdf(y[0] - window)
    assert_probability(len(guessed.solutions), draws, fits)
    rate = 1 / np.sum(x**2)
    trained = _draw(
        {
            "kind": "train",
            "init": law,
            "optimizer": {"kind": "sgd", "learning_rate": rate},
            "runs": 10_000,
        },
        10_000,
        x,
        y,
    )
    sgd, posterior = trained.solutions.theta @ null_space, guessed.solutions.theta @ null_space
    for column in range(NUM_PARAMS - 1):
        assert_same_law(sgd[:, column], posterior[:, column])
    assert_same_law(np.sum(sgd**2, axis=1), np.sum(posterior**2, axis=1))


def test_wrong_trainers_are_caught():
    for wrong in ({"weight_decay": 2e-3}, {"l2": 2e-3}, {"std": 1.08 * STD}):
        assert_catches(
            _check_landing_law, lambda wrong=wrong: _train(NUM_RUNS, **wrong).solutions.theta
        )


def test_stopping_early_is_caught():
    """Runs that stop above the loss floor are not on the solution set."""
    theta = _train(100, steps=3, learning_rate=0.2).solutions.theta
    assert np.abs(theta @ ROW_SPACE - LANDING @ ROW_SPACE).max() > 1e-2


def _rows(vector):
    return np.broadcast_to(vector, (NUM_RUNS, len(vector)))
