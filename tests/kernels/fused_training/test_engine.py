"""A segment is what the engine's `train` source does: same steps, same checks, same ends."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.kernels.fused_training import case as cases
from sweep_engine.kernels.fused_training import cpu, plain
from sweep_engine.keys import Purpose, halves, permutation, run_key, sweep_key
from sweep_engine.solutions import RunStatus, Solutions
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.tasks import Boolean
from sweep_engine.tasks import load_task
from tests.kernels.fused_training.cases import Example

NUM_RUNS, SEED, MAX_STEPS, EVERY = 24, 7, 60, 3
TASK = Boolean(bits=4, target="x1 ^ x2", train=9)
OPTIMIZERS = {
    "sgd": {"kind": "sgd", "learning_rate": 0.5, "momentum": 0.8},
    "nesterov": {"kind": "sgd", "learning_rate": 0.5, "momentum": 0.8, "nesterov": True},
    "adam": {"kind": "adam", "learning_rate": 0.05, "eps": 1e-4},
}
PENALTIES = {"l2": 0.003, "weight_decay": 0.002}


def by_engine(optimizer: dict, batch_size: int | str, stop: dict) -> Solutions:
    source = {
        "kind": "train",
        "init": {"kind": "gaussian", "std": 0.7, "shared": True},
        "optimizer": optimizer | PENALTIES,
        "batch_size": batch_size,
        "stop": {"max_steps": MAX_STEPS, "check_every": EVERY} | stop,
        "runs": NUM_RUNS,
    }
    model = {"kind": "mlp", "widths": [6], "activation": "tanh"}
    sweep = Sweep(name="engine", seed=SEED, task=TASK, model=model, sources={"sgd": source})
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    return work(programs, [Piece(setting, 0, NUM_RUNS)], Control()).solutions


def orders(run_ids: np.ndarray, num_examples: int, minibatch: int) -> jax.Array:
    """The engine's minibatches: every epoch an order of its own, what is left over skipped."""
    steps = num_examples // minibatch
    num_epochs = -(-(MAX_STEPS + 1) // steps)

    def of_run(words: jax.Array) -> jax.Array:
        key = run_key(sweep_key(SEED), words, Purpose.MINIBATCH)

        def epoch(i: jax.Array) -> jax.Array:
            order = permutation(jax.random.fold_in(key, i), num_examples)
            return order[: steps * minibatch].reshape(steps, minibatch)

        return jax.vmap(epoch)(jnp.arange(num_epochs)).reshape(-1, minibatch)[: MAX_STEPS + 1]

    return jax.vmap(of_run)(jnp.asarray(halves(run_ids))).astype(jnp.int32)


@pytest.mark.parametrize(
    ("name", "batch_size"),
    [
        pytest.param("sgd", "full", marks=pytest.mark.long),
        ("nesterov", 4),
        pytest.param("adam", 4, marks=pytest.mark.long),
    ],
)
def test_segment_is_the_engines_training(name, batch_size):
    optimizer = OPTIMIZERS[name]
    starts = by_engine(optimizer, batch_size, {"train_loss": 1e9, "fit": False})
    landed = by_engine(optimizer, batch_size, {})
    data = load_task(TASK, SEED, Path()).train
    minibatch = None if batch_size == "full" else int(batch_size)
    case = cases.Case((4, 6, 1), "tanh", True, "logistic", name, len(data), minibatch)

    def every(value: float) -> jax.Array:
        return jnp.full(NUM_RUNS, value, jnp.float32)

    rate, decays = every(optimizer["learning_rate"]), [every(PENALTIES[k]) for k in PENALTIES]
    if name == "adam":
        hyper = cases.Adam(rate, every(0.9), every(0.999), every(optimizer["eps"]), *decays)
    else:
        hyper = cases.Sgd(rate, every(optimizer["momentum"]), *decays)
    indices = jnp.zeros((NUM_RUNS, 0, 0), jnp.int32)
    if minibatch:
        indices = orders(landed.run_id, len(data), minibatch)
    example = Example(
        case,
        cases.Checks(EVERY),
        plain.start(case, jnp.asarray(starts.theta)),
        hyper,
        cases.Limits(jnp.full(NUM_RUNS, MAX_STEPS, jnp.int32), every(0.0), every(-jnp.inf)),
        cases.Data(jnp.asarray(data.x), jnp.asarray(data.y)),
        cases.Segment(jnp.full(NUM_RUNS, MAX_STEPS + 1, jnp.int32), indices),
    )
    state, _ = example.run(cpu.train_segment)
    assert_same_training(state, landed, example)
    wrong = example._replace(hyper=hyper._replace(l2=1.05 * hyper.l2))
    with pytest.raises(AssertionError):
        assert_same_training(wrong.run(cpu.train_segment)[0], landed, example)


def assert_same_training(state: cases.KernelState, landed: Solutions, example: Example) -> None:
    """The same ends, and parameters as near to float64's as the engine's are.

    A run ends elsewhere if an output is within rounding, some 1e-6, of 0 at a check: of 9
    examples at 20 checks, 2e-4 of the runs, so that two of 24 do once in 100,000 times.
    Rounding errors of kernel and engine are alike in size and independent: the factor leaves
    room for the order of their sums.
    """
    with jax.enable_x64(True):
        truth, _ = example.in_float64().run(plain.train_segment)
    assert set(landed.status.tolist()) >= {RunStatus.FIT}
    same = (np.asarray(state.step) == landed.steps) & (np.asarray(truth.step) == landed.steps)
    assert same.sum() >= NUM_RUNS - 1
    np.testing.assert_array_equal(np.asarray(state.status)[same], landed.status[same])
    np.testing.assert_array_equal(np.asarray(state.fit_step)[same], landed.fit_step[same])

    def distances(theta: np.ndarray) -> np.ndarray:
        return np.linalg.norm((theta - np.asarray(truth.theta))[same], axis=1)

    assert np.median(distances(np.asarray(state.theta))) <= 10 * np.median(distances(landed.theta))


def test_the_numbers_of_the_ends_are_the_engines():
    for status in list(RunStatus)[:5]:
        assert getattr(cases, status.name) == status
