"""Sweeps as jobs of a real Slurm of two nodes: run to the end, interrupted, cancelled.

    python tests/cluster/slurm/scenarios.py tests/benchmarks/records/NAME.json

It submits cluster/slurm/sweep.sbatch and writes what it saw, with times. `tests/cluster/
test_slurm.py` runs it and says what must hold; on its own it is a record that this was run.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import two_nodes

SHARDS = 24
SPEC = f"""
name: nodes
seed: 0
task: {{kind: boolean, bits: 7, target: x1, train: 16}}
model: {{kind: mlp, widths: [40, 40]}}
sources:
  box: {{kind: prior, law: {{kind: box, half_width: 1.0}}, draws: {SHARDS * 65_536}, keep: 64}}
observables: [norms]
"""
ASK = """
import os, sys
for name in list(os.environ):
    if name.startswith("RAY_"):
        del os.environ[name]
address, mode, token = sys.argv[1], sys.argv[2], sys.stdin.read()
os.environ["RAY_AUTH_MODE"] = mode
if token:
    os.environ["RAY_AUTH_TOKEN"] = token
from ray._raylet import GcsClient
print(len(GcsClient(address=address).get_all_node_info(timeout=20)), "nodes")
"""
BIN = two_nodes.ROOT / ".venv" / "bin"


class Job:
    """A job of sweep.sbatch with its log and output directory."""

    def __init__(self, folder: Path, name: str, *options: str, spec: str = "sweep.yaml") -> None:
        self.folder, self.out, self.log = folder, folder / name, folder / f"{name}.txt"
        script = two_nodes.ROOT / "cluster" / "slurm" / "sweep.sbatch"
        words = ["sbatch", "--parsable", *options, f"--output={self.log}", script]
        self.id = run([*words, folder / spec, self.out]).strip()
        self.began = time.monotonic()

    def seconds(self) -> float:
        return round(time.monotonic() - self.began, 1)

    def facts(self) -> dict[str, str]:
        """Slurm's words about it: JobState, Restarts, ExitCode."""
        text = run(["scontrol", "show", "job", self.id])
        return dict(re.findall(r"(\w+)=(\S+)", text))

    def shards(self) -> dict[str, Any]:
        """The ledger's entries."""
        entries = [json.loads(path.read_text())["entry"] for path in self.out.glob("ledger/*.json")]
        return {entry["shard"]: entry for entry in entries}

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                log = self.log.read_text() if self.log.exists() else ""
                sys.exit(f"{what}: not after {seconds} s\n{self.facts()}\n{log}")
            time.sleep(0.2)

    def wait_for_shards(self, number: int) -> None:
        self.wait(f"{number} shards", lambda: len(self.shards()) >= number)

    def wait_for_restart(self, number: int) -> None:
        self.wait(f"restart {number}", lambda: self.facts()["Restarts"] == str(number))

    def wait_for_end(self) -> None:
        over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
        self.wait("the end", lambda: self.facts()["JobState"] in over)

    def summary(self) -> dict[str, Any]:
        facts, shards = self.facts(), self.shards()
        return {
            "seconds": self.seconds(),
            "state": facts["JobState"],
            "restarts": int(facts["Restarts"]),
            "exit_code": facts["ExitCode"],
            "shards": len(shards),
            "hosts": sorted({entry["receipt"]["host"] for entry in shards.values()}),
        }


