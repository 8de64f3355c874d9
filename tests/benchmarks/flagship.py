"""What the flagship examples find: every estimate of their comparisons, with its interval.

    .venv/bin/python tests/benchmarks/flagship.py DIR tests/benchmarks/records/NAME.json

Runs `prior_vs_sgd` and `prior_vs_sgd_digits` into folders of DIR, or goes on there, and compares.
The README's table is made from this record. It records; it asserts nothing.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sweep_engine.bench.machine import describe

EXAMPLES = ("prior_vs_sgd", "prior_vs_sgd_digits")
KEPT = (
    "source", "reference", "observable", "given", "at", "estimator", "name", "unit", "value", "low",
    "high", "low_simultaneous", "high_simultaneous", "n_eff_source", "n_eff_reference", "warnings",
)  # fmt: skip


def command(*arguments: str) -> str:
    """Run `sweep-engine` as a user does; what it prints."""
    program = Path(sys.executable).with_name("sweep-engine")
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def measure(example: str, out: Path) -> dict[str, Any]:
    """Run one example, compare and report, and time each."""
    spec = Path(__file__).parents[2] / "sweep_engine" / "examples" / f"{example}.yaml"
    seconds, found = {}, ""
    for name, arguments in (
        ("run", ["run", str(spec), "--out", str(out)]),
        ("compare", ["compare", str(out), "--json"]),
        ("report", ["report", str(out)]),
    ):
        began = time.perf_counter()
        printed = command(*arguments)
        seconds[name] = round(time.perf_counter() - began, 1)
        found = printed if name == "compare" else found
    estimates = json.loads(found)["estimates"]
    return {"seconds": seconds, "estimates": [{key: e[key] for key in KEPT} for e in estimates]}


def main(folder: Path, path: Path) -> None:
    record = {"machine": describe()}
    for example in EXAMPLES:
        record[example] = measure(example, folder / example)
    lines = json.dumps(record, indent=1).replace("\n    ", " ")  # an estimate a line
    path.write_text(lines + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
