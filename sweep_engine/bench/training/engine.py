"""The JAX contenders: this engine, by its own path, and `jit(vmap(scan))` in one piece."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from sweep_engine.bench.shards import work_on_shards
from sweep_engine.bench.training.contender import Bare, Losses, Run
from sweep_engine.bench.training.problem import MOMENTUM, Problem, Workload
from sweep_engine.sources import TrainPrograms


class Engine:
    """This engine by XLA: shards of runs, as many at once as the local backend has workers.

    All that it does for a run is timed: drawing, training, checks, harvest, observables. Only
    Parquet is not written.
    """

    name = "this engine"
    most_networks = None

    def least_steps(self, workload: Workload) -> int:
        return workload.steps

    def suits(self, problem: Problem) -> bool:
        return True

    def programs(self, problem: Problem) -> TrainPrograms:
        """The programs that train."""
        return problem.programs

    def prepare(self, problem: Problem, steps: int) -> Run:
        pieces, programs = problem.pieces(steps), self.programs(problem)

        def run() -> Losses:
            done = work_on_shards(programs, pieces)
            return lambda: np.concatenate([finished.columns["train_loss"] for finished in done])

        return run


class Kernel(Engine):
    """The same by the CPU kernel, which a sweep takes where it wins the race."""

    name = "engine (cpu kernel)"

    def suits(self, problem: Problem) -> bool:
        return not problem.programs.obstacles("cpu")

    def programs(self, problem: Problem) -> TrainPrograms:
        return problem.by_kernel


class BestTile(Engine):
    """The same by XLA at the width of a block that is the fastest here, whatever the rule says."""

    name = "engine (best XLA tile)"

    def __init__(self) -> None:
        self._widths: dict[str, int] = {}

    def suits(self, problem: Problem) -> bool:
        return not problem.programs.obstacles("cpu")

    def programs(self, problem: Problem) -> TrainPrograms:
        name = problem.workload.name
        if name not in self._widths:
            self._widths[name] = problem.best_width()
        return problem.at_width(self._widths[name])


class OnePiece(Bare):
    """`jit(vmap(scan))` of flax and optax: all networks in one vmap, all steps in one scan."""

    name = "jit(vmap(scan))"

    def prepare(self, problem: Problem, steps: int) -> Run:
        module, loss = problem.workload.module, problem.bucket.task.loss
        x, y = jnp.asarray(problem.x), jnp.asarray(problem.y)
        params = jax.vmap(problem.network.layout.unflatten)(jnp.asarray(problem.theta))
        rates, rule = jnp.asarray(problem.rates), problem.workload.optimizer
        indices = problem.minibatches(steps)

        def objective(params: Any, x: Array, y: Array) -> Array:
            return loss.mean(module.apply({"params": params}, x), y)

        def train(params: Any, rate: Array, indices: Array | None) -> Any:
            optimizer = optax.adam(rate) if rule == "adam" else optax.sgd(rate, momentum=MOMENTUM)

            def step(carry: tuple[Any, Any], index: Array | None) -> tuple[tuple[Any, Any], None]:
                params, state = carry
                examples = (x, y) if index is None else (x[index], y[index])
                gradient = jax.grad(objective)(params, *examples)
                updates, state = optimizer.update(gradient, state)
                return (optax.apply_updates(params, updates), state), None

            start = (params, optimizer.init(params))
            return jax.lax.scan(step, start, indices, length=steps)[0][0]

        axes = (0, 0, None if indices is None else 0)
        program = jax.jit(jax.vmap(train, in_axes=axes))
        losses = jax.jit(jax.vmap(objective, in_axes=(0, None, None)))
        given = None if indices is None else jnp.asarray(indices)

        def run() -> Losses:
            with jax.default_matmul_precision("highest"):
                trained = jax.block_until_ready(program(params, rates, given))
            return lambda: np.asarray(losses(trained, x, y))

        return run
