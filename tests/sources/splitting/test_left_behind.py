"""Draws that levels leave behind are a weighted sample of the law: beside all its networks."""

import jax
import numpy as np
import pytest
from pydantic import ValidationError

from sweep_engine.laws import enumerate_support
from sweep_engine.models import build
from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.splitting.left_behind import LeftBehind, Weighted
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.sources import Splitting
from sweep_engine.tasks import load_task

PARTICLES, REPETITIONS = 128, 24


def sweep_of(accept=None, **fields):
    source = {
        "kind": "splitting",
        "law": {"kind": "binary", "scale": 1.0},
        "particles": PARTICLES,
        "repetitions": REPETITIONS,
        "moves": 6,
        "climb": "error",
        "keep_levels": True,
    } | fields
    return Sweep.model_validate(
        {
            "name": "states",
            "seed": 2,
            "task": {"kind": "boolean", "bits": 3, "target": "x1 & x2", "train": 8},
            "model": {"kind": "mlp", "widths": [3], "activation": "tanh"},
            "accept": accept or {"train_error": 0.0},
            "sources": {"rare": source},
            "execution": {"lanes": 64, "implementation": "xla"},
        }
    )


@pytest.fixture(scope="module")
def drawn():
    sweep = sweep_of()
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    return setting, work(programs, [Piece(setting, 0, PARTICLES * REPETITIONS)], Control())


@pytest.fixture(scope="module")
def every_network(drawn):
    """(training errors, sums of weights) of all 2^16 networks of 16 binary weights."""
    setting, _ = drawn
    task = load_task(setting.task, 2, None)
    network = build(setting.model, (3,), 1)
    points, _ = enumerate_support(setting.spec.law, network.layout)
    outputs = jax.jit(jax.vmap(lambda t: network.apply(network.layout.unflatten(t), task.train.x)))(
        points
    )
    wrong = (np.asarray(outputs)[:, :, 0] > 0) != task.train.y
    return wrong.mean(axis=1), points.sum(axis=1)


def by_repetition(finished, values):
    """Weighted sums of each repetition, shape (repetitions,)."""
    weights = np.exp(finished.solutions.log_weight).reshape(REPETITIONS, PARTICLES)
    return (weights * values.reshape(REPETITIONS, PARTICLES)).sum(axis=1)


def assert_unbiased(estimates, truth):
    """Within 4.5 standard errors of the repetitions; a handful of comparisons are made."""
    error = estimates.std(ddof=1) / len(estimates) ** 0.5
    assert abs(estimates.mean() - truth) <= 4.5 * error + 1e-9


def test_the_density_of_states_is_that_of_all_networks(drawn, every_network):
    _, finished = drawn
    errors, _ = every_network
    found = finished.columns["train_error"]
    values = np.unique(errors)
    assert len(values) >= 6
    for value in values:
        assert_unbiased(by_repetition(finished, np.isclose(found, value)), (errors == value).mean())
    total = by_repetition(finished, np.ones(len(found)))
    np.testing.assert_allclose(total, 1.0, rtol=1e-6)


def test_jointly_with_another_column(drawn, every_network):
    """Of the sum of weights, among networks of each training error."""
    _, finished = drawn
    errors, sums = every_network
    found, theta = finished.columns["train_error"], finished.solutions.theta.sum(axis=1)
    for value in np.unique(errors)[:4]:
        truth = np.mean((errors == value) * (sums > 0))
        assert_unbiased(by_repetition(finished, np.isclose(found, value) * (theta > 0)), truth)


def test_rows_without_their_weights_are_caught(drawn, every_network):
    _, finished = drawn
    errors, _ = every_network
    share = np.isclose(finished.columns["train_error"], 0).reshape(REPETITIONS, -1).mean(axis=1)
    with pytest.raises(AssertionError):
        assert_unbiased(share, (errors == 0).mean())


def test_as_many_rows_as_particles_and_half_of_them_fit(drawn):
    _, finished = drawn
    fit = finished.solutions.fit.reshape(REPETITIONS, PARTICLES)
    assert np.all(fit.sum(axis=1) >= PARTICLES // 2)
    assert np.all((~fit).any(axis=1))


def test_thinning_keeps_the_weight_of_a_shell():
    rows = {"theta": np.zeros((9, 2)), "fit": np.zeros(9, bool), "ancestor": np.arange(9)}
    shell = Weighted.equally(rows, np.log(0.3))
    thin = shell.thinned(4, np.random.default_rng(0))
    assert len(thin.fit) == 4
    assert np.exp(thin.log_weight).sum() == pytest.approx(0.3)
    assert len(set(thin.ancestor)) == 4


def test_a_level_that_leaves_nobody_behind_adds_nothing():
    left = LeftBehind(8, jax.random.key(0))
    rows = {"theta": np.zeros((8, 1)), "fit": np.ones(8, bool), "ancestor": np.arange(8),
            "level": np.ones(8)}  # fmt: skip
    left.add(rows, 0.0, 0.0)
    last = Weighted.equally(rows, -1.0)
    assert np.exp(left.with_last(last).log_weight).sum() == pytest.approx(np.exp(-1))


def test_more_levels_than_rows_are_said():
    left = LeftBehind(8, jax.random.key(0))
    rows = {"theta": np.zeros((8, 1)), "fit": np.zeros(8, bool), "ancestor": np.arange(8),
            "level": np.arange(8.0)}  # fmt: skip
    for _ in range(4):
        left.add(rows, 3.0, 0.0)
    with pytest.raises(ValueError, match="5 levels are more than half of the 8 particles"):
        left.add(rows, 3.0, 0.0)


@pytest.mark.parametrize("accept", [{"train_loss": 0.1}, {"train_error": 0.0, "train_loss": 1.0}])
def test_climbing_the_error_needs_a_rule_of_the_error(accept):
    sweep = sweep_of(accept)
    (setting,) = settings(sweep)
    with pytest.raises(ValueError, match="climb: error is for"):
        open_source(setting, sweep.seed, sweep.folder, (), sweep.execution).prepare()


def test_climbing_to_functions_keeps_no_levels():
    with pytest.raises(ValidationError, match="not to functions"):
        Splitting(functions=("00000000",), keep_levels=True)
