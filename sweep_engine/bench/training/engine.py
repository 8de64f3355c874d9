"""The JAX contenders: this engine by its own paths, and plain JAX in one piece and in tiles."""

import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from sweep_engine.bench.shards import work_on_shards
from sweep_engine.bench.timing import interleaved
from sweep_engine.bench.training.contender import Bare, Losses, Run
from sweep_engine.bench.training.problem import MOMENTUM, Problem, Workload
from sweep_engine.kernels.native import COMPILERS
from sweep_engine.sources.train.programs import TrainPrograms

Train = Callable[[Any], Any]
"""Parameters, rates and indices to trained parameters, of one network or of all."""

TILES = (4, 16, 64, 128)


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


def can_build_kernels() -> bool:
    """Say whether JAX computes on CPUs here, and there is a compiler of C++."""
    return jax.default_backend() == "cpu" and any(map(shutil.which, COMPILERS))


class Kernel(Engine):
    """The same by the CPU kernel, which a sweep takes where it wins the race."""

    name = "engine (cpu kernel)"

    def suits(self, problem: Problem) -> bool:
        return not problem.programs.obstacles("cpu")

    def programs(self, problem: Problem) -> TrainPrograms:
        return problem.by_kernel


class OnePiece(Bare):
    """`jit(vmap(scan))` of flax and optax: all networks in one vmap, all steps in one scan."""

    name = "jit(vmap(scan))"

    def prepare(self, problem: Problem, steps: int) -> Run:
        return _trained(problem, steps, jax.vmap)


class Tiles(Bare):
    """The same in tiles, one after another: `lax.map(batch_size=K)` at the K that is fastest."""

    name = "jit(map(vmap(scan))), best tile"

    def __init__(self) -> None:
        self._fastest: dict[tuple[str, int], int] = {}

    def prepare(self, problem: Problem, steps: int) -> Run:
        case = problem.workload.name, problem.networks
        if case not in self._fastest:
            tiles = [k for k in TILES if k <= problem.networks] or TILES[:1]
            runs = {str(k): _trained(problem, 1, partial(_mapped, tile=k)) for k in tiles}
            times = interleaved(runs, warm_ups=1, repeats=3)
            self._fastest[case] = min(tiles, key=lambda k: times[str(k)].low)
        return _trained(problem, steps, partial(_mapped, tile=self._fastest[case]))


def _mapped(train: Train, tile: int) -> Train:
    return lambda networks: jax.lax.map(train, networks, batch_size=tile)


def _trained(problem: Problem, steps: int, over_networks: Callable[[Train], Train]) -> Run:
    """Training as flax and optax have it, of one network and then of all."""
    module, loss = problem.workload.module, problem.bucket.task.loss
    x, y = jnp.asarray(problem.x), jnp.asarray(problem.y)
    params = jax.vmap(problem.network.layout.unflatten)(jnp.asarray(problem.theta))
    indices = problem.minibatches(steps)
    given = None if indices is None else jnp.asarray(indices)
    networks = params, jnp.asarray(problem.rates), given
    rule = problem.workload.optimizer

    def objective(params: Any, x: Array, y: Array) -> Array:
        return loss.mean(module.apply({"params": params}, x), y)

    def train(network: tuple[Any, Array, Array | None]) -> Any:
        params, rate, indices = network
        optimizer = optax.adam(rate) if rule == "adam" else optax.sgd(rate, momentum=MOMENTUM)

        def step(carry: tuple[Any, Any], index: Array | None) -> tuple[tuple[Any, Any], None]:
            params, state = carry
            examples = (x, y) if index is None else (x[index], y[index])
            gradient = jax.grad(objective)(params, *examples)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(params, updates), state), None

        start = (params, optimizer.init(params))
        return jax.lax.scan(step, start, indices, length=steps)[0][0]

    program = jax.jit(over_networks(train))
    losses = jax.jit(jax.vmap(objective, in_axes=(0, None, None)))

    def run() -> Losses:
        with jax.default_matmul_precision("highest"):
            trained = jax.block_until_ready(program(networks))
        return lambda: np.asarray(losses(trained, x, y))

    return run
