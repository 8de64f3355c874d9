"""Draws per second of the prior-scan kernel beside the engine's XLA path, on this machine.

    .venv/bin/python tests/benchmarks/prior_scan.py tests/benchmarks/records/NAME.json

Both do the engine's whole work on shards, tallies included, with threads as the local backend
has them: the 7-40-40-1 network with relu, 16 of the 128 Boolean inputs train. A prior evaluates
all inputs, `guess_and_check` those 16. Draws of ten labels are of 64-32-10 and all digits. Percent
are of the machine's largest float32 product, measured in the same minutes. Where the kernel's time
goes is told by the same draws with the fewest inputs (numbers drawn, hardly a product) and with
other laws. It records, and asserts only that the counts are the same.
"""

import json
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from sweep_engine.bench.machine import describe, limits
from sweep_engine.bench.shards import work_on_shards
from sweep_engine.bench.timing import interleaved
from sweep_engine.sources import open_source
from sweep_engine.sources.work import Finished
from sweep_engine.spec import Piece, Sweep, settings

SHARD, TRAIN = 2**14, 16
BOOLEAN = {
    "task": {"kind": "boolean", "bits": 7, "target": "x1", "train": TRAIN},
    "model": {"kind": "mlp", "widths": [40, 40]},
}
DIGITS = {"task": {"kind": "digits", "train": TRAIN}, "model": {"kind": "mlp", "widths": [32]}}
LAWS = {
    "uniform": {"kind": "box", "half_width": 1.0},
    "normal": {"kind": "fan_in", "weight_std": 1.4, "bias_std": 0.1},
    "truncated": {"kind": "he_truncated_normal"},
    "a ball a layer": {"kind": "ball", "radius": 5.0, "per_layer": True},
}
NORMAL, DRAWS = "normal", 2**16
WORKLOADS = {
    **{f"{source}, {law}": (source, law, BOOLEAN, DRAWS)
       for source in ("prior", "guess_and_check") for law in LAWS},
    "prior, ten labels": ("prior", NORMAL, DIGITS, DRAWS // 8),
}  # fmt: skip
MOST_DIFFERENT = 1e-6
"""Bounds the share of labels that may be another: of outputs within rounding of a tie."""


def measure(
    source: str, law: str, problem: dict[str, Any], draws: int, product_gflops: float
) -> dict[str, Any]:
    """Time the same draws by both."""
    document = problem | {
        "name": "prior-scan",
        "sources": {"source": {"kind": source, "law": LAWS[law], "draws": draws}},
        "execution": {"implementation": "xla"},
    }
    if source == "prior":
        document["sources"]["source"]["keep"] = "none"
    sweep = Sweep.model_validate(document)
    (setting,) = settings(sweep)
    pieces = [Piece(setting, 0, draws)]
    xla = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    programs = {"xla": xla, "kernel": xla.by("cpu")}
    found = interleaved(
        {
            name: lambda programs=one: work_on_shards(programs, pieces, SHARD)
            for name, one in programs.items()
        }
    )
    case = programs["kernel"].kernel.case
    flops = 2 * case.num_inputs * sum(n * m for n, m in pairwise(case.widths))
    return {
        "draws": draws,
        "draws_counted_differently": gate(
            draws * case.num_inputs,
            *(work_on_shards(one, pieces, SHARD) for one in programs.values()),
        ),
        "draws_per_second": {name: time.rate(draws) for name, time in found.items()},
        "processor_us_per_draw": {
            name: round(1e6 * time.processor / draws, 2) for name, time in found.items()
        },
        "percent_of_product_limit": {
            name: round(100 * flops * draws / time.median / (1e9 * product_gflops), 1)
            for name, time in found.items()
        },
        "kernel_over_xla": {
            "by_clock": round(found["xla"].median / found["kernel"].median, 2),
            "by_processor": round(found["xla"].processor / found["kernel"].processor, 2),
        },
    }


def gate(labels: int, one: list[Finished], other: list[Finished]) -> int:
    """How many draws are counted as another function or fit."""
    counts = counted(one)
    counts.subtract(counted(other))
    different = sum(count for count in counts.values() if count > 0)
    if different > MOST_DIFFERENT * labels:
        raise AssertionError(f"{different} draws are counted differently")
    return different


def counted(shards: list[Finished]) -> Counter[tuple[bytes, str]]:
    """Draws by their function, and fits by theirs."""
    found: Counter[tuple[bytes, str]] = Counter()
    for tally in (tally for shard in shards for tally in shard.tallies):
        for kind, numbers in (("draws", tally.counts), ("fits", tally.fit_counts)):
            for function, count in zip(tally.functions, numbers, strict=True):
                found[function.tobytes(), kind] += int(count)
    return found


if __name__ == "__main__":
    limit = limits()
    record: dict[str, Any] = {"machine": describe() | limit}
    for name, workload in WORKLOADS.items():
        record[name] = measure(*workload, limit["product_gflops"])
        record[name]["load_average"] = describe()["load_average"]
        Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")
        print(name, json.dumps(record[name]), flush=True)
