"""The posterior of linear regression is a Gaussian: chains must have its mean and covariance.

With prior N(0, s^2 I), noise v and temperature T the precision is X'X / (T v^2) + I / s^2.
More parameters than examples: in the null space of X the posterior is the prior. SGLD is
biased by its step, and on a Gaussian the bias is known.
"""

import functools

import numpy as np
import pytest

from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from tests.kernels.compilers import needs_compiler
from tests.statistics import assert_catches, assert_mean_within

NUM_EXAMPLES, NUM_PARAMS = 4, 6
PRIOR_STD, NOISE_STD, TEMPERATURE = 0.7, 0.5, 2.0
CHAINS, DRAWS = 256, 40
RNG = np.random.default_rng(1)
X = RNG.standard_normal((NUM_EXAMPLES, NUM_PARAMS)).astype(np.float32)
Y = RNG.standard_normal(NUM_EXAMPLES).astype(np.float32)
PAIRS = np.triu_indices(NUM_PARAMS)


def chains(*changes, implementation="xla", **source):
    """theta of every chain's draws (chains, draws, P), for each change of one source."""
    source = {
        "kind": "posterior",
        "law": {"kind": "gaussian", "std": PRIOR_STD},
        "noise_std": NOISE_STD,
        "chains": CHAINS,
        "draws": DRAWS,
    } | source
    swept = {f"sources.a.{path}": [c[path] for c in changes] for path in changes[0]}
    sweep = Sweep(
        name="gaussian",
        task={"kind": "regression", "x": X.tolist(), "y": Y.tolist()},
        model={"kind": "linear", "bias": False},
        accept={"max_residual": 1.0},
        sources={"a": source},
        axes={"zip": [swept]},
        execution={"lanes": CHAINS, "implementation": implementation},
    )
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    finished = work(programs, [Piece(one, 0, CHAINS * DRAWS) for one in found], Control())
    return finished.solutions.theta.reshape(len(found), CHAINS, DRAWS, NUM_PARAMS).astype(float)


def gaussian(prior_std=PRIOR_STD, temperature=TEMPERATURE):
    """Mean and precision of the posterior."""
    unit = temperature * NOISE_STD**2
    precision = X.T @ X / unit + np.eye(NUM_PARAMS) / prior_std**2
    return np.linalg.solve(precision, X.T @ Y / unit), precision


def check_moments(theta, mean, covariance):
    """Mean and covariance, over chains that are independent: one number a chain each."""
    assert_mean_within(theta.mean(axis=1), mean)
    centred, (i, j) = theta - mean, PAIRS
    products = centred[..., i] * centred[..., j]
    assert_mean_within(products.mean(axis=1), covariance[i, j])


OWN = {"nuts": {"thin": 2}, "hmc": {"integration_steps": 6, "thin": 3}}
RIGHT = {"temperature": TEMPERATURE, "law.std": PRIOR_STD}
WRONG = {
    "temperature squared": {"temperature": TEMPERATURE**2, "law.std": PRIOR_STD},
    "prior forgotten": {"temperature": TEMPERATURE, "law.std": 30 * PRIOR_STD},
}


@functools.cache
def hamiltonian(method):
    changes = {"right": RIGHT} | (WRONG if method == "nuts" else {})
    theta = chains(*changes.values(), method=method, warmup=150, **OWN[method])
    return dict(zip(changes, theta, strict=True))


@pytest.mark.parametrize("method", ["nuts", "hmc"])
def test_mean_and_covariance(method):
    mean, precision = gaussian()
    check_moments(hamiltonian(method)["right"], mean, np.linalg.inv(precision))


@needs_compiler
@pytest.mark.parametrize("method", ["hmc", pytest.param("nuts", marks=pytest.mark.long)])
def test_the_kernel_has_the_posteriors_mean_and_covariance(method):
    """Reach another one at another temperature, in the same program."""
    hotter = RIGHT | {"temperature": TEMPERATURE**2}
    own = {"method": method, "warmup": 150} | OWN[method]
    right, wrong = chains(RIGHT, hotter, implementation="cpu", **own)
    mean, precision = gaussian()

    def check(theta):
        check_moments(theta, mean, np.linalg.inv(precision))

    check(right)
    assert_catches(check, lambda: wrong)


@pytest.mark.parametrize("wrong", WRONG)
def test_another_posterior_is_caught(wrong):
    mean, precision = gaussian()

    def check(theta):
        check_moments(theta, mean, np.linalg.inv(precision))

    assert_catches(check, lambda: hamiltonian("nuts")[wrong])


def test_a_tempered_prior_is_a_wider_one():
    theta = chains(RIGHT, method="hmc", warmup=150, thin=3, tempered_prior=True)[0]
    mean, precision = gaussian(prior_std=PRIOR_STD * np.sqrt(TEMPERATURE))
    check_moments(theta, mean, np.linalg.inv(precision))


def in_units_of_the_prior(step_size, precision):
    """The exact covariance of full-batch SGLD: 2 / (a (2 - step a)) along each direction.

    A step multiplies the distance from the mean by 1 - step a, and adds noise of variance
    2 step; a are the eigenvalues of the precision in units of the prior.
    """
    eigenvalues, directions = np.linalg.eigh(precision * PRIOR_STD**2)
    variance = 2 / (eigenvalues * (2 - step_size * eigenvalues))
    return directions * variance @ directions.T * PRIOR_STD**2


def test_sgld_has_the_bias_of_its_step():
    """At a large step its own law and not the posterior's; at a small one the two agree."""
    mean, precision = gaussian()
    exact = np.linalg.inv(precision)
    top = np.linalg.eigvalsh(precision).max() * PRIOR_STD**2
    large, small = 1.2 / top, 0.02 / top
    steps = [RIGHT | {"step_size": large}, RIGHT | {"step_size": small}]
    own = {"method": "sgld", "step_size": small, "warmup": 2000, "thin": 20}
    at_large, at_small = chains(*steps, **own)
    check_moments(at_large, mean, in_units_of_the_prior(large, precision))
    check_moments(at_small, mean, in_units_of_the_prior(small, precision))
    check_moments(at_small, mean, exact)
    assert_catches(lambda theta: check_moments(theta, mean, exact), lambda: at_large)


def test_minibatches_leave_the_mean():
    """On a quadratic the estimated gradient is right on average, wherever the chain is.

    Without the factor n / minibatch = 2 it would be that of twice the temperature.
    """
    mean, precision = gaussian()
    step = 0.1 / (np.linalg.eigvalsh(precision).max() * PRIOR_STD**2)
    own = {"method": "sgld", "step_size": step, "warmup": 500, "thin": 20, "batch_size": 2}
    theta, without_factor = chains(RIGHT, RIGHT | {"temperature": 2 * TEMPERATURE}, **own)

    def check(found):
        assert_mean_within(found.mean(axis=1), mean)

    check(theta)
    assert_catches(check, lambda: without_factor)
