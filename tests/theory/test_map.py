"""Prior variance, L2 penalty and weight decay: which trained network is a MAP estimate.

For losses that are means over n examples, the minimum of mean loss + (l2 / 2)|theta|^2 is
the maximum of exp(-sum of losses / T) N(0, s^2 I) at l2 = T / (n s^2); of squared error with
noise v at v^2 times that. `Posterior` has the whole map.
"""

import functools

import jax
import numpy as np
import pytest
from scipy import optimize

from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.bucket import Data
from sweep_engine.sources.posterior.target import Target
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.laws import Gaussian
from sweep_engine.spec.sources import Posterior

NUM_EXAMPLES, NUM_PARAMS = 12, 3
PRIOR_STD, NOISE_STD, TEMPERATURE, MOMENTUM = 0.8, 0.6, 1.5, 0.9
RNG = np.random.default_rng(3)
X = RNG.standard_normal((NUM_EXAMPLES, NUM_PARAMS)).astype(np.float32)
Y = (X @ [1.0, -2.0, 0.5] + 0.5 * RNG.standard_normal(NUM_EXAMPLES)).astype(np.float32)
LABELS = (X[:, :2] @ [1.0, -0.5] + RNG.standard_normal(NUM_EXAMPLES) > 0).astype(np.uint8)

L2 = TEMPERATURE / (NUM_EXAMPLES * PRIOR_STD**2)
L2_SQUARED = L2 * NOISE_STD**2
REGRESSION = {"kind": "regression", "x": X.tolist(), "y": Y.tolist()}
LOGISTIC = {"kind": "planar", "points": X[:, :2].tolist(), "labels": LABELS.tolist()}
PRIOR = {"law": Gaussian(std=PRIOR_STD), "temperature": TEMPERATURE}

# What float32 leaves of a gradient or a parameter of order 1, with room for its sums.
ROUNDING = 2e-5


def trained(kind, changes, task=REGRESSION, *, rate=0.1, steps=4000, schedule=None):
    """Where a run lands under each change of the optimiser; the changes share one program."""
    names = changes[0].keys()
    optimizer = {"kind": kind, "learning_rate": rate, "schedule": schedule or {"kind": "constant"}}
    source = {
        "kind": "train",
        "init": {"kind": "gaussian", "std": 1.0},
        "optimizer": optimizer,
        "stop": {"fit": False, "max_steps": steps, "check_every": steps},
        "runs": 1,
    }
    sweep = Sweep(
        name="map",
        task=task,
        model={"kind": "linear", "bias": False},
        accept={"train_loss": 10.0},
        sources={"a": source},
        axes={"zip": [{f"sources.a.optimizer.{n}": [c[n] for c in changes] for n in names}]},
        execution={"lanes": len(changes)},
    )
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    return programs, work(programs, [Piece(one, 0, 1) for one in found], Control()).solutions.theta


def ridge(l2):
    """argmin of sum (x theta - y)^2 / (2n) + (l2 / 2)|theta|^2, in float64."""
    x, y = X.astype(float), Y.astype(float)
    hessian = x.T @ x / NUM_EXAMPLES + l2 * np.eye(NUM_PARAMS)
    return np.linalg.solve(hessian, x.T @ y / NUM_EXAMPLES)


def logistic_map():
    """argmax of the log posterior, by SciPy in float64."""
    x, sign = X[:, :2].astype(float), 2.0 * LABELS - 1

    def minus_log_posterior(theta):
        losses = np.logaddexp(0, -sign * (x @ theta))
        return losses.sum() / TEMPERATURE + theta @ theta / (2 * PRIOR_STD**2)

    return optimize.minimize(minus_log_posterior, np.zeros(2), tol=1e-10).x


def slope(programs, theta, **source):
    """The largest slope of the log posterior at theta, in units of the prior."""
    spec = Posterior(**PRIOR | source)
    bucket = programs.bucket
    train = Data(bucket.data.train.x, bucket.data.train.y)
    target = Target(spec, bucket.network, bucket.task.loss, train)
    with jax.default_matmul_precision("highest"):
        gradient = jax.grad(target.log_density)(theta / PRIOR_STD)
    return float(np.abs(gradient).max())