def run(words: list[str | Path], *, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        sys.exit(f"{words}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def tables(job: Job) -> dict[str, str]:
    """The checksum of every file of every shard."""
    return {
        file["path"]: file["sha256"] for entry in job.shards().values() for file in entry["files"]
    }


def uninterrupted(folder: Path) -> tuple[Job, dict[str, Any]]:
    """Two nodes, and what stands open meanwhile."""
    job = Job(folder, "uninterrupted", "--nodes=2")
    job.wait_for_shards(1)
    first_shard = job.seconds()
    modes = run(["srun", f"--jobid={job.id}", "--overlap", "--nodes=2", "--ntasks=2", "sh", "-c",
                 'find /tmp/r$SLURM_JOB_ID.* -maxdepth 1 -name "token*" -printf "%m %u\\n";'
                 'find /tmp/r$SLURM_JOB_ID.* -maxdepth 0 -printf "%m %u\\n"'])  # fmt: skip
    words = run(["srun", f"--jobid={job.id}", "--overlap", "--nodes=1", "--ntasks=1", "sh", "-c",
                 "cat /tmp/r$SLURM_JOB_ID.*/token"])  # fmt: skip
    token = words.strip()
    seen = run(["srun", f"--jobid={job.id}", "--overlap", "--nodes=2", "--ntasks=2", "sh", "-c",
                "ps axww -o args; scontrol show job $SLURM_JOB_ID"])  # fmt: skip
    address = f"{two_nodes.NODES['n1']}:{20000 + int(job.id) % 600 * 20}"
    told = {
        who: ask(address, *how)
        for who, how in {
            "the token": ("token", token),
            "another token": ("token", "0" * len(token)),
            "no token": ("disabled", ""),
        }.items()
    }
    job.wait_for_end()
    stored = "".join(
        path.read_text(errors="replace") for path in job.out.rglob("*") if path.is_file()
    )
    record = job.summary() | {
        "first_shard_seconds": first_shard,
        "complete": json.loads(run([BIN / "sweep-engine", "status", job.out, "--json"]))[
            "complete"
        ],
        "verified": run([BIN / "sweep-engine", "verify", job.out]).strip(),
        "modes_of_token_and_folder": sorted(set(modes.split("\n")) - {""}),
        "token_length": len(token),
        "token_in_arguments": token in seen,
        "token_in_log_or_results": token in job.log.read_text() + stored,
        "told_to_who_has": told,
    }
    return job, record


def ask(address: str, mode: str, token: str) -> str:
    """What Ray's head tells who asks it for the cluster's nodes from another machine."""
    done = subprocess.run(
        [BIN / "python", "-c", ASK, address, mode],
        input=token, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return (done.stdout + done.stderr).strip().splitlines()[-1][:200]


def again(folder: Path, job: Job) -> dict[str, Any]:
    """The same command when all is done."""
    before = tables(job)
    second = Job(folder, "uninterrupted", "--nodes=2")
    second.wait_for_end()
    return second.summary() | {"unchanged": tables(second) == before}


def interrupted(folder: Path, whole: Job) -> dict[str, Any]:
    """Told by USR1 that the time is up; preempted with a time of grace; taken back at once."""
    job = Job(folder, "interrupted", "--nodes=2")
    kept, events = dict[str, Any](), []
    changed = []

    def event(what: str, act: Callable[[], object]) -> None:
        job.wait_for_shards(len(kept) + 2)
        before = job.shards()
        began = job.seconds()
        act()
        job.wait_for_restart(len(events) + 1)
        after = job.seconds()
        job.wait("the next try", lambda: job.facts()["JobState"] == "RUNNING")
        now = job.shards()
        changed.extend(shard for shard in before if now[shard] != before[shard])
        kept.update(now)
        events.append({
            "event": what, "at_seconds": began, "shards_before": len(before),
            "in_the_queue_after_seconds": round(after - began, 1),
            "running_after_seconds": round(job.seconds() - began, 1),
        })  # fmt: skip

    def urgent() -> None:
        words = ["sbatch", "--parsable", "--partition=urgent", "--nodes=2", "--wrap=sleep 1"]
        run([*words, "--output=/dev/null"])

    event("USR1: two minutes left", lambda: run(["scancel", "--batch", "--signal=USR1", job.id]))
    event("preempted, with a time of grace", urgent)
    event("requeued at once", lambda: run(["scontrol", "requeue", job.id]))
    job.wait_for_end()
    changed.extend(shard for shard, entry in kept.items() if job.shards()[shard] != entry)
    return job.summary() | {
        "events": events,
        "committed_shards_changed": changed,
        "same_bits_as_uninterrupted": tables(job) == tables(whole),
        "verified": run([BIN / "sweep-engine", "verify", job.out]).strip(),
    }


def cancelled(folder: Path) -> dict[str, Any]:
    """A job that its user cancels stays away."""
    job = Job(folder, "cancelled", "--nodes=2")
    job.wait_for_shards(1)
    run(["scancel", job.id])
    job.wait_for_end()
    time.sleep(10)  # longer than a requeued job is held back
    return job.summary()


def alone(folder: Path) -> dict[str, Any]:
    """One node, no Ray: told by USR1, and back."""
    job = Job(folder, "alone", "--nodes=1")
    job.wait_for_shards(1)
    run(["scancel", "--batch", "--signal=USR1", job.id])
    job.wait_for_restart(1)
    job.wait_for_end()
    return job.summary()


def bad_input(folder: Path) -> dict[str, Any]:
    """A sweep file that is refused: no second try."""
    (folder / "bad.yaml").write_text(SPEC.replace("half_width: 1.0", "half_width: -1.0"))
    job = Job(folder, "bad_input", "--nodes=2", spec="bad.yaml")
    job.wait_for_end()
    return job.summary()


def left_behind() -> list[str]:
    """Files and processes of ours on the nodes, when all jobs are over."""
    find = "ls -d /tmp/r*.* 2>/dev/null; pgrep -f '[r]aylet|[g]cs_server|[s]weep-engine' -a; true"
    return run(["srun", "--nodes=2", "--ntasks=2", "sh", "-c", find]).splitlines()


def main(record_file: Path, folder: Path) -> None:
    """Run all of it inside the namespaces and write the record."""
    os.chdir(two_nodes.ROOT)
    (folder / "sweep.yaml").write_text(SPEC)
    whole, first = uninterrupted(folder)
    record = {
        "slurm": run(["sinfo", "--version"]).split()[-1],
        "ray": run([BIN / "ray", "--version"]).split()[-1],
        "python": platform.python_version(),
        "cores_of_both_nodes": os.cpu_count(),
        "uninterrupted": first,
        "again": again(folder, whole),
        "interrupted": interrupted(folder, whole),
        "cancelled": cancelled(folder),
        "alone": alone(folder),
        "bad_input": bad_input(folder),
        "left_behind": left_behind(),
    }
    record_file.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    elif why := two_nodes.missing():
        sys.exit(why)
    else:
        with tempfile.TemporaryDirectory() as folder:
            mine = [sys.executable, __file__, Path(sys.argv[1]).resolve(), folder]
            sys.exit(subprocess.run(two_nodes.command(Path(folder), *mine), check=False).returncode)
