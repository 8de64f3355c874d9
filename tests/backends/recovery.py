"""What is done to a sweep on three machines while it runs, and how long it takes to recover.

Run as a script, this file is the driver: the command line with small shards.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from sweep_engine import cli
from sweep_engine.execution import run
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import sizes
from sweep_engine.store import LocalFiles, verify
from tests.backends.machines import HEAD, Machines, wait_until
from tests.execution.test_resume import tables

RUNS_PER_SHARD = 64

SWEEP = {
    "name": "recovery",
    "seed": 5,
    "task": {"kind": "boolean", "bits": 5, "target": "x1", "train": 16},
    "model": {"kind": "mlp", "widths": [24, 24], "activation": "tanh"},
    "sources": {
        "sgd": {
            "kind": "train",
            "init": {"kind": "gaussian", "std": 0.3},
            "optimizer": {"kind": "sgd", "learning_rate": 0.01},
            "stop": {"max_steps": 2000, "fit": False, "check_every": 100},
            "runs": 64 * 45,
        }
    },
    "observables": ["norms"],
    "execution": {"lanes": 64},
}


def write_spec(folder, **changes):
    path = Path(folder) / "recovery.yaml"
    path.write_text(json.dumps(SWEEP | changes))
    return path


def sgd(**changes):
    return {"sources": {"sgd": SWEEP["sources"]["sgd"] | changes}}


def run_here(out, **changes):
    """The same sweep uninterrupted, in this process."""
    before = sizes.RUNS_PER_SHARD
    sizes.RUNS_PER_SHARD = RUNS_PER_SHARD
    try:
        assert run(Sweep.model_validate(SWEEP | changes), out).is_complete
    finally:
        sizes.RUNS_PER_SHARD = before
    return tables(out)


class Watched:
    """A sweep on machines.

    Attributes:
        out: Its output directory.
    """

    def __init__(self, machines: Machines, spec, out):
        self.machines, self.spec, self.out = machines, spec, Path(out)

    def command(self, address=HEAD):
        run = ["run", self.spec, "--out", self.out, "--backend", "ray", "--address", address]
        return [sys.executable, __file__, *run]

    def drive(self, number=1):
        """Start the driver on a machine."""
        log = self.machines.folder / "machine-driver.log"
        return self.machines.all[number].start(*self.command(), log=log)

    def done(self):
        """The shards that are done, and when they were."""
        return {p.stem: p.stat().st_mtime for p in self.out.glob("ledger/*.json")}

    def progress(self):
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.out / "logs" / "progress.json").read_text())
        return {"workers": 0, "shards": 0, "events": []}

    def await_workers(self, number, shards=3):
        """Wait until so many workers are at work and have done a few shards since."""
        wait_until(lambda: self.progress()["workers"] == number, f"{number} workers")
        before = len(self.done())
        wait_until(lambda: len(self.done()) >= before + shards, "shards")

    def await_end(self, driver, seconds=900.0):
        end = time.monotonic() + seconds
        while driver.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        return driver.returncode

    def event(self, what, since):
        """Wait until the driver has noticed something, and return it."""

        def find():
            events = self.progress()["events"]
            return [e for e in events if e["what"] == what and e["at"] >= since]

        return wait_until(find, f"a worker that is {what}")[0]

    def recovered(self, event):
        """Wait until what the worker had is done, and return when it was."""
        wait_until(lambda: self.done().keys() >= set(event["shards"]), "its shards")
        return max(self.done()[shard] for shard in event["shards"])

    def measure(self, what, since):
        event = self.event(what, since)
        assert event["shards"]
        return {
            "noticed_seconds": round(event["at"] - since, 1),
            "shards_done_again_seconds": round(self.recovered(event) - since, 1),
            "shards": len(event["shards"]),
        }

    def verify(self):
        assert verify(LocalFiles(self.out)).problems == []


def kill_actor(sweep: Watched):
    """Kill the process of a worker."""
    victims = sweep.machines.all[2].processes("ray::")
    hosts = [p for p in victims if "Host" in Path(f"/proc/{p}/cmdline").read_text()]
    since = time.time()
    for pid in hosts:
        os.kill(pid, signal.SIGKILL)
    return sweep.measure("lost", since)


def freeze_machine(sweep: Watched):
    """Freeze a machine until its shards are done by others, and thaw it."""
    machine = sweep.machines.all[2]
    since = time.time()
    machine.freeze()
    found = sweep.measure("silent", since)
    machine.thaw()
    return found


def kill_machine(sweep: Watched, number=3):
    """Pull a machine's plug."""
    since = time.time()
    sweep.machines.all[number].kill()
    return sweep.measure("lost", since)


