"""The JAX contenders: this engine, by its own path, and `jit(vmap(scan))` in one piece."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from sweep_engine.bench.training.contender import Run
from sweep_engine.bench.training.problem import MOMENTUM, Problem
from sweep_engine.execution.programs import num_workers
from sweep_engine.planning import RUNS_PER_SHARD
from sweep_engine.sources import Control, work
from sweep_engine.spec import Piece


class Engine:
    """This engine: shards of runs, as many at once as the local backend has workers.

    All that it does for a run is timed: drawing, training, checks, harvest, observables. Only
    Parquet is not written.
    """

    name = "this engine"
    most_networks = None

    def prepare(self, problem: Problem, steps: int) -> Run:
        shards = _shards(problem.pieces(steps), num_workers(), problem.bucket.lanes)

        def run() -> np.ndarray:
            with ThreadPoolExecutor(num_workers()) as pool:
                done = list(pool.map(lambda s: work(problem.programs, s, Control()), shards))
            return np.concatenate([finished.columns["train_loss"] for finished in done])

        return run


def _shards(pieces: Sequence[Piece], workers: int, lanes: int) -> list[list[Piece]]:
    """Cut the runs into shards as large as a sweep's, but one a worker where they are few."""
    total = sum(map(len, pieces))
    size = min(RUNS_PER_SHARD, max(lanes, -(-total // workers)))
    shards: list[list[Piece]] = [[]]
    room = size
    for piece in pieces:
        start = piece.start
        while start < piece.stop:
            stop = min(start + room, piece.stop)
            shards[-1].append(Piece(piece.setting, start, stop))
            room -= stop - start
            start = stop
            if not room:
                shards.append([])
                room = size
    return [shard for shard in shards if shard]


class OnePiece:
    """`jit(vmap(scan))`: all networks in one vmap, all steps in one scan."""

    name = "jit(vmap(scan))"
    most_networks = None

    def prepare(self, problem: Problem, steps: int) -> Run:
        network, loss = problem.network, problem.bucket.task.loss
        x, y = jnp.asarray(problem.x), jnp.asarray(problem.y)
        params = jax.vmap(network.layout.unflatten)(jnp.asarray(problem.theta))
        rates = jnp.asarray(problem.rates)
        indices = problem.minibatches(steps)

        def objective(params: Any, x: Array, y: Array) -> Array:
            return loss.mean(network.apply(params, x), y)

        def train(params: Any, rate: Array, indices: Array | None) -> Array:
            optimizer = optax.sgd(rate, momentum=MOMENTUM)

            def step(carry: tuple[Any, Any], index: Array | None) -> tuple[tuple[Any, Any], None]:
                params, state = carry
                examples = (x, y) if index is None else (x[index], y[index])
                gradient = jax.grad(objective)(params, *examples)
                updates, state = optimizer.update(gradient, state)
                return (optax.apply_updates(params, updates), state), None

            start = (params, optimizer.init(params))
            (params, _), _ = jax.lax.scan(step, start, indices, length=steps)
            return objective(params, x, y)

        axes = (0, 0, None if indices is None else 0)
        with jax.default_matmul_precision("highest"):
            program = jax.jit(jax.vmap(train, in_axes=axes))
        given = None if indices is None else jnp.asarray(indices)

        def run() -> np.ndarray:
            with jax.default_matmul_precision("highest"):
                return np.asarray(program(params, rates, given))

        return run
