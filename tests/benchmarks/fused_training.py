"""Network-steps per second of the training kernel against XLA, on this machine.

    python tests/benchmarks/fused_training.py tests/benchmarks/records/NAME.json [CASE...]

XLA's contender is vmap over a tile of networks of a loop over steps, mapped over the tiles;
the two fastest tiles of a short race are timed. All start from the same parameters and take
the same minibatches, without checks; a large float32 product of XLA is timed between them.
Beside the seconds of the clock stand those of the processor, of all threads together: on a
machine that others use, they say what the code costs. It records, and asserts only that the
contenders' parameters agree after ten steps.
"""

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from clocks import Times, timed

from sweep_engine.bench.machine import describe
from sweep_engine.kernels.fused_training import cpu, plain
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

YARDSTICK = Case((7, 40, 40, 1), num_examples=128)
DIGITS = Case((64, 32, 10), loss="cross_entropy", num_examples=1437, minibatch=32)
ADAM: dict[str, Any] = {"optimizer": "adam"}
CASES = {
    "yardstick_sgd": YARDSTICK,
    "yardstick_adam": Case(YARDSTICK.widths, num_examples=128, **ADAM),
    "digits_sgd": DIGITS,
    "digits_adam": Case(DIGITS.widths, "relu", True, DIGITS.loss, "adam", 1437, 32),
    "yardstick_norms": replace(YARDSTICK, norm="layer"),
    "digits_blocks": replace(DIGITS, widths=(64, *[40] * 5, 10), norm="layer", residual=True),
}
RUNS, STEPS = 256, 200
TILES = (4, 8, 16, 64, 128)
MATRIX = 4096
REPEATS = 5
NEVER = 2**30


def arguments(case: Case, steps: int) -> tuple[KernelState, Sgd | Adam, Data, Segment]:
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
    state = plain.start(case, jnp.asarray(theta))
    return state, hyper, Data(jnp.asarray(x), jnp.asarray(y)), Segment(turns, jnp.asarray(indices))


def by_kernel(
    case: Case, state: KernelState, hyper: Any, data: Data, segment: Segment
) -> jax.Array:
    never = jnp.full(RUNS, -jnp.inf, jnp.float32)
    limits = Limits(jnp.full(RUNS, NEVER, jnp.int32), never, never)
    checks = Checks(NEVER, "train_loss", stop_at_fit=False)
    return cpu.train_segment(
        case, checks, state, hyper, limits, data, segment, num_records=1
    )[0].theta  # fmt: skip


def by_xla(
    tile: int, case: Case, state: KernelState, hyper: Any, data: Data, segment: Segment
) -> jax.Array:
    def one(network: tuple[KernelState, Any, Segment]) -> jax.Array:
        state, hyper, segment = network

        def body(i: jax.Array, state: KernelState) -> KernelState:
            examples = data
            if case.minibatch:
                chosen = segment.indices[i]
                examples = Data(data.x[chosen], data.y[chosen])
            return plain.step(case, state, hyper, examples)

        return jax.lax.fori_loop(0, segment.num_turns, body, state).theta

    return jax.lax.map(one, (state, hyper, segment), batch_size=tile)


def measure(case: Case) -> dict[str, Any]:
    given = arguments(case, STEPS)

    def call(train: Callable[..., jax.Array]) -> Callable[[], Any]:
        compiled = jax.jit(partial(train, case))
        return lambda: jax.block_until_ready(compiled(*given))

    tiles = {tile: call(partial(by_xla, tile)) for tile in TILES}
    race = {tile: timed({str(tile): call}, repeats=1)[str(tile)] for tile, call in tiles.items()}
    fastest = sorted(TILES, key=lambda tile: min(race[tile].processor))[:2]
    square = jax.random.normal(jax.random.key(0), (MATRIX, MATRIX))
    product = jax.jit(lambda a: a @ a)
    calls = {"kernel": call(by_kernel)}
    calls |= {f"xla_tile_{tile}": tiles[tile] for tile in fastest}
    calls["product"] = lambda: jax.block_until_ready(product(square))
    found = timed(calls, repeats=REPEATS)
    record: dict[str, Any] = {"largest_gap": gap(case)}
    for clock in Times._fields:
        seconds = {name: getattr(times, clock) for name, times in found.items()}
        record[f"by_{clock}_seconds"] = summary(case, seconds)
    record["race_ksteps_per_processor_second"] = {
        str(tile): round(RUNS * STEPS / min(race[tile].processor) / 1e3, 1) for tile in TILES
    }
    return record


def summary(case: Case, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Rates of the contenders, GFLOP/s, and what that is of the large product."""
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    limit = 2 * MATRIX**3 / medians.pop("product") / 1e9
    found: dict[str, Any] = {"product_gflops": round(limit, 1)}
    for name, median in medians.items():
        gflops = RUNS * STEPS * case.flops_per_step / median / 1e9
        ends = {"median": median, "low": max(seconds[name]), "high": min(seconds[name])}
        found[name] = {
            "network_steps_per_second": {k: round(RUNS * STEPS / x) for k, x in ends.items()},
            "gflops": round(gflops, 1),
            "share_of_product": round(gflops / limit, 3),
        }
    kernel = medians.pop("kernel")
    return found | {"kernel_over_best_xla": round(min(medians.values()) / kernel, 2)}


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
    out, chosen = Path(sys.argv[1]), sys.argv[2:] or CASES
    record: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    record |= {"machine": describe(), "networks": RUNS, "steps": STEPS}
    for name in chosen:
        record[name] = measure(CASES[name])
        record[name]["load_average"] = describe()["load_average"]
        out.write_text(json.dumps(record, indent=2) + "\n")
        print(name, record[name], flush=True)
