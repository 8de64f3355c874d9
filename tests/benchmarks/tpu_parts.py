"""Compile parts of the training program for a TPU by themselves: what takes its compiler long.

    python -m tests.benchmarks.tpu_parts

The environment is that of `deviceless.py`, in whose record the parts are written. These are a
compiler's figures, not measurements.
"""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from tests.benchmarks.deviceless import RECORD, environment

DEVICE = "v5e"
LANES, EXAMPLES, STEPS = 1024, 128, 100
WINDOWS = "xla_tpu_scoped_vmem_limit_kib"
SIZES = ((7, 40), (40,), (40, 40), (40,), (40, 1), (1,))


class Part(NamedTuple):
    """Holds what is compiled: a function, the shapes of its arguments, and options of XLA."""

    function: Callable[..., Any]
    shapes: tuple[Any, ...]
    options: dict[str, Any] | None = None
    turns: int = 1


def parts() -> Iterator[tuple[str, Part]]:
    """List the parts by name: steps of plain JAX, and what stands beside them in a program."""
    import jax
    import jax.numpy as jnp
    from jax import ShapeDtypeStruct as Shape

    words = Shape((LANES, 1437), jnp.uint32)
    yield "sort of 1,437 words a lane", Part(lambda a: jax.lax.sort(a, dimension=1), (words,))

    def bits(keys: Any) -> Any:
        return jax.vmap(lambda key: jax.random.bits(jax.random.wrap_key_data(key), (1437,)))(keys)

    yield "1,437 random words a lane", Part(bits, (Shape((LANES, 2), jnp.uint32),))
    rows, places = Shape((1437, 64), jnp.float32), Shape((LANES, 32), jnp.int32)
    yield "gathering minibatches of 32", Part(lambda x, at: x[at], (rows, places))
    params = tuple(Shape((LANES, *size), jnp.float32) for size in SIZES)
    data = Shape((7, EXAMPLES), jnp.float32), Shape((EXAMPLES,), jnp.float32)
    exact, fast = (partial(_steps, precision=name) for name in ("highest", None))
    yield "steps in float32", Part(exact, (*params, *data), turns=STEPS)
    yield "steps in bfloat16", Part(fast, (*params, *data), turns=STEPS)
    for name, product in {
        "six products of pieces": _by_six,
        "one product of pieces": _by_one,
    }.items():
        steps = partial(_steps, product=_with_gradients(product))
        yield f"steps in float32, {name}", Part(steps, (*params, *data), turns=STEPS)
    for name, options in {
        **{f"windows of {m} MiB": {WINDOWS: 1024 * m} for m in (4, 8)},
        "optimization_level O1": {"optimization_level": 19},
        "exec_time_optimization_effort -1": {"exec_time_optimization_effort": -1.0},
    }.items():
        yield f"steps in float32, {name}", Part(exact, (*params, *data), options, STEPS)

    yield from _of_signals()


def _of_signals() -> Iterator[tuple[str, Part]]:
    """List steps of convolutions by how many signals they take, and by how they are laid out."""
    import jax.numpy as jnp
    from jax import ShapeDtypeStruct as Shape
    from jax import lax

    from sweep_engine.lanes import SMALL_WINDOWS
    from sweep_engine.models.convolutions import by_columns

    as_they_are = partial(lax.conv_general_dilated, dimension_numbers=("NWC", "WIO", "NWC"))
    kernels = [
        Shape((LANES, *size), jnp.float32) for size in ((5, 1, 25), (3, 25, 25), (3, 25, 25))
    ]
    for signals in (8, 32, 64):
        shapes = (*kernels, Shape((LANES, signals, 40, 1), jnp.float32))
        for name, convolve in {"convolutions": as_they_are, "columns": by_columns}.items():
            steps = partial(_convolutional_steps, convolve=convolve)
            yield f"{signals} signals, {name}", Part(steps, shapes, dict(SMALL_WINDOWS), STEPS)


def _convolutional_steps(*arguments: Any, convolve: Callable[..., Any]) -> Any:
    """Take 100 steps with the convolutions of MNIST-1D's CNN."""
    import jax
    import jax.numpy as jnp

    *kernels, x = arguments

    def loss(kernels: Any, x: Any) -> Any:
        for kernel in kernels:
            x = jnp.maximum(convolve(x, kernel, (2,), ((1, 1),), precision="highest"), 0)
        return jnp.mean((x - 1) ** 2)

    def step(_: Any, kernels: Any) -> Any:
        gradient = jax.vmap(jax.grad(loss))(kernels, x)
        return [kernel - 0.1 * g for kernel, g in zip(kernels, gradient, strict=True)]

    return jax.lax.fori_loop(0, STEPS, step, kernels)


