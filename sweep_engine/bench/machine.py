"""The machine that a record is about: what it is, and its measured limits."""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import jax.numpy as jnp

from sweep_engine.machine import processor, usable_cores, usable_memory

PACKAGES = ("sweep-engine", "jax", "jaxlib", "flax", "optax", "blackjax", "numpy", "torch")
MATRIX = 2048
COPY_BYTES = 2**28


def describe() -> dict[str, Any]:
    """Describe the machine: processor, device, load, versions."""
    device = jax.devices()[0]
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "memory_bytes": usable_memory(),
        "platform": device.platform,
        "device": device.device_kind if device.platform != "cpu" else processor(),
        "num_devices": jax.device_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def limits() -> dict[str, float]:
    """Measure the device's limits: a large float32 product, and copying memory.

    Returns:
        `product_gflops`, 10^9 floating-point operations a second at full precision, and
        `copy_gigabytes`, 10^9 bytes read and written a second.
    """
    key = jax.random.key(0)
    square = jax.random.normal(key, (MATRIX, MATRIX))
    long = jnp.zeros(COPY_BYTES // 4, jnp.float32)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    copy = jax.jit(lambda a: a + 1.0)
    return {
        "product_gflops": round(2 * MATRIX**3 / _best(lambda: product(square)) / 1e9, 1),
        "copy_gigabytes": round(2 * COPY_BYTES / _best(lambda: copy(long)) / 1e9, 1),
    }


def _best(call: Callable[[], Any], repeats: int = 5) -> float:
    """The least time of some calls: what others on the machine did not disturb."""
    jax.block_until_ready(call())
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
