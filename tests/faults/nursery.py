"""A process that forks committing processes, so that each need not import Arrow again.

Every line of the input is `start ROOT NUM_SHARDS MODE REPORT` (answered with the child's id) or
`wait ID` (answered with its exit status). A child of mode `session` resumes; one of mode `all`
commits every shard, done or not; one of mode `race` does so with seven others. Each writes the
shards it won to REPORT as JSON.
"""

import json
import multiprocessing
import os
import random
import sys
from pathlib import Path

from workload import commit_all, session

from sweep_engine.store import open_files
from sweep_engine.store.files import objects, s3

del objects, s3  # imported for the children, whose connections are their own

RACERS = 8
everyone = multiprocessing.Barrier(RACERS)


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
    if mode == "race":
        won = race(files, count, random.Random(Path(report).name))
    else:
        won = session(files, count) if mode == "session" else commit_all(files, range(count))
    Path(report).write_text(json.dumps(won))
    os._exit(0)


def race(files, count, rng):
    """Commit all shards, eight by eight, in an order of the racer's own; all start each eight.

    Else whoever is first at one shard would be first at every shard.
    """
    won = []
    for first in range(0, count, RACERS):
        eight = range(first, min(first + RACERS, count))
        everyone.wait()
        won += commit_all(files, rng.sample(eight, len(eight)))
    return won


main()
