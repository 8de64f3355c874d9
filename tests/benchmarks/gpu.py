"""Everything that needs a GPU, in at most eight minutes, the most telling first.

    python -m tests.benchmarks.gpu --out DIR       where a GPU is; DIR is $OUT if left out
    python -m tests.benchmarks.gpu --rehearse      the same on a CPU, at tiny size

Each part is a process of its own with a time of its own, and writes what it found to
`DIR/PART.json` as it finds it. One that fails, or is out of time, leaves what it had, and why it
stopped, under `failed`; the next goes on. `DIR/gpu.json` holds all of them. What each part does
stands in `gpu_parts.py`; README.md says what a bare machine needs.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOTAL_SECONDS = 480.0
LEAST_SECONDS = 10.0
"""A part is not begun with less."""

TMP_COMMON = "compiled"
"""A folder beside the results: what one part compiled, another need not."""


@dataclass(frozen=True)
class Part:
    """A part of the script.

    Attributes:
        name: Also the function in `gpu_parts.py`.
        seconds: It is stopped after so long.
    """

    name: str
    seconds: float


PARTS = (
    Part("device", 40),
    Part("conformance", 75),
    Part("bits", 40),
    Part("training", 150),
    Part("draws", 45),
    Part("widths", 60),
    Part("bits_again", 25),
    Part("refill", 60),
    Part("sanitizer", 100),
    Part("demos", 90),
    Part("memory", 40),
    Part("ray_actor", 60),
)
"""In order; together more than `TOTAL_SECONDS`, for few take all of theirs."""

Command = Callable[[Part, Path], list[str]]


def run_parts(
    parts: Sequence[Part], folder: Path, command: Command, total: float = TOTAL_SECONDS
) -> dict[str, dict[str, Any]]:
    """Run the parts one after another, and write each one's result at once.

    Args:
        parts: What to run, in order.
        folder: Where the results go.
        command: What a part's process is started with.
        total: Seconds of all parts together.

    Returns:
        By part: what it wrote, its seconds, and `failed` with the reason where it did.
    """
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + total
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        left = end - time.monotonic()
        place = folder / f"{part.name}.json"
        began = time.monotonic()
        if left < min(LEAST_SECONDS, part.seconds):
            failed: str | None = f"left out: the {total:g} s of all parts were used up"
        else:
            failed = _run(command(part, place), min(part.seconds, left))
        result = json.loads(place.read_text()) if place.exists() else {}
        result["seconds"] = round(time.monotonic() - began, 1)
        if failed is not None:
            result["failed"] = failed
        found[part.name] = result
        _write(place, result)
        _write(folder / "gpu.json", found)
        print(f"{part.name}: {failed or 'done'} after {result['seconds']} s", flush=True)
    return found


def _run(command: list[str], seconds: float) -> str | None:
    """Run a command; say why it failed, if it did."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            _, said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):  # it may have ended just now
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"out of time after {seconds:.0f} s"
    if process.returncode == 0:
        return None
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1][:600] if lines else f"exit code {process.returncode}"


def _write(place: Path, result: Any) -> None:
    new = place.with_suffix(".new")
    new.write_text(json.dumps(result, indent=1) + "\n")
    new.replace(place)  # whole, or not at all: a part may be killed at any moment


def run_part(name: str, place: Path, *, rehearse: bool) -> None:
    """Run one part in this process, and write after each thing that it finds."""
    import jax

    from tests.benchmarks import gpu_parts

    jax.config.update("jax_compilation_cache_dir", str(place.parent / TMP_COMMON))
    if not rehearse and jax.default_backend() != "gpu":
        raise SystemExit(f"no GPU: this is a {jax.default_backend()}; --rehearse does without")
    result: dict[str, Any] = {"rehearsal": True} if rehearse else {}
    for piece in getattr(gpu_parts, name)(place.parent, rehearse=rehearse):
        result |= piece
        _write(place, result)


def main() -> None:
    """Run all parts, or one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "gpu-results")))
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, at tiny size")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS])
    parser.add_argument("--part", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        run_part(asked.part, asked.out, rehearse=asked.rehearse)
        return

    def command(part: Part, place: Path) -> list[str]:
        module = [sys.executable, "-m", "tests.benchmarks.gpu", "--part", part.name]
        # By Ray two processes share the GPU: neither may take most of its memory at once.
        shares = ["env", "XLA_PYTHON_CLIENT_PREALLOCATE=false"] if part.name == "ray_actor" else []
        flags = ["--rehearse"] if asked.rehearse else []
        return [*shares, *module, "--out", str(place), *flags]

    if asked.rehearse:
        os.environ["JAX_PLATFORMS"] = "cpu"
    run_parts([p for p in PARTS if not asked.only or p.name in asked.only], asked.out, command)


if __name__ == "__main__":
    main()
