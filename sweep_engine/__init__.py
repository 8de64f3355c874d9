"""sweep_engine measures the prior that architecture, initialisation and optimiser are.

The public names; importing this package imports neither jax nor ray.
"""

from typing import TYPE_CHECKING

from sweep_engine.deferred import deferred

if TYPE_CHECKING:
    from sweep_engine.atlas import effects
    from sweep_engine.columns import Column
    from sweep_engine.densities import Estimate, add_estimator, compare
    from sweep_engine.errors import SweepEngineError
    from sweep_engine.execution import observe, run
    from sweep_engine.observables import Observable, Outcome
    from sweep_engine.planning import plan
    from sweep_engine.report import write_report
    from sweep_engine.spec import Sweep, load
    from sweep_engine.store import open_results
    from sweep_engine.tasks import Loss, Task, make_task

_HOMES = {
    "Column": "columns",
    "Estimate": "densities",
    "Loss": "tasks",
    "Observable": "observables",
    "Outcome": "observables",
    "Sweep": "spec",
    "SweepEngineError": "errors",
    "Task": "tasks",
    "add_estimator": "densities",
    "compare": "densities",
    "effects": "atlas",
    "load": "spec",
    "make_task": "tasks",
    "observe": "execution",
    "open_results": "store",
    "plan": "planning",
    "write_report": "report",
    "run": "execution",
}

__all__ = [
    "Column",
    "Estimate",
    "Loss",
    "Observable",
    "Outcome",
    "Sweep",
    "SweepEngineError",
    "Task",
    "add_estimator",
    "compare",
    "effects",
    "load",
    "make_task",
    "observe",
    "open_results",
    "plan",
    "run",
    "write_report",
]

__getattr__ = deferred(__name__, _HOMES)
