"""Teacher start: chains that begin at an exact draw from the posterior must stay one.

A teacher drawn from the prior labels the inputs by the likelihood; given these labels it is a
draw from its own posterior, so after any number of transitions of an exact sampler the
parameters, over many chains, have the prior's law again, and their losses that of the
likelihood: 2 n loss / (v^2 T) is chi-squared with n degrees of freedom. Exact for any
network and any finite number of transitions, nothing has to converge.
"""

import dataclasses
import functools

import numpy as np
import pytest
from blackjax.mcmc import hmc
from scipy import stats

from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.posterior.target import Target
from sweep_engine.spec import Piece, Sweep, settings
from tests.statistics import assert_catches, assert_ks, assert_mean_within

CHAINS = 1024
NUM_EXAMPLES = 6
NOISE_STD, TEMPERATURE, PRIOR_STD = 0.5, 2.0, 0.8
X = np.random.default_rng(2).standard_normal((NUM_EXAMPLES, 2)).astype(np.float32)
REGRESSION = {"kind": "regression", "x": X.tolist(), "y": [0.0] * NUM_EXAMPLES}
BOOLEAN = {"kind": "boolean", "bits": 3, "train": [0, 3, 5, 6, 7]}
MLP = {"kind": "mlp", "widths": [3], "activation": "tanh"}
GAUSSIAN = {"kind": "gaussian", "std": PRIOR_STD}
SQUARED = {"noise_std": NOISE_STD, "temperature": TEMPERATURE, "law": GAUSSIAN}
HMC = {"method": "hmc", "integration_steps": 5, "step_size": 0.3}


def finish(*, task=REGRESSION, axes=None, draws=1, chains=CHAINS, **source):
    """One finished piece of work for every setting."""
    source = {"kind": "posterior", "chains": chains, "draws": draws, "start": "teacher"} | source
    sweep = Sweep(
        name="teacher",
        task=task,
        model=MLP,
        accept={"train_loss": 10.0},
        sources={"a": source},
        axes={f"sources.a.{path}": values for path, values in (axes or {}).items()},
        execution={"lanes": 256},
    )
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    return [work(programs, [Piece(one, 0, chains * draws)], Control()) for one in found]


def check_stationary(finished):
    """The last draw of every chain, against prior and likelihood."""
    theta = finished.solutions.theta.astype(float) / PRIOR_STD
    assert_ks(np.sum(theta**2, axis=1), stats.chi2(theta.shape[1]).cdf)
    assert_mean_within(theta, np.zeros(theta.shape[1]))
    assert_mean_within(theta**2, np.ones(theta.shape[1]))
    loss = finished.columns["train_loss"].astype(float)
    misfit = 2 * NUM_EXAMPLES * loss / (NOISE_STD**2 * TEMPERATURE)
    assert_ks(misfit, stats.chi2(NUM_EXAMPLES).cdf)


def test_nuts_stays_also_where_its_step_size_is_found_on_the_same_data():
    chains = CHAINS // 2  # of trees that are deep before a step size is found
    (finished,) = finish(**SQUARED, method="nuts", warmup=30, thin=3, chains=chains)
    check_stationary(finished)
    sizes = [one.value for one in finished.measured if one.what == "step_size"]
    assert len(set(sizes)) == chains


@functools.cache
def staying():
    return finish(**SQUARED, **HMC, warmup=0, thin=4)[0]


def test_hmc_stays_and_moves():
    check_stationary(staying())
    moved = [one.value for one in staying().measured if one.what == "acceptance"]
    assert 0.5 < np.mean(moved) < 0.99


def without_acceptance(monkeypatch):
    """Every proposal is accepted."""

    def accept(_, energy_gap, __, end):
        return end, (True, energy_gap, None)

    proposal = functools.partial(hmc.hmc_proposal, sample_proposal=accept)
    build = functools.partial(hmc.build_kernel, build_proposal=proposal)
    monkeypatch.setattr(hmc, "build_kernel", build)


def temperature_squared(monkeypatch):
    true = Target.log_density

    def wrong(self, z, minibatch=None):
        hotter = self.spec.model_copy(update={"temperature": self.spec.temperature**2})
        return true(dataclasses.replace(self, spec=hotter), z, minibatch)

    monkeypatch.setattr(Target, "log_density", wrong)


def prior_forgotten(monkeypatch):
    monkeypatch.setattr(Target, "log_prior", lambda self, z: 0.0)


WRONG = [without_acceptance, temperature_squared, prior_forgotten]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_a_wrong_sampler_is_caught(monkeypatch, wrong):
    wrong(monkeypatch)
    assert_catches(check_stationary, lambda: finish(**SQUARED, **HMC, warmup=0, thin=4)[0])


def test_a_network_that_classifies_and_a_prior_that_is_a_box():
    """Chains move normals, so a bounded law has no walls; labels are drawn from exp(-loss)."""
    box = {"law": {"kind": "box", "half_width": 2.0}}
    (finished,) = finish(task=BOOLEAN, **box, **HMC, warmup=0, thin=4)
    theta = finished.solutions.theta.astype(float)
    assert np.abs(theta).max() <= 2.0
    for column in theta.T:
        assert_ks(column, stats.uniform(-2, 4).cdf)
    acceptance = [one.value for one in finished.measured if one.what == "acceptance"]
    assert 0.5 < np.mean(acceptance) < 0.999


def test_the_drift_of_sgld_vanishes_with_its_step():
    """After the same time, so that only the step differs: large, and a hundredth of it."""
    drift = []
    for step, thin in ((0.04, 10), (0.0004, 1000)):
        own = {"method": "sgld", "step_size": step, "warmup": 0, "thin": thin}
        drift.append(finish(**SQUARED, **own)[0])
    large, small = drift
    check_stationary(small)
    assert_catches(check_stationary, lambda: large)
