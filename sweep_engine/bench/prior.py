"""Draws from a prior: the engine's counting pass against a plain `vmap` over keys."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from sweep_engine.bench.machine import limits
from sweep_engine.bench.shards import work_on_shards
from sweep_engine.bench.timing import interleaved
from sweep_engine.bench.training.networks import PlainMlp
from sweep_engine.sources import open_source
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.sources import sizes

WIDTHS = (40, 40)
INPUTS = 128
FLOPS = 2 * INPUTS * (7 * 40 + 40 * 40 + 40)
"""Of the matrix products of one draw's forward pass."""

STD, BIAS_STD = 1.4, 0.1
LANES = (256, 1024)


def draw_rates(*, quick: bool = False) -> dict[str, Any]:
    """Measure draws a second of a 7-40-40-1 network evaluated on all 128 Boolean inputs.

    Returns:
        For the engine, tallies of draws, fits and functions included, and for a plain vmap
        over keys that counts nothing: draws a second, percent of the measured product limit;
        and the engine's rate over the better of the plain ones.
    """
    draws = 2048 if quick else sizes.DRAWS_PER_SHARD
    law = {"kind": "fan_in", "weight_std": STD, "bias_std": BIAS_STD}
    sweep = Sweep.model_validate(
        {
            "name": "bench-prior",
            "task": {"kind": "boolean", "bits": 7, "target": "x1", "train": 16},
            "model": {"kind": "mlp", "widths": list(WIDTHS)},
            "sources": {"prior": {"kind": "prior", "law": law, "draws": draws, "keep": "none"}},
        }
    )
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    inputs = programs.bucket.data.inputs
    pieces = [Piece(setting, 0, draws)]
    calls: dict[str, Callable[[], object]] = {
        "this engine": lambda: work_on_shards(programs, pieces, sizes.DRAWS_PER_SHARD)
    }
    counts = {"this engine": draws}
    for lanes in LANES:
        name = f"plain vmap, {lanes} lanes"
        counts[name] = lanes * (1 if quick else max(1, draws // lanes // 4))
        calls[name] = _plain(inputs, lanes, counts[name] // lanes)
    limit = limits()["product_gflops"]
    times = interleaved(calls, repeats=1 if quick else 5)
    rates = {name: times[name].rate(counts[name]) for name in calls}
    better = max(rates[name]["median"] for name in calls if name != "this engine")
    return {
        "workload": "7-40-40-1, Gaussian parameters, 128 inputs",
        "product_gflops": limit,
        "lanes": programs.bucket.lanes,
        "engine_over_better_plain": round(rates["this engine"]["median"] / better, 2),
        "draws_per_second": rates,
        "processor_us_per_draw": {
            name: round(1e6 * times[name].processor / counts[name], 2) for name in calls
        },
        "percent_of_limit": {
            name: round(100 * rate["median"] * FLOPS / (1e9 * limit), 1)
            for name, rate in rates.items()
        },
    }


def _plain(inputs: Array, lanes: int, blocks: int) -> Callable[[], object]:
    """Draw and evaluate block after block, in flax, as one would write it; labels are returned."""
    module = PlainMlp(WIDTHS, 1)
    shapes = jax.eval_shape(module.init, jax.random.key(0), inputs)["params"]

    def one(key: Key[Array, ""]) -> Array:
        leaves, tree = jax.tree.flatten(shapes)
        keys = jax.random.split(key, len(leaves))
        drawn = [
            jax.random.normal(k, leaf.shape)
            * (BIAS_STD if leaf.ndim == 1 else STD / jnp.sqrt(leaf.shape[0]))
            for k, leaf in zip(keys, leaves, strict=True)
        ]
        return module.apply({"params": jax.tree.unflatten(tree, drawn)}, inputs)[:, 0] > 0

    program = jax.jit(jax.vmap(one))
    keys = [jax.random.split(jax.random.key(i), lanes) for i in range(blocks)]

    def run() -> object:
        with jax.default_matmul_precision("highest"):
            return [jax.block_until_ready(program(k)) for k in keys]

    return run
