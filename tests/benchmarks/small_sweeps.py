"""Measure small sweeps, as `sweep-engine bench small` does, and starting up.

    .venv/bin/python tests/benchmarks/small_sweeps.py tests/benchmarks/records/NAME.json

Seconds are the processor's, in all threads.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sweep_engine.bench.machine import describe
from sweep_engine.bench.small import small_sweeps

REPEATS = 3
COMPLETE = """\
name: complete
task: {kind: boolean, bits: 3, target: x1, train: 4}
model: {kind: mlp, widths: [4]}
sources: {sgd: {kind: train, stop: {max_steps: 50}, runs: 8}}
observables: [norms]
"""
ANOTHER_QUESTION = "compare: [{source: sgd, reference: sgd, observable: l2_norm}]\n"


def starting_up() -> dict[str, float]:
    """Find a sweep complete: told from its ledger, or opened whole for another question."""
    with tempfile.TemporaryDirectory() as folder:
        spec, out = Path(folder, "sweep.yaml"), Path(folder, "out")
        spec.write_text(COMPLETE)
        command("run", spec, "--out", out)
        found = {"complete": least_of("run", spec, "--out", out)}
        found["status"] = least_of("status", out)
        texts = [COMPLETE, COMPLETE + ANOTHER_QUESTION]
        opened = []
        for i in range(REPEATS):
            spec.write_text(texts[(i + 1) % 2])
            opened.append(command("run", spec, "--out", out))
        found["complete, with another question: all is imported and opened"] = min(opened)
    return {name: round(seconds, 2) for name, seconds in found.items()}


def least_of(*words: Any) -> float:
    """The least processor seconds of some calls of a command."""
    return min(command(*words) for _ in range(REPEATS))


def command(*words: Any) -> float:
    """Processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = [sys.executable, "-m", "sweep_engine.cli", *map(str, words)]
    subprocess.run(program, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Measure, and write the record."""
    record: dict[str, Any] = {"machine": describe()}
    record["start_up_processor_seconds"] = starting_up()
    record |= small_sweeps()
    record["machine"]["load_average_at_the_end"] = round(os.getloadavg()[0], 2)
    text = json.dumps(record, indent=2)
    print(text, flush=True)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")


if __name__ == "__main__":
    main()
