"""Random search, pattern search and Langevin noise as ways to train."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from pydantic import ValidationError

from sweep_engine.keys import Purpose, halves, run_key, sweep_key
from sweep_engine.lanes import Program
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.sources import Train

NUM_RUNS, STEPS, HIDDEN, LANES, SEED = 12, 60, 3, 4, 5
TASK = {"kind": "boolean", "bits": 3, "target": "x1 ^ x2", "train": 6, "inputs": "plus_minus"}
MODEL = {"kind": "mlp", "widths": [HIDDEN], "activation": "tanh"}
NUM_PARAMS = 3 * HIDDEN + HIDDEN + HIDDEN + 1

OPTIMIZERS = {
    "random_search": ({"std": 0.5}, {"std": [0.5, 5.0], "patience": [7, 3], "shrink": [0.5, 0.4]}),
    "pattern_search": ({"step_size": 4.0}, {"step_size": [4.0, 0.5], "shrink": [0.5, 0.25]}),
    "langevin": (
        {"learning_rate": 0.1, "schedule": {"kind": "cosine", "steps": 40}},
        {
            "learning_rate": [0.1, 0.2],
            "temperature": [0.05, 0.5],
            "l2": [0.0, 0.1],
            "weight_decay": [0.0, 0.1],
        },
    ),
}
"""An optimiser, and the values of its traced fields in the two settings of one program."""


def _sweep(optimizer, *, model=MODEL, axes=None, steps=STEPS, **source):
    train = {
        "kind": "train",
        "init": {"kind": "gaussian", "std": 1.0, "shared": True},
        "optimizer": optimizer,
        "stop": {"fit": False, "max_steps": steps},
        "runs": NUM_RUNS,
    }
    return Sweep(
        name="search",
        seed=SEED,
        task=TASK,
        model=model,
        sources={"source": train | source},
        axes={"zip": [{f"sources.source.{k}": v for k, v in axes.items()}]} if axes else {},
        execution={"lanes": LANES},
    )


def _open(sweep):
    found = settings(sweep)
    return found, open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)


@functools.cache
def _opened(kind):
    fixed, swept = OPTIMIZERS[kind]
    axes = {f"optimizer.{field}": values for field, values in swept.items()}
    return _open(_sweep({"kind": kind} | fixed, axes=axes))


@functools.cache
def _finished(kind):
    found, programs = _opened(kind)
    return work(programs, [Piece(setting, 0, NUM_RUNS) for setting in found], Control())


@functools.cache
def _starts():
    """The initial parameters, which all share: runs that end at step 0, as any loss will do."""
    stop = {"fit": False, "train_loss": 1e9}
    (setting,), programs = _open(_sweep({"kind": "sgd"}, stop=stop))
    return work(programs, [Piece(setting, 0, NUM_RUNS)], Control()).solutions.theta.astype(float)


# --- The algorithms, once more in plain NumPy ------------------------------------------------


def _cut(theta):
    cuts = np.cumsum([3 * HIDDEN, HIDDEN, HIDDEN])
    kernel, bias, out, out_bias = np.split(theta, cuts)
    return kernel.reshape(3, HIDDEN), bias, out, out_bias


def _loss(theta):
    task = _opened("random_search")[1].bucket.task
    kernel, bias, out, out_bias = _cut(theta)
    outputs = np.tanh(task.train.x.astype(float) @ kernel + bias) @ out + out_bias
    return np.logaddexp(0, -(2.0 * task.train.y - 1) * outputs).mean()


def _gradient(theta):
    steps = 1e-6 * np.eye(NUM_PARAMS)
    return np.array([(_loss(theta + step) - _loss(theta - step)) / 2e-6 for step in steps])


@functools.cache
def _places():
    """Where in theta each number is that an optimiser draws for a parameter."""
    layout = _opened("random_search")[1].bucket.network.layout
    tree = layout.unflatten(jnp.arange(NUM_PARAMS, dtype=jnp.float32))
    return np.asarray(ravel_pytree(tree)[0]).astype(int)


class _Draws:
    """What a run draws, by its own key."""

    def __init__(self, run_id):
        self.key = run_key(sweep_key(SEED), halves(np.array([run_id]))[0], Purpose.OPTIMIZER)

    def noise(self, step):
        drawn = np.zeros(NUM_PARAMS)
        key = jax.random.fold_in(self.key, step)
        drawn[_places()] = np.asarray(jax.random.normal(key, (NUM_PARAMS,)))
        return drawn

    def order(self, sweep):
        key = jax.random.fold_in(self.key, sweep)
        return np.asarray(jax.random.permutation(key, 2 * NUM_PARAMS))


def _random_search(spec, theta, draws):
    std, failures = spec.std, 0
    for step in range(STEPS):
        candidate = theta + std * draws.noise(step)
        if _loss(candidate) < _loss(theta):
            theta, failures = candidate, 0
        else:
            failures += 1
        if failures == spec.patience:
            std, failures = std * spec.shrink, 0
    return theta


def _pattern_search(spec, theta, draws):
    size, step = spec.step_size, 0
    for sweep in itertools.count():
        improved = False
        for move in draws.order(sweep):
            if step == STEPS:
                return theta
            candidate = theta.copy()
            candidate[_places()[move // 2]] += size if move % 2 == 0 else -size
            if _loss(candidate) < _loss(theta):
                theta, improved = candidate, True
            step += 1
        size *= 1.0 if improved else spec.shrink


def _langevin(spec, theta, draws):
    for step in range(STEPS):
        rate = spec.learning_rate * (1 + np.cos(np.pi * min(step / 40, 1))) / 2
        drift = _gradient(theta) + (spec.l2 + spec.weight_decay) * theta
        noise = np.sqrt(2 * rate * spec.temperature / 6) * draws.noise(step)
        theta = theta - rate * drift + noise
    return theta


PLAIN = {"random_search": _random_search, "pattern_search": _pattern_search, "langevin": _langevin}


@pytest.mark.parametrize("kind", PLAIN)
def test_training_is_the_plain_loop(kind):
    found, _ = _opened(kind)
    solutions = _finished(kind).solutions
    assert np.all(solutions.status == RunStatus.MAX_STEPS)
    moved = np.linalg.norm(solutions.theta.reshape(2, NUM_RUNS, -1) - _starts(), axis=2)
    assert np.all(moved > 0.1)
    for index in (0, NUM_RUNS + 1):
        spec = found[index // NUM_RUNS].spec.optimizer
        start, draws = _starts()[index % NUM_RUNS], _Draws(solutions.run_id[index])
        expected = PLAIN[kind](spec, start, draws)
        # float32 steps of order 1, a hundred times a rounding.
        np.testing.assert_allclose(solutions.theta[index], expected, atol=2e-4)
        other = PLAIN[kind](spec, start, _Draws(solutions.run_id[index] + 1))
        assert np.abs(solutions.theta[index] - other).max() > 1e-2


@pytest.mark.parametrize("kind", ["random_search", "pattern_search"])
def test_search_never_climbs(kind):
    finished = _finished(kind)
    curves = finished.curves
    for run in finished.solutions.run_id:
        losses = curves.train_loss[curves.run_id == run]
        assert np.all(np.diff(losses) <= 1e-6)
        assert losses[-1] < losses[0]


class Threshold(nn.Module):
    """A network whose gradient is 0 wherever there is one."""

    @nn.compact
    def __call__(self, x):
        x = jnp.sign(nn.Dense(4)(x))
        return jnp.sign(nn.Dense(1)(x))


def _land_without_slope(optimizer):
    """theta after 1 and after 200 steps."""
    found, programs = _open(_sweep(optimizer, model=Threshold(), axes={"stop.max_steps": [1, 200]}))
    landed = work(programs, [Piece(setting, 0, NUM_RUNS) for setting in found], Control())
    return landed.solutions.theta.reshape(2, NUM_RUNS, -1)


def test_search_needs_no_gradient_and_gradient_descent_does():
    """Search moves only where the loss falls."""
    start, landed = _land_without_slope({"kind": "sgd"})
    np.testing.assert_array_equal(start, landed)
    for optimizer in ({"kind": "random_search", "std": 1.0}, {"kind": "pattern_search"}):
        landed = _land_without_slope(optimizer)[1]
        assert np.any(landed != start, axis=1).mean() > 0.5


# --- Runs are runs ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_same_bits_whatever_lane_and_neighbours(kind):
    found, programs = _opened(kind)
    reference = _finished(kind).solutions
    before = Program.num_compilations
    pieces = [Piece(found[1], 3, 8), Piece(found[0], 7, 9), Piece(found[1], 0, 2)]
    again = work(programs, pieces, Control()).solutions
    assert Program.num_compilations == before
    at = {run: row for row, run in enumerate(reference.run_id)}
    rows = [at[run] for run in again.run_id]
    np.testing.assert_array_equal(again.theta, reference.theta[rows])


def test_search_stops_where_the_rule_holds():
    stop = {"max_steps": 3000, "check_every": 10}
    (setting,), programs = _open(_sweep({"kind": "random_search", "std": 1.0}, stop=stop))
    found = work(programs, [Piece(setting, 0, NUM_RUNS)], Control())
    fit = found.solutions.status == RunStatus.FIT
    assert fit.sum() > NUM_RUNS / 2
    np.testing.assert_array_equal(found.columns["train_error"] == 0, fit)
    assert np.all(found.solutions.steps[fit] % 10 == 0)


@pytest.mark.parametrize("kind", ["random_search", "pattern_search"])
def test_search_compares_losses_over_the_whole_training_set(kind):
    with pytest.raises(ValidationError, match=f"{kind} compares losses .* must be full"):
        Train.model_validate({"optimizer": {"kind": kind}, "batch_size": 3, "runs": 1})
