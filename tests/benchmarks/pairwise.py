"""Seconds and memory of the libraries that could search neighbours and sum kernels.

    .venv/bin/python tests/benchmarks/pairwise.py tests/benchmarks/records/NAME.json

Neighbours: SciPy's k-d tree, scikit-learn's blocks of products (brute force), and the same
blocks in XLA at float32, each for n points against themselves, k = 6. Log-sums of a Gaussian
kernel: blocks of SciPy's distances as the estimators take them, scikit-learn's trees, and
blocks in XLA at float32. Every call is a process of its own, so that memory is its own;
seconds are of its second call, by the clock and by the processor. It asserts nothing.
"""

import json
import subprocess
import sys
from pathlib import Path

from sweep_engine.bench.machine import describe

SIZES = (4000, 20_000)
DIMENSIONS = (2, 5, 8, 10, 20)
MOST_SECONDS = 30

PREPARE = """
import sys, time
import numpy as np
n, d, k = int(sys.argv[1]), int(sys.argv[2]), 6
x = np.random.default_rng(0).normal(size=(n, d))
width = n ** (-1 / (d + 4))
def in_blocks(program):
    import jax.numpy as jnp
    cloud = jnp.asarray(x, jnp.float32)
    squares = jnp.sum(cloud**2, axis=1)
    whole = np.pad(x, ((0, -n % 512), (0, 0))).astype(np.float32)
    parts = [np.asarray(program(whole[i : i + 512], cloud, squares)) for i in range(0, n, 512)]
    return np.concatenate(parts)[:n]
def squared(a, b, bb):
    import jax.numpy as jnp
    product = jnp.matmul(a, b.T, precision="highest")
    return jnp.sum(a * a, axis=1)[:, None] + bb - 2 * product
"""
REPORT = """
call()
clock, processor = time.perf_counter(), time.process_time()
call()
seconds = time.perf_counter() - clock, time.process_time() - processor
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(*seconds, int(peak.split()[1]) / 1024)
"""
CALLS = {
    "neighbours": {
        "scipy tree": "from scipy.spatial import cKDTree\ncall = lambda: cKDTree(x).query(x, k)",
        "sklearn brute": "from sklearn.neighbors import NearestNeighbors\n"
        "call = lambda: NearestNeighbors(n_neighbors=k, algorithm='brute').fit(x).kneighbors(x)",
        "xla blocks": "import jax\n"
        "program = jax.jit(lambda a, b, bb: jax.lax.top_k(-squared(a, b, bb), k)[0])\n"
        "call = lambda: in_blocks(program)",
    },
    "log-sums": {
        "scipy blocks": "from sweep_engine.densities.points.kernel_density import log_density\n"
        "call = lambda: log_density(x, x, width)",
        "sklearn tree": "from sklearn.neighbors import KernelDensity\n"
        "call = lambda: KernelDensity(bandwidth=width, rtol=1e-4).fit(x).score_samples(x)",
        "xla blocks": "import jax\n"
        "program = jax.jit(lambda a, b, bb: jax.nn.logsumexp(\n"
        "    -squared(a, b, bb) / (2 * width**2), axis=1))\n"
        "call = lambda: in_blocks(program)",
    },
}


def measure(call: str, num: int, dimension: int) -> dict[str, float] | None:
    """Measure one library, or None where it takes too long."""
    program = PREPARE + call + REPORT
    command = [sys.executable, "-c", program, str(num), str(dimension)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=MOST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return None
    seconds, processor, megabytes = map(float, done.stdout.split())
    return {
        "seconds": float(f"{seconds:.3g}"),
        "processor_seconds": float(f"{processor:.3g}"),
        "process_megabytes": round(megabytes),
    }


if __name__ == "__main__":
    rows = []
    for work, calls in CALLS.items():
        for num in SIZES:
            for dimension in DIMENSIONS if work == "neighbours" else (2,):
                found = {name: measure(call, num, dimension) for name, call in calls.items()}
                rows.append({"work": work, "points": num, "dimension": dimension} | found)
                print(json.dumps(rows[-1]), flush=True)
    record = {"machine": describe(), "neighbours": 6, "most_seconds": MOST_SECONDS, "rows": rows}
    Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n")
