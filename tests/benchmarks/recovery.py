"""How long a sweep on a Ray cluster of three machines takes to recover from what may happen.

    .venv/bin/python tests/benchmarks/recovery.py tests/benchmarks/records/NAME.json

The machines are namespaces of this one, so this needs root. It asserts what the tests of
`tests/backends/test_recovery.py` do, that the tables end as those of an uninterrupted run, and
records the times.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from sweep_engine.bench.machine import describe

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.backends.machines import Machines
from tests.backends.recovery import beheading, ordeal


def on_machines(function, *arguments):
    """Do it on three fresh machines, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        machines = Machines(Path(folder, "machines"), 3)
        try:
            return function(Path(folder), machines, *arguments)
        finally:
            machines.close()


def main(path: Path) -> None:
    record = {"machine": describe()} | on_machines(ordeal)
    record["head killed, with the driver"] = on_machines(beheading, 1)
    record["head killed, driver elsewhere"] = on_machines(beheading, 2)
    record["load_after"] = os.getloadavg()[0]
    path.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        main(Path(sys.argv[1]))
