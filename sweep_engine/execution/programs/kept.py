"""Keeps opened programs when a run ends: the next one in this process compiles none of them anew.

A notebook runs a sweep again after a change of its axes, retries and observes it, or compares two
that share a source.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import jax

from sweep_engine.lanes import platform
from sweep_engine.sources import SourcePrograms
from sweep_engine.spec import Setting, Sweep
from sweep_engine.spec.base import canonical_json, static_part
from sweep_engine.spec.custom import holds_own
from sweep_engine.spec.settings import identity
from sweep_engine.spec.sweep import Execution

MOST = 8
"""Buckets whose programs stay: of 15 to 20 MB each."""


class Kept:
    """Keeps the programs that were asked for last.

    Args:
        most: Of how many buckets.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._programs: OrderedDict[Hashable, SourcePrograms] = OrderedDict()

    def of(self, likeness: Hashable, make: Callable[[], SourcePrograms]) -> SourcePrograms:
        """Return the programs of a likeness, made where they are not there; None is like nothing.

        Raises:
            ValueError: `make` did.
        """
        if likeness is None:
            return make()
        with self._lock:
            found = self._programs.pop(likeness, None) or make()
            self._programs[likeness] = found
            while len(self._programs) > self.most:
                self._programs.popitem(last=False)
            return found

    def clear(self) -> None:
        """Forget all, as where the engine's own code was changed."""
        with self._lock:
            self._programs.clear()


KEPT = Kept()
"""This process's."""


def likeness(
    sweep: Sweep, setting: Setting, execution: Execution, runs: int, held: bool, device: Any
) -> Hashable:
    """Say all that the programs of a setting's bucket depend on.

    None where code or files stand behind them that may be others by the next run: an object
    of the user's own, a data file.
    """
    parts = (setting.task, setting.model, setting.accept, setting.spec, *sweep.observables)
    if setting.task.data_files or any(map(holds_own, parts)):
        return None
    content = [
        setting.source,
        static_part(setting.spec),
        *(identity(part) for part in (setting.task, setting.model, setting.accept)),
        [one.model_dump(mode="json") for one in sweep.observables],
        identity(execution),
        [sweep.seed, setting.parent_digest, held],
    ]
    # The width of a block follows the number of runs, and of those in a shard, where it is not
    # frozen yet.
    spec = setting.spec
    width = execution.lanes or (runs, spec.runs_per_shard, spec.runs_per_tiny_shard)
    return canonical_json(content), width, device, platform(), str(jax.config.values)
