"""Execution: the schedule (pure), the worker, and the driver that owns a backend.

Importing it imports nothing of it: `status` and a `run` that finds all done need no jax.
"""

from typing import TYPE_CHECKING

from sweep_engine.deferred import deferred

if TYPE_CHECKING:
    from sweep_engine.execution.driver.heartbeat import read_heartbeat
    from sweep_engine.execution.driver.loop import RunSummary
    from sweep_engine.execution.driver.progress import Display, Quiet, display_for
    from sweep_engine.execution.driver.run import choose_backend, fits_of_done, run
    from sweep_engine.execution.driver.schedule import Schedule, needed
    from sweep_engine.execution.driver.shortfalls import Shortfall, shortfalls
    from sweep_engine.execution.later.observing import Observed, observe
    from sweep_engine.execution.programs.costs import (
        BucketCost,
        StartCost,
        clock,
        costs,
        start_cost,
    )
    from sweep_engine.execution.programs.elsewhere import MemoryNeed, device_named, memory_needs
    from sweep_engine.execution.programs.observable_costs import DRAWS_PER_FIT, ObservableCost
    from sweep_engine.execution.programs.programs import Programs

_HOMES = {
    "BucketCost": "programs.costs",
    "DRAWS_PER_FIT": "programs.observable_costs",
    "Display": "driver.progress",
    "MemoryNeed": "programs.elsewhere",
    "ObservableCost": "programs.observable_costs",
    "Observed": "later.observing",
    "Programs": "programs.programs",
    "Quiet": "driver.progress",
    "RunSummary": "driver.loop",
    "Schedule": "driver.schedule",
    "Shortfall": "driver.shortfalls",
    "StartCost": "programs.costs",
    "choose_backend": "driver.run",
    "clock": "programs.costs",
    "costs": "programs.costs",
    "device_named": "programs.elsewhere",
    "display_for": "driver.progress",
    "fits_of_done": "driver.run",
    "memory_needs": "programs.elsewhere",
    "needed": "driver.schedule",
    "observe": "later.observing",
    "read_heartbeat": "driver.heartbeat",
    "run": "driver.run",
    "shortfalls": "driver.shortfalls",
    "start_cost": "programs.costs",
}

__all__ = [
    "DRAWS_PER_FIT",
    "BucketCost",
    "Display",
    "MemoryNeed",
    "ObservableCost",
    "Observed",
    "Programs",
    "Quiet",
    "RunSummary",
    "Schedule",
    "Shortfall",
    "StartCost",
    "choose_backend",
    "clock",
    "costs",
    "device_named",
    "display_for",
    "fits_of_done",
    "memory_needs",
    "needed",
    "observe",
    "read_heartbeat",
    "run",
    "shortfalls",
    "start_cost",
]

__getattr__ = deferred(__name__, _HOMES)
