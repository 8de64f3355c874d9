"""The engine's training is a plain float64 NumPy loop of the same algorithm."""

import functools
import itertools
from pathlib import Path

import jax
import numpy as np
import pytest

from sweep_engine.keys import Purpose, halves, permutation, run_key, sweep_key
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.tasks import Boolean
from sweep_engine.tasks import load_task
from tests.sources.plain_optimizers import PlainOptimizer

NUM_RUNS, STEPS, HIDDEN, SEED = 3, 50, 5, 7
SHAPES = [(4, HIDDEN), (HIDDEN,), (HIDDEN, 1), (1,)]
TASK = Boolean(bits=4, target="x1 ^ x2", train=9)
X = load_task(TASK, SEED, Path()).train.x.astype(float)
Y = load_task(TASK, SEED, Path()).train.y

SGD = {"kind": "sgd", "learning_rate": 0.3}
ADAM = {"kind": "adam", "learning_rate": 0.02, "b1": 0.8, "b2": 0.95, "eps": 1e-4}
RMSPROP = {"kind": "rmsprop", "learning_rate": 0.01, "decay": 0.9, "eps": 1e-3}

PENALTIES = {"l2": [0.0, 0.05, 0.0], "weight_decay": [0.0, 0.0, 0.05]}
TWICE = {field: 2 * values for field, values in PENALTIES.items()}

PROGRAMS = {
    "sgd": (SGD, TWICE | {"momentum": [0.0, 0.0, 0.0, 0.8, 0.8, 0.8]}),
    "nesterov": (SGD | {"momentum": 0.8, "nesterov": True}, PENALTIES),
    "adam": (ADAM, PENALTIES),
    "rmsprop": (RMSPROP, TWICE | {"momentum": [0.0, 0.0, 0.0, 0.5, 0.5, 0.5]}),
    "clipped": (SGD | {"momentum": 0.8, "l2": 0.05}, {"clip_norm": [0.02, 0.1, 10.0]}),
    "adagrad": ({"kind": "adagrad", "learning_rate": 0.2}, {"initial": [0.1, 0.0, 0.5]}),
    "group_rmsprop": (
        {"kind": "group_rmsprop", "learning_rate": 0.05, "eps": 1e-2},
        PENALTIES | {"decay": [0.9, 0.5, 0.99]},
    ),
    "sign": ({"kind": "sign", "learning_rate": 0.02}, PENALTIES | {"momentum": [0.0, 0.5, 0.9]}),
    "lion": (
        {"kind": "lion", "learning_rate": 0.02},
        PENALTIES | {"b1": [0.9, 0.5, 0.8], "b2": [0.99, 0.9, 0.7]},
    ),
    "muon": (
        {"kind": "muon", "learning_rate": 0.02, "eps": 1e-4},
        PENALTIES | {"momentum": [0.95, 0.95, 0.5], "vector_scale": [1.0, 0.5, 0.1]},
    ),
    "sam": (
        {"kind": "sam", "learning_rate": 0.3, "momentum": 0.2},
        PENALTIES | {"radius": [0.0, 0.2, 0.5]},
    ),
    "sharpness_limited": (
        {"kind": "sharpness_limited"},
        PENALTIES | {"share": [0.2, 0.2, 0.1], "learning_rate": [100.0, 1.0, 100.0]},
    ),
    "straight_through": (
        {"kind": "straight_through", "learning_rate": 0.3, "momentum": 0.5},
        PENALTIES | {"scale": [0.5, 1.0, 2.0]},
    ),
}
"""An optimiser, and the values of its other fields in the runs of one program."""

SCHEDULES = {
    "cosine": {"kind": "cosine", "steps": 30, "final_fraction": 0.1},
    "warm_up": {"kind": "warm_up", "steps": 20},
    "step": {"kind": "step", "every": 15, "factor": 0.5},
}


def _sweep(optimizer, changes=None, batch_size="full", stop=None, **fields):
    source = {
        "kind": "train",
        "init": {"kind": "gaussian", "std": 0.7, "shared": True},
        "optimizer": optimizer,
        "batch_size": batch_size,
        "stop": {"fit": False, "max_steps": STEPS} | (stop or {}),
        "runs": NUM_RUNS,
    } | fields
    axes = {f"sources.sgd.optimizer.{field}": values for field, values in (changes or {}).items()}
    return Sweep(
        name="reference",
        seed=SEED,
        task=TASK,
        model={"kind": "mlp", "widths": [HIDDEN], "activation": "tanh"},
        sources={"sgd": source},
        axes={"zip": [axes]} if axes else {},
    )


