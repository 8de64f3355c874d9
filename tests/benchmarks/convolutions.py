"""Convolutions of many small networks: XLA's own, vmapped, beside patches and a batched product.

python tests/benchmarks/convolutions.py [out.json]
"""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sweep_engine.bench.machine import describe
from sweep_engine.bench.timing import interleaved
from sweep_engine.bench.training.networks import mnist1d_module
from sweep_engine.models.convolutions import as_products
from sweep_engine.tasks.losses import cross_entropy

LANES = (16, 64)
MINIBATCH, POSITIONS, CLASSES = 32, 40, 10
STEPS = 4


def steps_of(lanes: int, *, products: bool) -> Callable[[], object]:
    """Compile some steps of gradient descent of the CNN of MNIST-1D in so many lanes."""
    module, loss = mnist1d_module(), cross_entropy(CLASSES)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(lanes, MINIBATCH, POSITIONS)).astype(np.float32)
    y = rng.integers(0, CLASSES, (lanes, MINIBATCH))
    keys = jax.random.split(jax.random.key(0), lanes)
    params = jax.vmap(lambda key: module.init(key, x[0])["params"])(keys)

    def objective(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return loss.mean(module.apply({"params": params}, x), y)

    def train(params: Any, x: jax.Array, y: jax.Array) -> Any:
        def step(params: Any, _: None) -> tuple[Any, None]:
            gradient = jax.vmap(jax.grad(objective))(params, x, y)
            return jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient), None

        return jax.lax.scan(step, params, None, length=STEPS)[0]

    given = params, jnp.asarray(x), jnp.asarray(y)
    with as_products() if products else nullcontext():
        program = jax.jit(train).lower(*given).compile()
    return lambda: jax.block_until_ready(program(*given))


def main() -> None:
    """Measure, and write the record."""
    found = {}
    for lanes in LANES:
        calls = {
            "lax.conv, vmapped": steps_of(lanes, products=False),
            "patches and a batched product": steps_of(lanes, products=True),
        }
        times = interleaved(calls, warm_ups=1, repeats=5)
        per_step = 1e6 / (lanes * STEPS)
        found[str(lanes)] = {
            name: {
                "processor_us_per_network_step": round(per_step * time.processor, 1),
                "wall_us_per_network_step": round(per_step * time.median, 1),
            }
            for name, time in times.items()
        }
    record = {
        "machine": describe(),
        "workload": "CNN of MNIST-1D, minibatch 32, gradient and step",
        "lanes": found,
    }
    text = json.dumps(record, indent=2) + "\n"
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)


if __name__ == "__main__":
    main()
