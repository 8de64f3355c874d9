"""Network-steps per second of the training kernel against XLA, on this machine.

    .venv/bin/python tests/benchmarks/fused_training.py tests/benchmarks/records/NAME.json

XLA's contender is vmap over a tile of networks of a loop over steps, mapped over the tiles;
the two fastest tiles of a short race are timed. All start from the same parameters and take
the same minibatches, without checks; a large float32 product of XLA is timed between them.
It records, and asserts only that the contenders' parameters agree after ten steps.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sweep_engine.bench.machine import describe
from sweep_engine.bench.timing import interleaved
from sweep_engine.kernels.fused_training import cpu, reference
from sweep_engine.kernels.fused_training.case import (
    Adam,
    Case,
    Checks,
    Data,
    Limits,
    Segment,
    Sgd,
    State,
)

YARDSTICK = Case((7, 40, 40, 1), num_examples=128)
DIGITS = Case((64, 32, 10), loss="cross_entropy", num_examples=1437, minibatch=32)
ADAM: dict[str, Any] = {"optimizer": "adam"}
CASES = {
    "yardstick_sgd": YARDSTICK,
    "yardstick_adam": Case(YARDSTICK.widths, num_examples=128, **ADAM),
    "digits_sgd": DIGITS,
    "digits_adam": Case(DIGITS.widths, "relu", True, DIGITS.loss, "adam", 1437, 32),
}
RUNS, STEPS = 256, 250
TILES = (4, 8, 16, 32, 64, 128, 256)
MATRIX = 4096
NEVER = 2**30


def arguments(case: Case, steps: int) -> tuple[State, Sgd | Adam, Data, Segment]:
    """Draw networks, examples and minibatches."""
    rng = np.random.default_rng(0)
    theta = 0.2 * rng.normal(size=(RUNS, case.num_params)).astype(np.float32)
    x = rng.normal(size=(case.num_examples, case.widths[0])).astype(np.float32)
    y = rng.integers(max(2, case.widths[-1]), size=case.num_examples).astype(np.int32)
    shape = (RUNS, steps, case.minibatch) if case.minibatch else (RUNS, 0, 0)
    indices = rng.integers(case.num_examples, size=shape).astype(np.int32)

    def every(value: float) -> jax.Array:
        return jnp.full(RUNS, value, jnp.float32)

    none = every(0)
    hyper = (
        Adam(every(1e-3), every(0.9), every(0.999), every(1e-8), none, none)
        if case.optimizer == "adam"
        else Sgd(every(0.05), every(0.9), none, none)
    )
    turns = jnp.full(RUNS, steps, jnp.int32)
    state = reference.start(case, jnp.asarray(theta))
    return state, hyper, Data(jnp.asarray(x), jnp.asarray(y)), Segment(turns, jnp.asarray(indices))


def by_kernel(case: Case, state: State, hyper: Any, data: Data, segment: Segment) -> jax.Array:
    never = jnp.full(RUNS, -jnp.inf, jnp.float32)
    limits = Limits(jnp.full(RUNS, NEVER, jnp.int32), never, never)
    checks = Checks(NEVER, "train_loss", stop_at_fit=False)
    return cpu.train_segment(
        case, checks, state, hyper, limits, data, segment, num_records=1
    )[0].theta  # fmt: skip


def by_xla(
    tile: int, case: Case, state: State, hyper: Any, data: Data, segment: Segment
) -> jax.Array:
    def one(network: tuple[State, Any, Segment]) -> jax.Array:
        state, hyper, segment = network

        def body(i: jax.Array, state: State) -> State:
            examples = data
            if case.minibatch:
                chosen = segment.indices[i]
                examples = Data(data.x[chosen], data.y[chosen])
            return reference.step(case, state, hyper, examples)

        return jax.lax.fori_loop(0, segment.num_turns, body, state).theta

    return jax.lax.map(one, (state, hyper, segment), batch_size=tile)


def measure(case: Case) -> dict[str, Any]:
    given = arguments(case, STEPS)

    def call(train: Callable[..., jax.Array]) -> Callable[[], Any]:
        compiled = jax.jit(partial(train, case))
        return lambda: jax.block_until_ready(compiled(*given))

    tiles = {tile: call(partial(by_xla, tile)) for tile in TILES}
    race = interleaved(tiles, warm_ups=1, repeats=1)
    fastest = sorted(TILES, key=lambda tile: race[tile].median)[:2]
    square = jax.random.normal(jax.random.key(0), (MATRIX, MATRIX))
    product = jax.jit(lambda a: a @ a)
    calls = {"kernel": call(by_kernel)}
    calls |= {f"xla_tile_{tile}": tiles[tile] for tile in fastest}
    calls["product"] = lambda: jax.block_until_ready(product(square))
    found = interleaved(calls)
    limit = 2 * MATRIX**3 / found["product"].median / 1e9
    steps = RUNS * STEPS
    record: dict[str, Any] = {"product_gflops": round(limit, 1), "largest_gap": gap(case)}
    record["race_ksteps"] = {str(tile): round(steps / race[tile].median / 1e3, 1) for tile in TILES}
    for name in list(calls)[:-1]:
        gflops = steps * case.flops_per_step / found[name].median / 1e9
        record[name] = {
            "network_steps_per_second": found[name].rate(steps),
            "gflops": round(gflops, 1),
            "share_of_product": round(gflops / limit, 3),
        }
    best = min(found[f"xla_tile_{tile}"].median for tile in fastest)
    record["kernel_over_best_xla"] = round(best / found["kernel"].median, 2)
    return record


def gap(case: Case) -> float:
    """The gate: the median network's largest difference between the two after ten steps."""
    given = arguments(case, 10)
    one = jax.jit(partial(by_kernel, case))(*given)
    other = jax.jit(partial(by_xla, 32, case))(*given)
    found = float(jnp.median(jnp.max(jnp.abs(one - other), axis=1)))
    if not found < 1e-4:
        raise AssertionError(f"the contenders differ by {found} after ten steps")
    return float(f"{found:.2g}")


if __name__ == "__main__":
    record: dict[str, Any] = {"machine": describe(), "networks": RUNS, "steps": STEPS}
    for name, case in CASES.items():
        record[name] = measure(case)
        record[name]["load_average"] = describe()["load_average"]
        Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")
        print(name, record[name], flush=True)
