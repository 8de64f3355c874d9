"""A process that forks committing processes, so that each need not import Arrow again.

Every line of the input is `start ROOT NUM_SHARDS MODE REPORT` (answered with the child's id) or
`wait ID` (answered with its exit status). A child of mode `session` resumes; one of mode `race`
commits every shard, done or not. It writes the shards it won to REPORT as JSON.
"""

import json
import os
import sys
from pathlib import Path

from workload import LocalFiles, commit_all, session


def main():
    for line in sys.stdin:
        verb, *arguments = line.split()
        answer = start(*arguments) if verb == "start" else os.waitpid(int(*arguments), 0)[1]
        print(answer, flush=True)


def start(root, num_shards, mode, report):
    child = os.fork()
    if child:
        return child
    files, count = LocalFiles(root), int(num_shards)
    won = session(files, count) if mode == "session" else commit_all(files, range(count))
    Path(report).write_text(json.dumps(won))
    os._exit(0)


main()
