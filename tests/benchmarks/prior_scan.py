"""Draws per second of the prior-scan kernel against XLA, on this machine.

    .venv/bin/python tests/benchmarks/prior_scan.py tests/benchmarks/records/NAME.json

The 7-40-40-1 network with relu on all 128 Boolean inputs, its function and 16 targets. XLA's
contender is the reference over tiles of draws, for several tiles. Beside the seconds of the
clock stand those of the processor, of all threads together. It records, and asserts only
that the functions found are the same.
"""

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from clocks import Times, timed

from sweep_engine.bench.machine import describe
from sweep_engine.kernels.prior_scan import cpu, reference
from sweep_engine.kernels.prior_scan.case import Case, Found

DRAWS = 8192
TILES = (16, 64, 256)
REPEATS = 5


def measure(case: Case) -> dict[str, Any]:
    places = jnp.arange(7)
    x = ((jnp.arange(128)[:, None] >> (6 - places)) & 1).astype(jnp.float32)
    targets = jnp.where(jnp.arange(128) % 8 == 0, jnp.arange(128) // 64, reference.NO_TARGET)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(DRAWS))
    scale = jnp.ones(DRAWS)

    def by_xla(tile: int) -> Callable[..., Found]:
        def one(given: tuple[jax.Array, jax.Array]) -> Found:
            return reference.scan(case, *given, x, targets.astype(jnp.int32))

        return lambda keys, scale: jax.lax.map(
            one, (keys.reshape(-1, tile), scale.reshape(-1, tile))
        )

    def by_kernel(keys: jax.Array, scale: jax.Array) -> Found:
        return cpu.scan(case, keys, scale, x, targets.astype(jnp.int32))

    programs = {f"xla_tile_{tile}": jax.jit(by_xla(tile)) for tile in TILES}
    programs["kernel"] = jax.jit(by_kernel)
    same = share_of_same_functions(
        programs["kernel"](keys, scale), programs["xla_tile_64"](keys, scale)
    )
    found = timed(
        {
            name: lambda run=run: jax.block_until_ready(run(keys, scale))
            for name, run in programs.items()
        },
        repeats=REPEATS,
    )
    record: dict[str, Any] = {"share_of_same_functions": same}
    for clock in Times._fields:
        medians = {name: statistics.median(getattr(times, clock)) for name, times in found.items()}
        best = min(seconds for name, seconds in medians.items() if name != "kernel")
        record[f"by_{clock}_seconds"] = {
            "draws_per_second": {name: round(DRAWS / seconds) for name, seconds in medians.items()},
            "kernel_over_best_xla": round(best / medians["kernel"], 2),
        }
    return record


def share_of_same_functions(one: Found, other: Found) -> float:
    """The gate."""
    functions = other.function.reshape(one.function.shape)
    share = float(jnp.mean(jnp.all(one.function == functions, axis=1)))
    if not share > 0.99:
        raise AssertionError(f"only {share} of the functions are the same")
    return round(share, 6)


if __name__ == "__main__":
    record: dict[str, Any] = {"machine": describe(), "draws": DRAWS}
    for law in ("uniform", "gaussian"):
        record[law] = measure(Case((7, 40, 40, 1), law=law, num_inputs=128))
        record[law]["load_average"] = describe()["load_average"]
        Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")
        print(law, record[law], flush=True)