Product = Callable[[str, Any, Any], Any]
"""Of two matrices, as `einsum` writes it."""


def _pieces(x: Any, axis: int, which: tuple[int, ...]) -> Any:
    """Cut float32 into three bfloat16 that add up to it, and lay some of them side by side."""
    import jax
    import jax.numpy as jnp

    found, rest = [], x
    for _ in range(3):
        found.append(jax.lax.reduce_precision(rest, 8, 7))
        rest = rest - found[-1]
    return jnp.concatenate([found[i].astype(jnp.bfloat16) for i in which], axis)


FIRST, SECOND = (0, 2, 1, 0, 1, 0), (2, 0, 1, 1, 0, 0)
"""The products of pieces that float32 is made of at its highest precision, smallest first."""


def _by_one(equation: str, a: Any, b: Any) -> Any:
    """Multiply pieces side by side along the contracted axis: one product, six times as long."""
    import jax.numpy as jnp

    (axis,) = set(equation[:2]) & set(equation[3:5])
    left = _pieces(a, equation[:2].index(axis), FIRST)
    right = _pieces(b, equation[3:5].index(axis), SECOND)
    return jnp.einsum(equation, left, right, preferred_element_type=jnp.float32)


def _by_six(equation: str, a: Any, b: Any) -> Any:
    """Multiply piece by piece."""
    import jax.numpy as jnp

    product = partial(jnp.einsum, equation, preferred_element_type=jnp.float32)
    pairs = zip(FIRST, SECOND, strict=True)
    return sum(product(_pieces(a, 0, (i,)), _pieces(b, 0, (j,))) for i, j in pairs)


def _with_gradients(product: Product) -> Product:
    """Multiply by a way of one's own in the products of the gradients too."""
    import jax

    @jax.custom_vjp
    def multiply(kernel: Any, x: Any) -> Any:
        return product("dh,dn->hn", kernel, x)

    def forward(kernel: Any, x: Any) -> Any:
        return multiply(kernel, x), (kernel, x)

    def backward(kept: Any, given: Any) -> Any:
        kernel, x = kept
        return product("dn,hn->dh", x, given), product("dh,hn->dn", kernel, given)

    multiply.defvjp(forward, backward)
    return lambda _, kernel, x: multiply(kernel, x)


def _steps(*arguments: Any, precision: str | None = None, product: Product | None = None) -> Any:
    """Take 100 steps of gradient descent with 7-40-40-1 networks."""
    import jax
    import jax.numpy as jnp

    *params, x, y = arguments
    product = product or partial(jnp.einsum, precision=precision)

    def loss(params: Any) -> Any:
        hidden = x
        for i in (0, 2, 4):
            hidden = product("dh,dn->hn", params[i], hidden) + params[i + 1][:, None]
            hidden = jnp.maximum(hidden, 0) if i < 4 else hidden
        return jnp.mean(jnp.logaddexp(0.0, -hidden[0] * y))

    def step(_: Any, params: Any) -> Any:
        gradient = jax.vmap(jax.grad(loss))(params)
        return [theta - 0.1 * g for theta, g in zip(params, gradient, strict=True)]

    return jax.lax.fori_loop(0, STEPS, step, params)


def compiled(part: Part) -> dict[str, Any]:
    """Compile a part, and say what that took and what came out, a lane and turn."""
    import jax

    from tests.benchmarks.deviceless import _target
    from tests.benchmarks.hlo import regions

    place = jax.sharding.SingleDeviceSharding(_target(DEVICE))
    given = [jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place) for s in part.shapes]
    lowered = jax.jit(part.function).lower(*given)
    began = sum(os.times()[:4])
    program = lowered.compile(part.options)
    seconds = sum(os.times()[:4]) - began
    found = regions(program.as_text()).values()
    times = LANES * part.turns
    return {
        "compile_processor_seconds": round(seconds, 1),
        "memory_bytes": round(sum(region.memory_bytes for region in found) / times),
        "cycles": round(sum(region.cycles for region in found) / times, 1),
    }


def main() -> None:
    """Compile every part, and write it to the record."""
    os.environ |= environment(DEVICE)
    record = json.loads(RECORD.read_text())
    for name, part in parts():
        record.setdefault("parts", {}).setdefault(DEVICE, {})[name] = found = compiled(part)
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
        print(name, found, flush=True)


if __name__ == "__main__":
    main()
