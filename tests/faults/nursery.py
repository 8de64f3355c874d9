"""A process that forks committing processes, so that each need not import Arrow again.

Every line of the input is `start ROOT NUM_SHARDS MODE REPORT` (answered with the child's id) or
`wait ID` (answered with its exit status). A child of mode `session` resumes; one of mode `race`
commits every shard, done or not, from the moment that there is a file `go` beside REPORT. Either
writes the shards it won to REPORT as JSON.
"""

import json
import os
import random
import sys
import time
from pathlib import Path

from workload import commit_all, session

from sweep_engine.store import open_files
from sweep_engine.store.files import objects, s3

del objects, s3  # imported for the children, whose connections are their own


def main():
    for line in sys.stdin:
        verb, *arguments = line.split()
        answer = start(*arguments) if verb == "start" else os.waitpid(int(*arguments), 0)[1]
        print(answer, flush=True)


def start(root, num_shards, mode, report):
    child = os.fork()
    if child:
        return child
    files, count = open_files(root), int(num_shards)
    while mode == "race" and not (Path(report).parent / "go").exists():
        time.sleep(0.001)
    won = session(files, count) if mode == "session" else commit_all(files, order(report, count))
    Path(report).write_text(json.dumps(won))
    os._exit(0)


def order(report, count):
    """All shards, eight by eight, the eight in an order of the racer's own.

    In one order for all, whoever is first at one shard is first at every shard.
    """
    rng = random.Random(Path(report).name)
    eights = (range(first, min(first + 8, count)) for first in range(0, count, 8))
    return [shard for eight in eights for shard in rng.sample(eight, len(eight))]


main()
