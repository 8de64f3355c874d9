"""The workers of one process: one a device, or one for all cores."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import jax

from sweep_engine.backends import Worker
from sweep_engine.errors import OutputError
from sweep_engine.execution.programs.programs import (
    Programs,
    compilation_cache,
    num_cores,
    this_device,
)
from sweep_engine.execution.worker.compiling import Ahead
from sweep_engine.execution.worker.concurrency import Concurrency
from sweep_engine.execution.worker.worker import ShardWorker
from sweep_engine.store import Files
from sweep_engine.store.layout import SWEEP_JSON
from sweep_engine.store.manifest import Frozen

JOBS_PER_DEVICE = 2
"""One is computed while the other's files are written, or both where a measurement says so."""


@dataclass(frozen=True)
class Assignment:
    """What the workers of every process are told.

    Attributes:
        files: The output directory.
        manifest: SHA-256 of its `sweep.json`, to know it by.
        here: The choices that this run's devices lead to.
        buckets: Those with shards to do, in the plan's order.
    """

    files: Files
    manifest: str
    here: Frozen
    buckets: tuple[str, ...]


def survey(programs: Programs, buckets: Sequence[str]) -> Frozen:
    """Say what decides the bits of some buckets beside the sweep, on this process's device."""
    return programs.freeze(buckets)


def open_workers(programs: Programs, frozen: Frozen, assignment: Assignment) -> Sequence[Worker]:
    """Open a worker for each device of this process; see `backends.OpenWorkers`.

    A block is K lanes wide on whatever device it flies, so the number of devices changes no
    bit. On a CPU that is one device, the cores that this process may use work for one worker.

    Raises:
        OutputError: the output directory is not to be seen from here, or the device is another.
    """
    compilation_cache()
    _check(assignment)
    devices = jax.local_devices()
    if devices[0].platform == "cpu" and len(devices) == 1:
        cores = num_cores()
        worker = _worker(programs.frozen(frozen), frozen, assignment, Concurrency(cores))
        return [worker] * (cores + 1)  # one waits for the disk while others compute
    workers = [
        _worker(
            programs.frozen(frozen, device),
            frozen,
            assignment,
            Concurrency(1, most=JOBS_PER_DEVICE),
        )
        for device in devices
    ]
    return workers * JOBS_PER_DEVICE


def _worker(
    programs: Programs, frozen: Frozen, assignment: Assignment, concurrency: Concurrency
) -> ShardWorker:
    ahead = Ahead(programs, assignment.buckets)
    return ShardWorker(programs.plan, frozen, programs, assignment.files, concurrency, ahead)


def _check(assignment: Assignment) -> None:
    found, wanted = this_device(), (assignment.here.platform, assignment.here.device_kind)
    if found != wanted:
        raise OutputError(
            f"{socket.gethostname()} has a {' '.join(found)}, the run is on {' '.join(wanted)}: "
            "other devices give other bits"
        )
    try:
        seen = assignment.files.sha256(SWEEP_JSON)
    except OSError:
        seen = ""
    if seen != assignment.manifest:
        raise OutputError(
            f"{socket.gethostname()} does not see the driver's output directory: --out must be on "
            "storage that all machines share, under the same name"
        )
