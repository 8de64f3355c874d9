"""Cases and examples for the tests of training kernels."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sweep_engine.kernels.fused_training import plain
from sweep_engine.kernels.fused_training.case import (
    Adam,
    Case,
    Checks,
    Data,
    KernelState,
    Limits,
    Segment,
    Sgd,
)
from sweep_engine.kernels.fused_training.convolution import Convolution
from sweep_engine.lanes import STEADY
from tests.kernels.fused_training import raw

CASES = {
    "yardstick": Case((7, 40, 40, 1), num_examples=128),
    "ragged": Case((3, 5, 17, 1), "tanh", False, "logistic", "nesterov", 37, 5),
    "classes": Case((6, 20, 12, 4), "gelu", True, "cross_entropy", "adam", 51, 9),
    "many classes": Case((9, 33, 19), "relu", False, "cross_entropy", "nesterov", 40, 16),
    "deep linear": Case((5, 9, 9, 1), "linear", True, "squared", "sgd", 33),
    "one layer": Case((4, 1), "linear", True, "squared_labels", "adam", 20),
    "wide": Case((2, 64, 64, 64, 1), "tanh", True, "squared", "adam", 70),
    "signals": Case(
        (11, 6, 3),
        "tanh",
        True,
        "cross_entropy",
        "adam",
        37,
        5,
        (Convolution(5, 3, 1, ((2, 1),), max_pool=2), Convolution(3, 1, 2, ((0, 0),))),
        (11, 1),
    ),
    "images": Case(
        (60, 1),
        "gelu",
        False,
        "logistic",
        "nesterov",
        70,
        None,
        (
            Convolution(17, 3, 1, ((1, 1), (0, 2)), mean_pool=2),
            Convolution(3, 2, 3, ((0, 0), (1, 1))),
        ),
        (5, 6, 2),
    ),
    "pixels": Case(
        (81, 1),
        "relu",
        True,
        "squared",
        "sgd",
        33,
        16,
        (Convolution(16, 2, 1, ((0, 0),) * 2, max_pool=2, mean_pool=2),),
        (9, 9, 1),
    ),
    "norms": Case((3, 17, 6, 1), "tanh", True, "logistic", "nesterov", 37, norm="layer"),
    "blocks": Case(
        (4, *[18] * 5, 3),
        "gelu",
        True,
        "cross_entropy",
        "adam",
        40,
        9,
        norm="layer",
        residual=True,
    ),
    "scaled block": Case(
        (6, *[33] * 3, 1), "relu", False, "squared_labels", "sgd", 70, 16, norm="rms", residual=True
    ),
    "plain block": Case((3, *[7] * 3, 1), "tanh", False, "squared", "sgd", 33, residual=True),
}
"""Names the cases; the second convolution of images leaves out positions between its windows."""

SMOOTH = [name for name, case in CASES.items() if case.activation != "relu"]
KINKED = [name for name, case in CASES.items() if case.activation == "relu"]
BEYOND = [name for name, case in CASES.items() if case.convolutions or case.norm or case.residual]
"""Lists the cases of more than chains of dense layers."""

QUICKLY = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    **STEADY,
}
"""Have XLA compile quickly what is interpreted: its thousands of operations would take it long."""

Train = Callable[..., tuple[KernelState, Any]]


class Example(NamedTuple):
    """All that a segment is called with."""

    case: Case
    checks: Checks
    state: KernelState
    hyper: Sgd | Adam
    limits: Limits
    data: Data
    segment: Segment

    def run(self, train: Train, num_records: int = 4) -> tuple[KernelState, jax.Array]:
        """Train by an implementation, compiled."""

        return _compiled(train, self.case, self.checks, num_records)(*self[2:])

    def networks(self, chosen: slice) -> "Example":
        """The same with some of the networks alone."""
        state, hyper, limits, segment = jax.tree.map(
            lambda a: a[chosen], (self.state, self.hyper, self.limits, self.segment)
        )
        return Example(self.case, self.checks, state, hyper, limits, self.data, segment)

    def in_float64(self) -> "Example":
        """The same at double precision; call it under `jax.enable_x64`."""
        widened = jax.tree.map(
            lambda a: (
                jnp.asarray(np.asarray(a), jnp.float64)
                if jnp.issubdtype(a.dtype, jnp.floating)
                else a
            ),
            self[2:],
        )
        return Example(self.case, self.checks, *widened)


@functools.cache
def _compiled(train: Train, case: Case, checks: Checks, num_records: int) -> Callable[..., Any]:
    def call(*arrays: Any) -> tuple[KernelState, jax.Array]:
        return train(case, checks, *arrays, num_records=num_records)

    return jax.jit(call, compiler_options=QUICKLY if train is raw.tpu_interpreted else None)


def make(case: Case, num_runs: int, turns: int, *, seed: int = 0, every: int = 4) -> Example:
    """Draw examples, networks and hyperparameters; no rule ends a run."""
    rng = np.random.default_rng([seed, num_runs])
    data_rng = np.random.default_rng(0)
    x = data_rng.normal(size=(case.num_examples, case.widths[0])).astype(np.float32)
    num_labels = max(2, case.widths[-1])
    y = data_rng.integers(num_labels, size=case.num_examples).astype(np.int32)
    if case.loss == "squared":
        y = data_rng.normal(size=case.num_examples).astype(np.float32)
    fan_in = np.concatenate([np.full((n + case.bias) * m, n) for n, m, _ in case.layers])
    of_norms = np.full(case.num_params - len(fan_in), 4)  # gains of 1/2 to 3/2
    theta = rng.normal(size=(num_runs, case.num_params)) / np.sqrt([*fan_in, *of_norms])
    indices = rng.integers(
        case.num_examples, size=(num_runs, turns if case.minibatch else 0, case.minibatch or 0)
    )
    return Example(
        case,
        Checks(every, "train_loss", stop_at_fit=False),
        plain.start(case, jnp.asarray(theta, jnp.float32)),
        hyperparameters(case, rng, num_runs),
        Limits(
            jnp.full(num_runs, 10**6, jnp.int32),
            jnp.full(num_runs, 0.3, jnp.float32),
            jnp.full(num_runs, -jnp.inf, jnp.float32),
        ),
        Data(jnp.asarray(x), jnp.asarray(y)),
        Segment(jnp.full(num_runs, turns, jnp.int32), jnp.asarray(indices, jnp.int32)),
    )


def hyperparameters(case: Case, rng: np.random.Generator, num_runs: int) -> Sgd | Adam:
    """Draw some for every network."""

    def between(low: float, high: float) -> jax.Array:
        return jnp.asarray(rng.uniform(low, high, num_runs), jnp.float32)

    l2, decay = between(0.001, 0.01), between(0.001, 0.01)
    if case.optimizer == "adam":
        return Adam(
            between(0.001, 0.01), between(0.8, 0.95), between(0.9, 0.999), between(1e-6, 1e-4),
            l2, decay,
        )  # fmt: skip
    return Sgd(between(0.01, 0.05), between(0.5, 0.9), l2, decay)
