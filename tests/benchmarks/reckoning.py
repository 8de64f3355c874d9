"""Record what `plan` reckons beside what `plan --measure` finds, of the examples.

python tests/benchmarks/reckoning.py [out.json] [example ...]

Of every source the seconds of a unit of its work, and of every observable those of a network.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sweep_engine.bench.machine import describe
from sweep_engine.execution import Programs, clock
from sweep_engine.execution.programs.clocks import Clock
from sweep_engine.execution.programs.observable_costs import Stopwatch
from sweep_engine.execution.programs.rates import measured
from sweep_engine.planning import plan
from sweep_engine.spec import load

EXAMPLES = Path("sweep_engine/examples")
CHEAP = ("minimal", "boolean", "landscape", "digits", "sources", "posterior", "flow",
         "conservation", "balanced", "depth", "flatness")  # fmt: skip
"""Those whose programs are compiled and timed in a minute or two."""


def compared(example: str) -> Iterator[tuple[str, float, float]]:
    """Yield names, and the seconds of a unit or a network: reckoned, and measured."""
    planned = plan(load(EXAMPLES / f"{example}.yaml"))
    programs = Programs(planned)
    programs.open_all()
    clocks: list[Clock] = [clock(measures=False), clock(measures=True)]
    watches = [Stopwatch(each) for each in clocks]
    seen: set[str] = set()
    for bucket in planned.buckets:
        opened = programs.of(bucket)
        source = opened.bucket.setting.source
        if source in seen:
            continue
        seen.add(source)
        kind = opened.bucket.setting.spec.kind
        reckoned, found = (each.unit(opened)[0] for each in clocks)
        yield f"{example}/{source} ({kind})", reckoned, found
        timings = [each.time(opened.bucket, planned.sweep.observables) for each in watches]
        for (observable, recorded), taken in timings[0].items():
            name = f"{example}/{source}/{observable}"
            if taken.in_blocks and not recorded:
                yield name, taken.seconds, timings[1][observable, recorded].seconds


def main() -> None:
    """Compare, print as it goes, and write the record."""
    examples = sys.argv[2:] or CHEAP
    found: dict[str, Any] = {}
    for example in examples:
        for name, reckoned, seconds in compared(example):
            found[name] = {
                "reckoned_us": round(1e6 * reckoned, 3),
                "measured_us": round(1e6 * seconds, 3),
                "ratio": round(reckoned / seconds, 2),
            }
            print(f"{name:50} {found[name]}", flush=True)
    ratios = sorted(each["ratio"] for each in found.values())
    within = sum(1 / 3 <= ratio <= 3 for ratio in ratios)
    summary = {"compared": len(ratios), "within_a_factor_of_3": within}
    rates = {name: round(each / 1e9, 2) for name, each in vars(measured()).items()}
    record = {"machine": describe(), "rates_in_1e9": rates, **summary, "found": found}
    print(summary)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
