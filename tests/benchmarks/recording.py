"""What recording costs: beside training, what its observables cost by themselves.

    python -m tests.benchmarks.recording     writes records/recording_2_cores.json

One block of 256 lanes trains without a record and with one at every step; the same networks are
observed alone. `overhead` is (with - without) / alone: 1 if recording costs nothing beside what
it observes. The median of five rounds, each with all three.
"""

import json
import statistics
import time
from pathlib import Path

import numpy as np

from sweep_engine.machine import usable_cores
from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.observe import observe
from sweep_engine.spec import Piece, Sweep, settings

RECORD = Path(__file__).parent / "records" / "recording_2_cores.json"
LANES, STEPS, ROUNDS = 256, 32, 5
OBSERVABLES = {
    "norms": "norms",
    "flatness": {"kind": "flatness", "measures": ["eigenvalues"], "steps": 8},
}


def opened(record):
    """Open a source that trains one block, with a record or without."""
    sweep = Sweep(
        name="recording",
        task={"kind": "boolean", "bits": 7, "target": "x1 ^ x2", "train": 64},
        model={"kind": "mlp", "widths": [16]},
        sources={
            "sgd": {
                "kind": "train",
                "stop": {"max_steps": STEPS, "fit": False, "check_every": STEPS},
                "runs": LANES,
                **({"record": {"observables": [record], "every": 1}} if record else {}),
            }
        },
        execution={"lanes": LANES},
    )
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    for program, arguments in programs.to_compile():
        program.compiled(*arguments)
    return programs, [Piece(setting, 0, LANES)]


def seconds(deed):
    """Time one call."""
    began = time.perf_counter()
    deed()
    return time.perf_counter() - began


def measure(record):
    """The three times of every round, in seconds, and the median overhead."""
    bare, watched = opened(None), opened(record)
    networks = np.repeat(work(*bare, Control()).solutions.theta, STEPS + 1, axis=0)
    bucket = watched[0].recording
    limits = bucket.curvature_limits(bucket.hyper([bucket.setting] * len(networks)))
    rounds = []
    for _ in range(ROUNDS + 1):
        without = seconds(lambda: work(*bare, Control()))
        alone = seconds(lambda: observe(bucket, networks, Control(), limits=limits))
        together = seconds(lambda: work(*watched, Control()))
        rounds.append({"without": without, "alone": alone, "with": together})
    del rounds[0]  # it warms up
    overheads = [(each["with"] - each["without"]) / each["alone"] for each in rounds]
    return {"rounds": rounds, "overhead": statistics.median(overheads)}


if __name__ == "__main__":
    found = {name: measure(record) for name, record in OBSERVABLES.items()}
    RECORD.write_text(json.dumps({"cores": usable_cores(), "lanes": LANES} | found, indent=1))
    print({name: round(each["overhead"], 3) for name, each in found.items()})
