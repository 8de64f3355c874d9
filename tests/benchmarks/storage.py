"""What the commit protocol withstands, and how fast it commits, on this disk and an S3 server.

    .venv/bin/python -m tests.benchmarks.storage tests/benchmarks/records/NAME.json [ROUNDS]

Eight processes race on 500 shards; every storage operation of a session and of a compaction, and
on S3 every request, fails, on S3 in ROUNDS ways, each operation in another. It records; it asserts
nothing. Interrupted, it goes on with the part that it was at.
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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from sweep_engine.store import Files, compact, open_files, verify
from sweep_engine.store.files import objects
from tests.faults.faulty import Crash, Fault, FaultyFiles, Saboteur
from tests.faults.faulty_http import HttpFault, faulty_server
from tests.faults.test_nth_request import AT_ONCE, error_of_session
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

REQUESTS_OF_A_SESSION = 16  # of one shard: 3 lists, 4 files staged and published, 1 entry

NewFiles = Callable[[], Files]
Tally = dict[str, Counter[str]]
Parts = Iterator[tuple[str, Callable[[], dict]]]


def race(address: str, folder: Path) -> dict[str, object]:
    """Eight processes commit every shard at the same time."""
    nursery = Path(__file__).parents[1] / "faults" / "nursery.py"
    reports = [folder / f"won{i}" for i in range(RACERS)]
    with subprocess.Popen(
        [sys.executable, str(nursery)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        began = time.perf_counter()
        for report in reports:
            process.stdin.write(f"start {address} {SHARDS} race {report}\n")
        process.stdin.flush()
        children = [int(process.stdout.readline()) for _ in reports]
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


def operations(new_files: NewFiles, work: Callable[[Files], object], rounds: int) -> Tally:
    """Every storage operation fails, in each round in another way; then the work is resumed."""
    found: Tally = defaultdict(Counter)
    for start in range(rounds):
        for nth in itertools.count(1):
            fault = list(Fault)[(start + nth) % len(Fault)]
            files, saboteur = new_files(), Saboteur(fault, nth)
            if work is compact:
                session(files, 3)
            with contextlib.suppress(OSError, Crash):
                work(FaultyFiles(files, saboteur))
            if not saboteur.fired:
                break
            if work is compact:
                compact(files)
            found[fault.value][outcome(files, 3)] += 1
    return found


def requests(retries: int, rounds: int) -> Tally:
    """Every request of a session fails, in each round in another way; then it is resumed."""
    found: Tally = defaultdict(Counter)
    backend = os.environ["AWS_ENDPOINT_URL"]
    objects.RETRY = {"max_retries": retries, "backoff": AT_ONCE}
    with faulty_server(backend) as server:
        for start in range(rounds):
            for nth in range(1, REQUESTS_OF_A_SESSION + 1):
                fault = list(HttpFault)[(start + nth) % len(HttpFault)]
                objects.CLIENT["timeout"] = "2s" if fault is HttpFault.REPLY_STALLED else "60s"
                address = new_address(backend)
                with environment(f"http://127.0.0.1:{server.server_port}"):
                    seen = open_files(address)
                    seen.is_empty()
                server.arm(fault, nth)
                error = error_of_session(seen, 1)
                if server.fired:
                    how = "noticed nothing" if error is None else "ended with an error"
                    found[fault.value][f"sessions that {how}"] += 1
                server.disarm()
                found[fault.value][outcome(open_files(address), 1)] += 1
    return found


def outcome(files: Files, num_shards: int) -> str:
    """What a resume makes of it."""
    try:
        check_then_resume(files, num_shards)
    except AssertionError:
        return "tables that ended wrong"
    return "tables that ended right"


def parts(new_address: Callable[[], str], folder: Path, rounds: int) -> Parts:
    """What is measured in every kind of place."""
    folder.mkdir()

    def new_files() -> Files:
        return open_files(new_address())

    def three_shards(files: Files) -> object:
        return session(files, 3)

    yield "race", lambda: race(new_address(), folder)
    yield "commits_per_second", lambda: rates(new_files)
    yield "operations_of_a_session", lambda: operations(new_files, three_shards, rounds)
    yield "operations_of_a_compaction", lambda: operations(new_files, compact, rounds)


def main() -> None:
    """Measure what the record does not hold yet, and write it anew after every part."""
    path, rounds = Path(sys.argv[1]), int((sys.argv[2:] or [len(Fault)])[0])
    places: dict[str, dict[str, object]] = {"local disk": {}, f"s3, {SERVER} on loopback": {}}
    record: dict[str, Any] = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rounds_on_s3": rounds,
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("sweep-engine", "pyarrow", "obstore", SERVER)
        },
        **places,
    }
    if path.exists():
        record |= json.loads(path.read_text())

    def keep(found: dict[str, object], measured: Parts) -> None:
        for name, measure in measured:
            if name in found:
                continue
            load = round(os.getloadavg()[0], 1)
            found[name] = {**measure(), "load_average_before": load}
            path.write_text(json.dumps(record, indent=1) + "\n")

    with tempfile.TemporaryDirectory() as name:
        folder, numbers = Path(name), itertools.count()
        on_disk, on_s3 = (record[place] for place in places)
        keep(on_disk, parts(lambda: f"{name}/{next(numbers)}", folder / "disk", len(Fault)))
        (folder / "server").mkdir()
        with running(SERVER, folder / "server") as endpoint, environment(endpoint):
            keep(on_s3, parts(partial(new_address, endpoint), folder / "s3", rounds))
            for retries in (0, 10):
                title = f"requests_of_a_session_sent_again_{retries}_times_at_most"
                keep(on_s3, iter([(title, partial(requests, retries, rounds))]))


main()
