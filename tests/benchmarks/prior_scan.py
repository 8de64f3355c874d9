"""Draws per second of the prior-scan kernel beside the engine's XLA path, on this machine.

    .venv/bin/python tests/benchmarks/prior_scan.py tests/benchmarks/records/NAME.json

Both do the engine's whole work on shards, tallies included, with threads as the local backend
has them: the 7-40-40-1 network with relu, 16 of the 128 Boolean inputs train. A prior evaluates
all inputs, `guess_and_check` those 16. Percent are of the machine's largest float32 product,
measured in the same minutes. Where the kernel's time goes is told by the same draws with the
fewest inputs (numbers drawn, hardly a product) and with other laws. It records, and asserts
only that the counts are the same.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from sweep_engine.bench.machine import describe, limits
from sweep_engine.bench.shards import work_on_shards
from sweep_engine.bench.timing import interleaved
from sweep_engine.sources import open_source
from sweep_engine.sources.work import Finished
from sweep_engine.spec import Piece, Sweep, settings

DRAWS, SHARD, TRAIN = 2**16, 2**14, 16
FLOPS_AN_INPUT = 2 * (7 * 40 + 40 * 40 + 40)
LAWS = {
    "uniform": {"kind": "box", "half_width": 1.0},
    "normal": {"kind": "fan_in", "weight_std": 1.4, "bias_std": 0.1},
}
INPUTS = {"prior": 128, "guess_and_check": TRAIN}
MOST_DIFFERENT = 1e-4
"""Share of draws that may have an output within rounding of 0."""


def measure(source: str, law: str, product_gflops: float) -> dict[str, Any]:
    document = {
        "name": "prior-scan",
        "task": {"kind": "boolean", "bits": 7, "target": "x1", "train": TRAIN},
        "model": {"kind": "mlp", "widths": [40, 40]},
        "sources": {"source": {"kind": source, "law": LAWS[law], "draws": DRAWS}},
        "execution": {"implementation": "reference"},
    }
    if source == "prior":
        document["sources"]["source"]["keep"] = "none"
    sweep = Sweep.model_validate(document)
    (setting,) = settings(sweep)
    pieces = [Piece(setting, 0, DRAWS)]
    xla = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    programs = {"xla": xla, "kernel": xla.by("cpu")}
    found = interleaved(
        {
            name: lambda programs=one: work_on_shards(programs, pieces, SHARD)
            for name, one in programs.items()
        }
    )
    flops = FLOPS_AN_INPUT * INPUTS[source]
    return {
        "draws_counted_differently": gate(
            *(work_on_shards(one, pieces, SHARD) for one in programs.values())
        ),
        "draws_per_second": {name: time.rate(DRAWS) for name, time in found.items()},
        "processor_us_per_draw": {
            name: round(1e6 * time.processor / DRAWS, 2) for name, time in found.items()
        },
        "percent_of_product_limit": {
            name: round(100 * flops * DRAWS / time.median / (1e9 * product_gflops), 1)
            for name, time in found.items()
        },
        "kernel_over_xla": {
            "by_clock": round(found["xla"].median / found["kernel"].median, 2),
            "by_processor": round(found["xla"].processor / found["kernel"].processor, 2),
        },
    }


def gate(one: list[Finished], other: list[Finished]) -> int:
    """How many draws are counted as another function or fit."""
    counts = counted(one)
    counts.subtract(counted(other))
    different = sum(count for count in counts.values() if count > 0)
    if different > MOST_DIFFERENT * DRAWS:
        raise AssertionError(f"{different} of {DRAWS} draws are counted differently")
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
    record: dict[str, Any] = {"machine": describe() | limit, "draws": DRAWS}
    for source in INPUTS:
        for law in LAWS:
            name = f"{source}, {law}"
            record[name] = measure(source, law, limit["product_gflops"])
            record[name]["load_average"] = describe()["load_average"]
            Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")
            print(name, json.dumps(record[name]), flush=True)
