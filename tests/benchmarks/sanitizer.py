"""Run the CUDA kernels under compute-sanitizer: memory, races, initialisation and barriers.

    python -m tests.benchmarks.sanitizer cuda        the kernels alone, as the checks run them

`gpu.py` runs all four checks where a GPU is. compute-sanitizer comes with NVIDIA's toolkit, and in
the package nvidia-cuda-sanitizer-api (18 MB).
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
SECONDS = 45.0
"""Stops a check that takes so long; the next one is begun all the same."""

EXIT_CODE = 9
"""Is the sanitizer's exit code where it found an error."""

PREFIX = "========="
"""Begins the sanitizer's own lines."""

ENVIRONMENT = {
    # Each array is an allocation of its own: an access behind its end is one outside of all.
    "XLA_PYTHON_CLIENT_ALLOCATOR": "platform",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
_SUMMARY = re.compile(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)")


def find() -> str | None:
    """Find compute-sanitizer: on the path, in CUDA_HOME, or in NVIDIA's package."""
    if on_path := shutil.which("compute-sanitizer"):
        return on_path
    package = find_spec("nvidia")
    places = (package.submodule_search_locations if package else None) or []
    toolkits = [os.environ.get("CUDA_HOME", "/usr/local/cuda"), *(f"{one}/cu13" for one in places)]
    for toolkit in toolkits:
        if (place := Path(toolkit, "bin", "compute-sanitizer")).exists():
            return str(place)
    return None


def check(sanitizer: str, tool: str, implementation: str) -> dict[str, Any]:
    """Run the kernels under one tool, and say how many errors it found, and the first of them."""
    run = [sys.executable, "-m", "tests.benchmarks.sanitizer", implementation]
    command = [sanitizer, "--tool", tool, "--error-exitcode", str(EXIT_CODE), *_only_ours(tool)]
    try:
        done = subprocess.run(
            [*command, *run], env=os.environ | ENVIRONMENT, capture_output=True, text=True,
            timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"out of time after {SECONDS:g} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith(PREFIX)]
    said = [line for line in lines if line.strip("= ") not in {"", "COMPUTE-SANITIZER"}]
    summary = _SUMMARY.search("\n".join(said))
    if summary is None:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        return {"failed": lines[-1][:400] if lines else f"exit code {done.returncode}"}
    found: dict[str, Any] = {"errors": int(summary[1]), "exit_code": done.returncode}
    return found | ({"first": said[:8]} if found["errors"] or done.returncode else {})


def _only_ours(tool: str) -> list[str]:
    """Leave XLA's kernels out, except where it is asked who wrote what ours read."""
    if tool == "initcheck":
        return []
    from sweep_engine.kernels.fused_training import cuda
    from sweep_engine.kernels.prior_scan import cuda as prior_scan

    names = (cuda.KERNEL.name, prior_scan.KERNEL.name)
    return [part for name in names for part in ("--kernel-name", f"kernel_substring={name}")]


def run_kernels(implementation: str) -> Iterator[str]:
    """Train and draw by a kernel, few networks of each small shape; yield the names.

    Five networks leave places of a block empty where several share one.
    """
    import jax

    from sweep_engine.kernels.fused_training.implementations import TRAIN, obstacle
    from sweep_engine.kernels.prior_scan import SCAN
    from sweep_engine.kernels.prior_scan.case import Case
    from tests.kernels.fused_training.cases import CASES, make

    is_rehearsed = implementation == "cpu"  # by the stand-in, which checks nothing
    shapes = {"one layer": CASES["one layer"]} if is_rehearsed else CASES
    known = {name: case for name, case in shapes.items() if obstacle(case, "cuda") is None}
    for name, case in known.items():
        example = make(case, 5, 8)
        theta = np.asarray(example.run(TRAIN[implementation])[0].theta)
        if not (np.isfinite(theta).all() and (theta != example.state.theta).any(axis=1).all()):
            raise SystemExit(f"{name}: not every network was trained")
        yield name
    for widths in [(4, 1), (7, 40, 40, 1)][: 1 if is_rehearsed else None]:
        case_of_scan = Case.of_one_key("normal", widths, num_inputs=16)
        keys = jax.random.split(jax.random.key(0), (5, 1))
        scales = np.ones((5, len(case_of_scan.sizes)), np.float32)
        x, targets = np.ones((16, widths[0]), np.float32), np.zeros(16, np.int32)
        scan = jax.jit(SCAN[implementation], static_argnums=0)
        jax.block_until_ready(scan(case_of_scan, keys, scales, x, targets, 5))
        yield f"scan of {widths}"


STAND_IN = f"""#!/bin/sh
while [ "$1" != {sys.executable} ]; do shift; done
echo "========= COMPUTE-SANITIZER"
"$@" || exit 1
echo "========= ERROR SUMMARY: 0 errors"
"""
"""Runs what it is given, unchecked, and says what compute-sanitizer does: for the rehearsal."""


def stand_in(folder: Path) -> str:
    """Write the stand-in into a folder, and return its path."""
    place = folder / "compute-sanitizer"
    place.write_text(STAND_IN)
    place.chmod(0o755)
    return str(place)


if __name__ == "__main__":
    for kernel in run_kernels(sys.argv[1]):
        print(kernel, flush=True)
