"""What the commit protocol withstands, and how fast it commits, on this disk and an S3 server.

    .venv/bin/python -m tests.benchmarks.storage tests/benchmarks/records/NAME.json

Eight processes race on 500 shards; every storage operation of a session and of a compaction, and
on S3 every request, fails once in every way. It records; it asserts nothing.
"""

import contextlib
import importlib.metadata
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sweep_engine.store import Files, compact, open_files, verify
from sweep_engine.store.files import objects
from tests.faults.faulty import Crash, Fault, FaultyFiles, Saboteur
from tests.faults.faulty_http import HttpFault, faulty_server
from tests.faults.test_nth_request import AT_ONCE
from tests.faults.workload import (
    assert_complete,
    check_then_resume,
    commit_all,
    expected_rows,
    session,
)
from tests.s3 import environment, new_address, running

RACERS, SHARDS = 8, 500
SERVER = "localbucket"

NewFiles = Callable[[], Files]


def race(address: str, folder: Path) -> dict[str, object]:
    """Eight processes commit every shard at the same time."""
    nursery = Path(__file__).parents[1] / "faults" / "nursery.py"
    reports = [folder / f"won{i}" for i in range(RACERS)]
    with subprocess.Popen(
        [sys.executable, str(nursery)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        for report in reports:
            process.stdin.write(f"start {address} {SHARDS} race {report}\n")
        process.stdin.flush()
        children = [int(process.stdout.readline()) for _ in reports]
        (folder / "go").touch()
        began = time.perf_counter()
        for child in children:
            process.stdin.write(f"wait {child}\n")
        process.stdin.flush()
        exits = [int(process.stdout.readline()) for _ in children]
        seconds = time.perf_counter() - began
        process.stdin.close()
    won = Counter(shard for report in reports for shard in json.loads(report.read_text()))
    files = open_files(address)
    assert_complete(files, SHARDS)
    return {
        "processes": RACERS,
        "shards": SHARDS,
        "failed_processes": sum(code != 0 for code in exits),
        "attempts": RACERS * SHARDS,
        "won": sum(won.values()),
        "double_commits": sum(count > 1 for count in won.values()),
        "won_by_process": sorted(len(json.loads(report.read_text())) for report in reports),
        "problems_that_verify_found": len(verify(files, expected_rows(SHARDS)).problems),
        "seconds": round(seconds, 1),
        "attempts_per_second": round(RACERS * SHARDS / seconds, 1),
    }


def rates(new_files: NewFiles) -> dict[str, float]:
    """Commits a second of four files each (three for every third shard), encoding included."""
    found = {}
    for threads in (1, 8):
        files = new_files()
        shards = [range(first, SHARDS, threads) for first in range(threads)]
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda mine, files=files: commit_all(files, mine), shards))
        found[f"{threads}_threads"] = round(SHARDS / (time.perf_counter() - began), 1)
    began = time.perf_counter()
    session(files, SHARDS)
    found["seconds_to_resume"] = round(time.perf_counter() - began, 3)
    return found


def operations(new_files: NewFiles, work: Callable[[Files], object]) -> dict[str, object]:
    """Every storage operation fails once in every way, then the work is resumed."""
    found: dict[str, object] = {}
    for fault in Fault:
        outcomes: Counter[str] = Counter()
        for nth in itertools.count(1):
            files, saboteur = new_files(), Saboteur(fault, nth)
            if work is compact:
                session(files, 3)
            with contextlib.suppress(OSError, Crash):
                work(FaultyFiles(files, saboteur))
            if not saboteur.fired:
                break
            outcomes[outcome(files, 3)] += 1
        found[fault.value] = dict(outcomes)
    return found


def requests() -> Iterator[tuple[str, dict[str, int]]]:
    """Every request of a session fails once in every way, without and with requests sent again."""
    backend = os.environ["AWS_ENDPOINT_URL"]
    objects.CLIENT["timeout"] = "2s"  # how long a reply that stalls is waited for
    for retries, fault in itertools.product((0, 10), HttpFault):
        objects.RETRY = {"max_retries": retries, "backoff": AT_ONCE}
        outcomes: Counter[str] = Counter()
        with faulty_server(backend) as server:
            for nth in itertools.count(1):
                address = new_address()
                with environment(f"http://127.0.0.1:{server.server_port}"):
                    seen = open_files(address)
                    seen.is_empty()
                server.arm(fault, nth)
                with contextlib.suppress(OSError):
                    session(seen, 2)
                    outcomes["sessions that noticed nothing"] += server.fired
                if not server.fired:
                    break
                server.disarm()
                outcomes[outcome(open_files(address), 2)] += 1
        yield f"{fault.value}; sent again {retries} times at most", dict(outcomes)


def outcome(files: Files, num_shards: int) -> str:
    """What a resume makes of it."""
    try:
        check_then_resume(files, num_shards)
    except AssertionError:
        return "tables that ended wrong"
    return "tables that ended right"


def measure(new_address: Callable[[], str], folder: Path) -> dict[str, object]:
    """All of it in one kind of place."""
    folder.mkdir()

    def new_files() -> Files:
        return open_files(new_address())

    def three_shards(files: Files) -> object:
        return session(files, 3)

    return {
        "race": race(new_address(), folder),
        "commits_per_second": rates(new_files),
        "operations_of_a_session": operations(new_files, three_shards),
        "operations_of_a_compaction": operations(new_files, compact),
    }


def main() -> None:
    """Measure and write the record."""
    with tempfile.TemporaryDirectory() as name:
        folder, numbers = Path(name), itertools.count()
        record: dict[str, object] = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load_average_at_the_start": os.getloadavg()[0],
            "versions": {
                package: importlib.metadata.version(package)
                for package in ("sweep-engine", "pyarrow", "obstore", SERVER)
            },
            "local disk": measure(lambda: f"{name}/{next(numbers)}", folder / "disk"),
        }
        (folder / "server").mkdir()
        with running(SERVER, folder / "server") as endpoint, environment(endpoint):
            on_server = measure(new_address, folder / "s3")
            on_server["requests_of_a_session"] = dict(requests())
        record[f"s3, {SERVER} on loopback"] = on_server
        record["load_average_at_the_end"] = os.getloadavg()[0]
    Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n")


main()
