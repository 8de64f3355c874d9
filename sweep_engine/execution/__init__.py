"""Execution: the schedule (pure), the worker, and the driver that owns a backend."""

from sweep_engine.execution.costs import BucketCost, costs
from sweep_engine.execution.driver import choose_backend, fits_of_done, run
from sweep_engine.execution.heartbeat import read_heartbeat
from sweep_engine.execution.loop import RunSummary
from sweep_engine.execution.observing import Observed, observe
from sweep_engine.execution.programs import Programs
from sweep_engine.execution.progress import Display, Quiet, display_for
from sweep_engine.execution.schedule import Schedule, needed

__all__ = [
    "BucketCost",
    "Display",
    "Observed",
    "Programs",
    "Quiet",
    "RunSummary",
    "Schedule",
    "choose_backend",
    "costs",
    "display_for",
    "fits_of_done",
    "needed",
    "observe",
    "read_heartbeat",
    "run",
]
