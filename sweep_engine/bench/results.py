"""Time results of a million rows: written, compared and reported."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweep_engine.bench.made_up import write_made_up
from sweep_engine.densities import Study, compare_all, write_comparisons
from sweep_engine.report import write_report
from sweep_engine.store import OutputDirectory, compact, verify

ROWS, DRAWS = 1_000_000, 2**24


def results_rates(*, quick: bool = False) -> dict[str, Any]:
    """Write made-up results in shards of the usual size; check, compact, compare, report them.

    Returns:
        Seconds of each by the clock and by the processor.
    """
    rows, draws = (2000, 4000) if quick else (ROWS, DRAWS)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "results")
        files = OutputDirectory(out).files
        steps: dict[str, Callable[[], object]] = {
            "write": lambda: write_made_up(out, rows, draws),
            "verify": lambda: verify(files),
            "compact": lambda: compact(files),
            "compare": lambda: write_comparisons(files, compare_all(Study.open(out))[0]),
            "report": lambda: write_report(out),
        }
        taken = {name: _timed(name, step) for name, step in steps.items()}
    return {"rows": rows, "draws": draws} | taken


def _timed(name: str, step: Callable[[], object]) -> dict[str, float]:
    began, processor = time.perf_counter(), time.process_time()
    step()
    found = {
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }
    print(f"{name}: {found['seconds']} s", flush=True)
    return found