SGD = {
    "l2": {"l2": L2_SQUARED, "weight_decay": 0.0, "momentum": 0.0},
    "l2, momentum": {"l2": L2_SQUARED, "weight_decay": 0.0, "momentum": MOMENTUM},
    "weight decay": {"l2": 0.0, "weight_decay": L2_SQUARED, "momentum": 0.0},
    "weight decay, momentum": {"l2": 0.0, "weight_decay": L2_SQUARED, "momentum": MOMENTUM},
}


@functools.cache
def by_sgd():
    programs, theta = trained("sgd", list(SGD.values()))
    return programs, dict(zip(SGD, theta, strict=True))


@pytest.mark.parametrize(
    ("name", "l2"),
    [
        ("l2", L2_SQUARED),
        ("l2, momentum", L2_SQUARED),
        ("weight decay", L2_SQUARED),
        ("weight decay, momentum", (1 - MOMENTUM) * L2_SQUARED),
    ],
)
def test_what_sgd_converges_to(name, l2):
    np.testing.assert_allclose(by_sgd()[1][name], ridge(l2), atol=ROUNDING)


def test_an_l2_penalty_of_this_size_is_the_maximum_of_the_posterior():
    programs, landed = by_sgd()
    noise = {"noise_std": NOISE_STD}
    scale = NUM_EXAMPLES * PRIOR_STD / (TEMPERATURE * NOISE_STD**2)
    assert slope(programs, landed["l2, momentum"], **noise) < scale * ROUNDING
    assert slope(programs, landed["weight decay, momentum"], **noise) > 0.5
    assert slope(programs, landed["l2"], **noise | {"temperature": 2 * TEMPERATURE}) > 0.5


def test_a_tempered_prior_needs_no_temperature_in_the_penalty():
    l2 = NOISE_STD**2 / (NUM_EXAMPLES * PRIOR_STD**2)
    tempered = {"noise_std": NOISE_STD, "tempered_prior": True}
    scale = NUM_EXAMPLES * PRIOR_STD / (TEMPERATURE * NOISE_STD**2)
    at_map = ridge(l2).astype(np.float32)
    assert slope(by_sgd()[0], at_map, **tempered) < scale * ROUNDING
    assert slope(by_sgd()[0], at_map, noise_std=NOISE_STD) > 0.1


@functools.cache
def by_adam():
    """Adam with an L2 penalty; AdamW with the same number, and with a much larger one."""
    changes = [
        {"l2": L2_SQUARED, "weight_decay": 0.0},
        {"l2": 0.0, "weight_decay": L2_SQUARED},
        {"l2": 0.0, "weight_decay": 1.0},
    ]
    changes = [change | {"b2": 0.99} for change in changes]
    to_zero = {"kind": "cosine", "steps": 16_000}
    return trained("adam", changes, rate=0.02, steps=16_000, schedule=to_zero)[1]


def test_adam_with_an_l2_penalty_is_the_same_map_estimate():
    np.testing.assert_allclose(by_adam()[0], ridge(L2_SQUARED), atol=ROUNDING)


def test_adamw_with_the_same_number_lands_elsewhere():
    """It minimises the loss in the box |theta_j| <= 1 / weight_decay: here, without any penalty."""
    least_squares = ridge(0.0)
    assert np.abs(least_squares).max() < 1 / L2_SQUARED
    np.testing.assert_allclose(by_adam()[1], least_squares, atol=ROUNDING)
    assert np.abs(least_squares - ridge(L2_SQUARED)).max() > 0.05


def test_adamw_stays_in_its_box():
    box = optimize.lsq_linear(X.astype(float), Y.astype(float), bounds=(-1, 1)).x
    assert np.abs(ridge(0.0)).max() > 1.5
    np.testing.assert_allclose(by_adam()[2], box, atol=ROUNDING)


def test_logistic_regression_against_scipy():
    changes = [{"l2": L2, "momentum": MOMENTUM}]
    programs, (theta,) = trained("sgd", changes, LOGISTIC)
    np.testing.assert_allclose(theta, logistic_map(), atol=ROUNDING)
    assert slope(programs, theta) < NUM_EXAMPLES * PRIOR_STD / TEMPERATURE * ROUNDING