def _engine(sweep):
    """Per setting: its source, the runs' ids, and theta where they end."""
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    landed = work(programs, [Piece(setting, 0, NUM_RUNS) for setting in found], Control()).solutions
    shape = (len(found), NUM_RUNS, -1)
    theta = landed.theta.astype(float).reshape(shape)
    return list(zip(found, landed.run_id.reshape(shape[:2]), theta, strict=True))


@functools.cache
def _starts():
    """The initial parameters, which all share: runs that end at step 0, as any loss will do."""
    ((_, _, theta),) = _engine(_sweep(SGD, stop={"train_loss": 1e9}))
    return theta


@functools.cache
def _trained(program, batch_size):
    optimizer, changes = PROGRAMS[program]
    return _engine(_sweep(optimizer, changes, batch_size))


def _gradient(theta, x, y):
    """Of the mean of ln(1 + exp(-s f)), s = 2y - 1, of a tanh network, by hand."""
    inputs = x.shape[1]
    kernel, bias, out, out_bias = np.split(theta, np.cumsum([inputs * HIDDEN, HIDDEN, HIDDEN]))
    hidden = np.tanh(x @ kernel.reshape(inputs, HIDDEN) + bias)
    sign = 2.0 * y - 1
    of_output = -sign / (1 + np.exp(sign * (hidden @ out + out_bias))) / len(x)
    of_hidden = np.outer(of_output, out) * (1 - hidden**2)
    return np.concatenate(
        [(x.T @ of_hidden).ravel(), of_hidden.sum(0), hidden.T @ of_output, [of_output.sum()]]
    )


