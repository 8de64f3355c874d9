"""Tiny networks by the hundred thousand: shards of this engine beside a plain script."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from sweep_engine.bench.shards import work_on_shards
from sweep_engine.bench.timing import Timing, interleaved
from sweep_engine.kernels.native import CannotBuild
from sweep_engine.sources import SourcePrograms, open_source
from sweep_engine.spec import Piece, Sweep, settings

RUNS, MAX_STEPS, RATE = 65_536, 300, 0.5
IMPLEMENTATIONS = ("xla", "cpu", "cpu_tiny")
TASK = {"kind": "boolean", "bits": 3, "target": "x1 ^ (x2 & x3)", "train": list(range(8))}
MODEL = {"kind": "mlp", "widths": [8], "activation": "tanh"}
SOURCE = {
    "kind": "train",
    "init": {"kind": "gaussian", "std": 1.0},
    "optimizer": {"kind": "sgd", "learning_rate": RATE},
    "batch_size": "full",
    "stop": {"max_steps": MAX_STEPS},
}


def document(runs: int, implementation: str = "auto") -> dict[str, Any]:
    """Write the sweep: 3-8-1 on all eight inputs, to a fit."""
    return {
        "name": "tiny",
        "task": TASK,
        "model": MODEL,
        "sources": {"sgd": SOURCE | {"runs": runs}},
        "accept": {"train_error": 0.0},
        "execution": {"implementation": implementation},
    }


def plain(runs: int) -> Callable[[], Float[np.ndarray, " R"]]:
    """Train as a short script would: every run to the last step, a block of 256 at a time.

    Returns:
        A call that trains them all, and gives their losses.
    """
    inputs = jnp.array(np.indices((2, 2, 2)).reshape(3, 8).T * 2.0 - 1.0)
    bits = (inputs > 0).astype(int)
    sign = 2.0 * (bits[:, 0] ^ (bits[:, 1] & bits[:, 2])) - 1.0

    def loss(params: tuple[Array, ...]) -> Float[Array, ""]:
        w, b, v, c = params
        margins = sign * (jnp.tanh(inputs @ w + b) @ v + c)
        return jnp.mean(jax.nn.softplus(-margins))

    def one(key: Key[Array, ""]) -> Float[Array, ""]:
        keys = jax.random.split(key, 4)
        shapes = ((3, 8), (8,), (8,), ())
        params = tuple(jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))

        def step(params: tuple[Array, ...], _: None) -> tuple[tuple[Array, ...], None]:
            slopes = jax.grad(loss)(params)
            return jax.tree.map(lambda p, g: p - RATE * g, params, slopes), None

        return loss(jax.lax.scan(step, params, None, length=MAX_STEPS)[0])

    train = jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=256))
    keys = jax.random.split(jax.random.key(0), runs)
    return lambda: np.asarray(train(keys))


def tiny_rates(*, quick: bool = False) -> dict[str, Any]:
    """Train tiny networks to a fit, by every implementation that there is for them here.

    Shards are found and observed; nothing is written. The script neither stops at a fit nor
    observes.

    Returns:
        Runs a second, by the clock and by the processors' time, and how many times the script's.
    """
    runs = 512 if quick else RUNS
    calls: dict[str, Callable[[], object]] = {"plain script": plain(runs)}
    for name in IMPLEMENTATIONS[-1:] if quick else IMPLEMENTATIONS:
        programs, piece = _open(runs, name)
        if programs is not None:
            calls[name] = partial(work_on_shards, programs, [piece])
    times = interleaved(calls, warm_ups=1, repeats=1 if quick else 3)
    script = times["plain script"]
    return {
        "workload": f"Boolean 3-8-1, all 8 inputs, SGD, {runs:,} runs to a fit or {MAX_STEPS} "
        "steps; the script takes all steps",
        "rates": {name: _rates(runs, timing, script) for name, timing in times.items()},
    }


def _rates(runs: int, timing: Timing, script: Timing) -> dict[str, Any]:
    return {
        "runs_per_second": timing.rate(runs),
        "runs_per_processor_second": round(runs / timing.processor),
        "over_script": round(script.median / timing.median, 2),
        "processor_over_script": round(script.processor / timing.processor, 2),
    }


def _open(runs: int, implementation: str) -> tuple[SourcePrograms | None, Piece]:
    sweep = Sweep.model_validate(document(runs, implementation))
    (setting,) = settings(sweep)
    piece = Piece(setting, 0, runs)
    opened = open_source(setting, sweep.seed, sweep.folder, sweep.observables, sweep.execution)
    try:
        work_on_shards(opened, [Piece(setting, 0, 1)])
    except CannotBuild as error:
        print(f"no {implementation} kernel here: {error}", flush=True)
        return None, piece
    return opened, piece
