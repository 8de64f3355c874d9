"""Mutants of the examples and of data files, tried in a process of 2 GB: a script of the test.

`python -m tests.fuzz.mutants FOLDER EVERY` prints what is no error of our own, one line each, and
how many were tried. Of the mutants that can be planned one in EVERY is opened and costed, as `plan`
does: that takes most of the time.
"""

import copy
import io
import json
import random
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import sweep_engine
from sweep_engine.errors import SweepEngineError
from sweep_engine.execution import Programs, clock, costs, start_cost
from sweep_engine.planning import Plan, plan
from sweep_engine.spec.load import load
from sweep_engine.spec.tasks import FileTask

NUM_SWEEPS, NUM_FILES = 2000, 300
MEMORY = 2 * 2**30
SECONDS = 10
FEW_BUCKETS = 8
"""Of more there is no mutant that is opened: each bucket is a program to trace."""
EXAMPLES = sorted((Path(sweep_engine.__file__).parent / "examples").glob("*.yaml"))
VALUES = [
    None, True, False, 0, 1, -1, 3, 2**31, 2**63, 2**64, 10**12, 0.0, -0.5, 1e-320, 1e39, 1e308,
    "", "x", "7", "kind", "nan", "\x00", "ä", [], {}, [0], [[1]], {"kind": "sgd"}, {"kind": "x"},
    {"uniform": [0, 1], "points": 3}, {"from": "sgd"}, [0.1, 0.2], [1, 1.0],
]  # fmt: skip


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with every key or index in it."""
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield data, key
        yield from places(data[key])


def other_data(rng: random.Random, data: Any) -> str:
    """Change values, keys and whole parts of a sweep."""
    data = copy.deepcopy(data)
    for _ in range(rng.randint(1, 3)):
        found = list(places(data))
        if not found:
            break
        where, key = rng.choice(found)
        match rng.randrange(4):
            case 0:
                del where[key]
            case 1:
                other, at = rng.choice(found)
                value = other[at] if isinstance(other, dict) and at in other else None
                where[key] = copy.deepcopy(value)
            case 2 if isinstance(where, dict):
                where[rng.choice([f"{key}x", "kind", "points", "7", "model.widths"])] = where[key]
            case _:
                where[key] = copy.deepcopy(rng.choice(VALUES))
    return json.dumps(data)


def other_bytes(rng: random.Random, raw: bytes) -> bytes:
    """Change, drop and repeat bytes."""
    found = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(found) or 1)
        match rng.randrange(4):
            case 0:
                found[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                del found[place : place + rng.randint(1, 40)]
            case 2:
                found[place:place] = found[place : place + rng.randint(1, 40)]
            case _:
                found[place : place + 8] = rng.choice([b"\xff" * 8, bytes(8), b"9" * 8])
    return bytes(found)


def data_files() -> dict[str, bytes]:
    """Small files of every form that is read."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)), np.arange(12) % 3
    files = {}
    for name, save in {"plain.npz": np.savez, "small.npz": np.savez_compressed}.items():
        buffer = io.BytesIO()
        save(buffer, x=x, y=y)
        files[name] = buffer.getvalue()
    for name, column in {"lists.parquet": list(x), "numbers.parquet": x[:, 0]}.items():
        buffer = io.BytesIO()
        pq.write_table(pa.table({"x": column, "y": y}), buffer)
        files[name] = buffer.getvalue()
    return files


def complaint(attempt: Callable[[], object]) -> str | None:
    """What an attempt raised that is no error of our own; None where it did not."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        attempt()
    except SweepEngineError as error:
        return None if str(error) else "an error without a word"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def _out_of_time(*_: object) -> None:
    raise TimeoutError(f"longer than {SECONDS} s")


def open_and_cost(planned: Plan) -> None:
    """Do what the command `plan` does with a plan."""
    programs = Programs(planned)
    programs.open_all()
    start_cost(planned, programs, costs(planned, programs, clock(measures=False)))


def main(folder: Path, every: int) -> None:
    """Try all mutants, and open one in `every` of those that can be planned."""
    unlimited = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, unlimited[1]))
    signal.signal(signal.SIGALRM, _out_of_time)
    can_open: list[Plan] = []

    def try_sweep(mutant: Path) -> None:
        planned = plan(load(mutant))
        if len(planned.buckets) <= FEW_BUCKETS:
            can_open.append(planned)

    rng = random.Random(0)
    texts = [path.read_text() for path in EXAMPLES]
    parsed = [yaml.safe_load(text) for text in texts]
    files = list(data_files().items())
    for i in range(NUM_SWEEPS):
        text = texts[i % len(texts)]
        mutant = folder / "mutant.yaml"
        if i % 2:
            mutant.write_bytes(other_bytes(rng, text.encode()))
        else:
            mutant.write_text(other_data(rng, parsed[i % len(texts)]))
        if said := complaint(lambda mutant=mutant: try_sweep(mutant)):
            print(f"sweep {i}: {said}")
    for i in range(NUM_FILES):
        name, raw = files[i % len(files)]
        path = folder / name
        path.write_bytes(other_bytes(rng, raw))
        task = FileTask(path=name, train=4)
        if said := complaint(lambda task=task: task.filled_in(folder)):
            print(f"file {i} ({name}): {said}")
    resource.setrlimit(resource.RLIMIT_AS, unlimited)  # JAX reserves far more than it uses
    for planned in can_open[::every]:
        if said := complaint(lambda planned=planned: open_and_cost(planned)):
            print(f"opened {planned.sweep}: {said}")
    # `ru_maxrss` would have that of the process that started this one, too.
    (used,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if 1024 * int(used) > MEMORY:
        print(f"opening took {used} KB")
    print("tried", NUM_SWEEPS + NUM_FILES, "opened", len(can_open[::every]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