def _factor(schedule, step):
    """What the learning rate is multiplied by."""
    match schedule["kind"]:
        case "cosine":
            done = min(step / schedule["steps"], 1)
            final = schedule["final_fraction"]
            return final + (1 - final) * (1 + np.cos(np.pi * done)) / 2
        case "warm_up":
            return min((step + 1) / schedule["steps"], 1)
        case "step":
            return schedule["factor"] ** (step // schedule["every"])
        case _:
            return 1.0


def _minibatches(run_id, num_examples, batch_size):
    """The run's own order by its address: (seed, run id, purpose), then the epoch."""
    if batch_size == "full":
        yield from itertools.repeat(np.arange(num_examples))
    key = run_key(sweep_key(SEED), halves(np.array([run_id]))[0], Purpose.MINIBATCH)
    per_epoch = num_examples // batch_size
    for epoch in itertools.count():
        order = permutation(jax.random.fold_in(key, epoch), num_examples)
        yield from np.asarray(order)[: per_epoch * batch_size].reshape(per_epoch, batch_size)


def _plain_loop(source, run_id, theta, **changes):
    optimizer = source.optimizer.model_dump() | changes
    plain = PlainOptimizer(optimizer, SHAPES, [False, True, False, True], _drawn(run_id))
    minibatches = _minibatches(run_id, len(X), source.batch_size)
    for step, index in zip(range(STEPS), minibatches, strict=False):
        rate = optimizer["learning_rate"] * _factor(optimizer["schedule"], step)
        theta = plain.step(theta, functools.partial(_gradient, x=X[index], y=Y[index]), rate)
    return theta


def _drawn(run_id):
    """The unit vector that a run's optimiser draws, by its address."""
    key = run_key(sweep_key(SEED), halves(np.array([run_id]))[0], Purpose.OPTIMIZER)
    drawn = np.asarray(jax.random.normal(key, (sum(map(np.prod, SHAPES)),)), float)
    return drawn / np.linalg.norm(drawn)


def _plain_loops(setting, ids, **changes):
    runs = zip(ids, _starts(), strict=True)
    return np.array([_plain_loop(setting.spec, *run, **changes) for run in runs])


def _assert_plain_loop(trained, atol=1e-5):
    for setting, ids, theta in trained:
        assert np.abs(theta - _starts()).max() > 0.1
        # 50 steps of float32 rounding, 6e-8 each, amplified by a few.
        np.testing.assert_allclose(theta, _plain_loops(setting, ids), rtol=1e-4, atol=atol)


@pytest.mark.parametrize(
    ("program", "batch_size"), [*((name, "full") for name in PROGRAMS), ("sgd", 4), ("adam", 4)]
)
def test_optimisers(program, batch_size):
    # Where the two largest curvatures cross, power iteration amplifies rounding a hundredfold;
    # AdaGrad that starts at 0 divides its first gradients by themselves, however small.
    atol = 2e-4 if program in {"sharpness_limited", "adagrad"} else 1e-5
    _assert_plain_loop(_trained(program, batch_size), atol)


def _flips(run_id, step):
    """Which labels of a full batch are flipped at a step, by the run's own address."""
    key = run_key(sweep_key(SEED), halves(np.array([run_id]))[0], Purpose.LABEL_NOISE)
    whether, _ = jax.random.split(jax.random.fold_in(key, step))
    return np.asarray(jax.random.uniform(whether, (len(X),))) < 0.3


def test_label_noise_is_drawn_anew_at_every_step():
    ((_, ids, theta),) = _engine(_sweep(SGD, label_noise={"share": 0.3}))
    expected, shares = [], []
    for run_id, start in zip(ids, _starts(), strict=True):
        for step in range(STEPS):
            flips = _flips(run_id, step)
            shares.append(flips.mean())
            start = start - 0.3 * _gradient(start, X, np.where(flips, 1 - Y, Y))
        expected.append(start)
    np.testing.assert_allclose(theta, expected, rtol=1e-4, atol=1e-5)
    # 1,350 labels: a standard error of 0.012
    assert abs(np.mean(shares) - 0.3) < 0.06


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(schedule):
    _assert_plain_loop(_engine(_sweep(ADAM | {"kind": "adamw", "schedule": SCHEDULES[schedule]})))


@pytest.mark.parametrize(
    "wrong", [{"l2": 0.01}, {"weight_decay": 0.01}, {"learning_rate": 0.301}, {"momentum": 0.79}]
)
def test_a_slightly_different_algorithm_is_caught(wrong):
    setting, ids, theta = _trained("sgd", "full")[3]
    assert np.abs(theta - _plain_loops(setting, ids, **wrong)).max() > 1e-3


@pytest.mark.parametrize(
    ("program", "wrong"),
    [
        ("clipped", {"clip_norm": 9.0}),
        ("adagrad", {"initial": 0.4}),
        ("group_rmsprop", {"decay": 0.98}),
        ("sign", {"momentum": 0.85}),
        ("lion", {"b1": 0.7}),
        ("muon", {"momentum": 0.45}),
        ("muon", {"vector_scale": 0.2}),
        ("muon", {"iterations": 4}),
        ("sam", {"radius": 0.45}),
        ("sharpness_limited", {"share": 0.11}),
        ("sharpness_limited", {"iterations": 1}),
        ("straight_through", {"momentum": 0.4}),
    ],
)
def test_another_value_of_an_optimiser_is_caught(program, wrong):
    setting, ids, theta = _trained(program, "full")[2 if "clip_norm" not in wrong else 1]
    assert np.abs(theta - _plain_loops(setting, ids, **wrong)).max() > 1e-3


def test_another_order_of_the_examples_is_caught():
    setting, ids, theta = _trained("sgd", 4)[3]
    assert np.abs(theta - _plain_loops(setting, ids[::-1])).max() > 1e-2


def test_an_l2_penalty_is_weight_decay_under_plain_sgd_only():
    def distance(program, first=0):
        _, (_, _, with_l2), (_, _, with_decay) = _trained(program, "full")[first : first + 3]
        return np.abs(with_l2 - with_decay).max()

    assert distance("sgd") < 1e-5
    assert distance("sgd", first=3) > 1e-2  # with momentum
    assert distance("nesterov") > 1e-2
    assert distance("adam") > 1e-2


def test_gradient_by_hand():
    """The oracle's own oracle: central differences."""
    rng = np.random.default_rng(0)
    theta, x, y = (
        rng.normal(size=4 * HIDDEN + 2 * HIDDEN + 1),
        rng.normal(size=(6, 4)),
        np.arange(6) % 2,
    )

    def loss(theta):
        kernel, bias, out, out_bias = np.split(theta, np.cumsum([4 * HIDDEN, HIDDEN, HIDDEN]))
        output = np.tanh(x @ kernel.reshape(4, HIDDEN) + bias) @ out + out_bias
        return np.mean(np.log1p(np.exp(-(2.0 * y - 1) * output)))

    steps = 1e-5 * np.eye(len(theta))
    slope = [(loss(theta + step) - loss(theta - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(_gradient(theta, x, y), slope, atol=1e-8)
