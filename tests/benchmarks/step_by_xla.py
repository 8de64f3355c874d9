"""Take a step by XLA apart: what stands between the engine and more than plain JAX on a CPU.

    .venv/bin/python -m tests.benchmarks.step_by_xla tests/benchmarks/records/NAME.json

Of 1,024 networks of 7-40-40-1, full batch, on a single core, as a second would have a part
of the memory's speed and of the clock's. Every round times all of it in turn, so that a
host whose speed varies changes a round as a whole; each figure is the median of the rounds, between
their quartiles, in microseconds of a processor a network.

- `step`: of the engine and of the best tile of plain JAX, the difference of long runs and short.
- `run`: what a run of the engine takes beside its steps: its start, checks, observables.
- `products`: the three products of the 40 x 40 weights in a step (forward, and backward to the
  weights and to the layer before), compiled alone as XLA does them, in blocks as wide and
  with examples last, as in the engine's program.
- `products_at_best`: their arithmetic at the rate of a large product in the same round.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from sweep_engine.bench.machine import describe
from sweep_engine.bench.training.engine import Engine, Tiles
from sweep_engine.bench.training.experiment import YARDSTICK
from tests.benchmarks.clocks import timed

NETWORKS, WIDTH, EXAMPLES = 1024, 40, 128
SHORT, LONG = 64, 256
ROUNDS = 11
TURNS = 20
"""Count the steps of a call of products, which is some milliseconds."""

MATRIX = 1024
FLOPS = 3 * 2 * EXAMPLES * WIDTH * WIDTH

Call = Callable[[], object]
State = tuple[Array, Array, Array, Array]


def products(lanes: int) -> Call:
    """Make a call of `TURNS` times the three products, of so many networks.

    Weights are orthogonal, so that values keep their size; what goes forward and backward is other
    in every turn, so that no product is taken once for all.
    """

    def some(seed: int, *shape: int) -> Array:
        return jax.random.normal(jax.random.key(seed), (lanes, *shape))

    weights, _ = jnp.linalg.qr(some(0, WIDTH, WIDTH))

    def turn(below: Array, above: Array) -> tuple[Array, Array, Array]:
        forward = jnp.einsum("lhk,lhn->lkn", weights, below, precision="highest")
        to_weights = jnp.einsum("lhn,lkn->lhk", below, above, precision="highest")
        to_below = jnp.einsum("lhk,lkn->lhn", weights, above, precision="highest")
        return forward, to_below, to_weights

    def two_turns(_: int, state: State) -> State:
        """Take them, and keep both results to the weights: XLA leaves out what nobody reads.

        A single turn would have to copy what it has read before the next.
        """
        below, above, first = turn(*state[:2])
        below, above, second = turn(below, above)
        return below, above, first, second

    run = jax.jit(lambda *state: jax.lax.fori_loop(0, TURNS // 2, two_turns, state))
    state = some(1, WIDTH, EXAMPLES), some(2, WIDTH, EXAMPLES), weights, weights
    return lambda: jax.block_until_ready(run(*state))


def large_product() -> Call:
    """Make a call of a product that is large enough for a core to be at its best."""
    square = jax.random.normal(jax.random.key(0), (MATRIX, MATRIX))
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    return lambda: jax.block_until_ready(product(square))


def calls() -> tuple[dict[str, Call], int]:
    """Make what a round times, and say how wide the engine's blocks are."""
    problem = YARDSTICK.problem(NETWORKS)
    lanes = problem.programs.bucket.lanes
    trained: dict[str, Call] = {
        f"{name} {steps}": contender.prepare(problem, steps)
        for name, contender in (("engine", Engine()), ("tile", Tiles()))
        for steps in (SHORT, LONG)
    }
    return trained | {"products": products(lanes), "large": large_product()}, lanes


def parts(took: Mapping[str, np.ndarray], lanes: int) -> dict[str, np.ndarray]:
    """Reckon a round's microseconds a network from its processor-seconds."""

    def step(name: str) -> np.ndarray:
        return (took[f"{name} {LONG}"] - took[f"{name} {SHORT}"]) / (LONG - SHORT) / NETWORKS * 1e6

    of_run = took[f"engine {SHORT}"] / NETWORKS * 1e6 - SHORT * step("engine")
    return {
        "step": step("engine"),
        "run": of_run,
        "step_of_tile": step("tile"),
        "products": took["products"] / TURNS / lanes * 1e6,
        "products_at_best": FLOPS * took["large"] / (2 * MATRIX**3) * 1e6,
        "tile_over_engine": step("tile") / step("engine"),
        "tile_over_engine_in_short_runs": took[f"tile {SHORT}"] / took[f"engine {SHORT}"],
    }


def main(out: Path) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before XLA makes its threads
    made, lanes = calls()
    times = timed(made, repeats=ROUNDS)
    took = {name: np.array(each.processor) for name, each in times.items()}
    quartiles = {
        name: [round(float(q), 2) for q in np.quantile(rounds, (0.25, 0.5, 0.75))]
        for name, rounds in parts(took, lanes).items()
    }
    record = {
        "machine": describe(),
        "workload": YARDSTICK.name,
        "lanes": lanes,
        "rounds": ROUNDS,
        "quartiles": quartiles,
    }
    out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