def boot_machine(sweep: Watched, number=3):
    """Start a machine again: a new node joins the cluster."""
    since = time.time()
    sweep.machines.boot(number)
    sweep.machines.start_ray(number)
    wait_until(lambda: sweep.progress()["workers"] == 3, "the new node's worker")
    return {"at_work_seconds": round(time.time() - since, 1)}


def kill_driver(sweep: Watched, driver, number=1):
    """Kill the driver with -9 and start it again."""
    since = time.time()
    for pid in sweep.machines.all[number].processes(Path(__file__).name):
        os.kill(pid, signal.SIGKILL)
    assert driver.wait() != 0
    kept = sweep.done()
    again = sweep.drive(number)
    wait_until(lambda: len(sweep.done()) > len(kept), "a shard after that")
    assert kept.items() <= sweep.done().items(), "a shard was done again"
    return again, {"first_new_shard_seconds": round(time.time() - since, 1), "kept": len(kept)}


def ordeal(folder, machines):
    """All that can happen to workers and the driver, one after another in one sweep.

    It is long enough for all of it on an idle machine of two cores.
    """
    many = sgd(runs=64 * 250)
    reference = run_here(folder / "reference", **many)
    machines.start_ray()
    sweep = Watched(machines, write_spec(folder, **many), folder / "out")
    driver, record = sweep.drive(), {}
    sweep.await_workers(3)
    record["actor killed"] = kill_actor(sweep)
    sweep.await_workers(3, shards=1)
    record["machine frozen, later thawed"] = freeze_machine(sweep)
    sweep.await_workers(3, shards=1)
    record["machine killed"] = kill_machine(sweep)
    record["machine joined"] = boot_machine(sweep)
    driver, record["driver killed and started again"] = kill_driver(sweep, driver)
    assert sweep.await_end(driver) == 0
    sweep.verify()
    assert tables(sweep.out) == reference
    return record


def beheading(folder, machines, driver_on):
    """Kill the head; then a new cluster, and the same command again."""
    reference = run_here(folder / "reference")
    machines.start_ray()
    sweep = Watched(machines, write_spec(folder), folder / "out")
    driver = sweep.drive(driver_on)
    sweep.await_workers(3, shards=2)
    since, kept = time.time(), sweep.done()
    machines.all[1].kill()
    code = sweep.await_end(driver)
    ended = time.time()
    kept = sweep.done()
    for number in list(machines.all):  # what a cluster's manager does: all of it anew
        machines.all[number].kill()
        machines.boot(number)
    machines.start_ray()
    restarted = time.time()
    driver = sweep.drive(driver_on)
    wait_until(lambda: len(sweep.done()) > len(kept), "a shard after that")
    first = time.time()
    assert sweep.await_end(driver) == 0
    assert kept.items() <= sweep.done().items(), "a shard was done again"
    sweep.verify()
    assert tables(sweep.out) == reference
    return {
        "driver_ended_seconds": round(ended - since, 1),
        "driver_exit_code": code,
        "first_new_shard_after_the_cluster_is_back_seconds": round(first - restarted, 1),
        "kept": len(kept),
    }


def main():
    sizes.RUNS_PER_SHARD = RUNS_PER_SHARD
    sys.argv[0] = "sweep-engine"
    cli.main()


if __name__ == "__main__":
    main()
