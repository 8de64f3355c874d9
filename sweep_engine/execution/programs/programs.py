"""The programs of a plan's buckets, each opened once and kept."""

import gc
import os
import platform
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax

from sweep_engine.backends import CORES
from sweep_engine.caches import cache_folder
from sweep_engine.columns import Column
from sweep_engine.comparability import check_comparisons
from sweep_engine.errors import FieldError, Interrupted, OutputError, PlanError, SpecError
from sweep_engine.execution.programs.agreement import disagreements
from sweep_engine.execution.programs.choosing import check_frozen, choose, expect
from sweep_engine.execution.programs.kept import KEPT, likeness
from sweep_engine.execution.programs.packing import PackedPlan, pack_plan
from sweep_engine.kernels.native import CannotBuild
from sweep_engine.machine import usable_cores
from sweep_engine.observables import observables
from sweep_engine.planning import Plan, num_runs
from sweep_engine.sources import XLA, Disagrees, KernelPrograms, SourcePrograms, open_source
from sweep_engine.spec import Setting, Sweep
from sweep_engine.spec.observables import merge
from sweep_engine.spec.sweep import Execution
from sweep_engine.store.manifest import Choice, Frozen


class Programs:
    """The programs of every bucket, by its name, on one device.

    Pickled, they are the recipe, with the data files it needs.

    Args:
        plan: The plan.
        chosen: What an earlier run froze, if there was one.
        device: Where the arrays and programs are; JAX's default device if left out.
        should_stop: Asked between the trials of kernels; of this process, so it is not pickled.
    """

    def __init__(
        self,
        plan: Plan,
        chosen: Frozen | None = None,
        device: Any = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._plan = plan
        self._should_stop = should_stop
        self._lanes = chosen.lanes if chosen else {}
        self._choices = chosen.implementation if chosen else {}
        self._held = chosen.held if chosen else ()
        self._chosen = chosen
        self._device = device
        self._opened: dict[str, SourcePrograms] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, (pack_plan(self._plan), self._chosen)

    @property
    def plan(self) -> Plan:
        """The plan that they are for."""
        return self._plan

    def frozen(self, frozen: Frozen, device: Any = None) -> "Programs":
        """The programs of frozen choices on a device: these, if they are that."""
        lanes = {name: opened.bucket.lanes for name, opened in self._opened.items()}
        trained_by = {name: _implementation(opened) for name, opened in self._opened.items()}
        wanted = {name: choice.name for name, choice in frozen.implementation.items()}
        if device is self._device and (lanes, trained_by) == (frozen.lanes, wanted):
            return self
        return Programs(self._plan, frozen, device)

    def on_device(self) -> AbstractContextManager[Any]:
        """What stands around all that is computed with them, in every thread."""
        return nullcontext() if self._device is None else jax.default_device(self._device)

    def of(self, name: str) -> SourcePrograms:
        """Open a bucket's programs, or return the open ones.

        Raises:
            ValueError: its task, model, observables and acceptance rule do not fit.
        """
        with self._lock:
            if name not in self._opened:
                with self.on_device():
                    self._opened[name] = self._open(name)
            return self._opened[name]

    def let_go(self, name: str) -> None:
        """Forget a bucket's programs, which take 15 to 20 MB each; `of` would make them anew.

        JAX's own caches hold on to what they were traced from, so these are emptied too: the
        few operations outside programs are compiled again, some tenths of a second.
        """
        with self._lock:
            self._opened.pop(name, None)
        gc.collect()
        jax.clear_caches()

    def _open(self, name: str) -> SourcePrograms:
        sweep, setting = self._plan.sweep, self._settings(name)[0]
        execution, runs = self._execution(name), sum(map(num_runs, self._settings(name)))
        return KEPT.of(
            likeness(sweep, setting, execution, runs, name in self._held, self._device),
            lambda: open_source(
                setting,
                sweep.seed,
                sweep.folder,
                sweep.observables,
                execution,
                runs,
                held=name in self._held,
            ),
        )

    def _execution(self, name: str) -> Execution:
        """Say how a bucket's programs compute: as was frozen, where that has been."""
        execution = self._plan.sweep.execution
        if name not in self._lanes:
            return execution
        implementation = self._choices[name].name
        update = {"lanes": self._lanes[name], "implementation": implementation}
        return execution.model_copy(update=update)

    def open_all(self) -> None:
        """Open every bucket, so that a sweep that cannot work fails before the first compile.

        Comparisons that mean nothing are refused here too.

        Raises:
            SpecError: all problems at once.
        """
        problems: dict[str, None] = {}
        try:
            check_comparisons(self._plan.sweep)
        except SpecError as error:
            problems |= dict.fromkeys(error.problems)
        for name, settings in self._plan.buckets.items():
            try:
                self.of(name)
            except (ValueError, SpecError) as error:
                source = self._plan.settings[settings[0]].source
                place = self._place(source, error)
                problems[self._plan.sweep.problem(place, str(error))] = None
        problems |= dict.fromkeys(self._function_problems())
        problems |= dict.fromkeys(self._record_problems())
        if not problems:
            buckets = {name: opened.bucket for name, opened in self._opened.items()}
            problems |= dict.fromkeys(disagreements(self._plan, buckets))
        if problems:
            raise SpecError(list(problems))

    def _place(self, source: str, error: Exception) -> tuple[str, ...]:
        """Where in the sweep a problem is that opening a source met."""
        if not isinstance(error, FieldError):
            return ("sources", source)
        has_own = self._plan.sweep.sources[source].task is not None
        return (*(("sources", source) if has_own else ()), "task", *error.field)

    def _function_problems(self) -> Iterator[str]:
        """Comparisons of functions where a task's outputs are not discrete."""
        sweep = self._plan.sweep
        uncountable = {
            opened.bucket.setting.source
            for opened in self._opened.values()
            if opened.bucket.task.label_rule is None
        }
        for i, comparison in enumerate(sweep.compare):
            if comparison.observable == "function" and comparison.source in uncountable:
                message = "this task's outputs are not discrete: there are no functions to count"
                yield sweep.problem(("compare", i, "observable"), message)

    def _record_problems(self) -> Iterator[str]:
        """Sources that record one column by different settings: `curves` is one table."""
        try:
            recorded_columns(self._plan.sweep)
        except ValueError as error:
            yield f"record: {error}; give all sources the same settings of an observable"

    def expected(self, name: str) -> Choice:
        """What can be known of a bucket's implementation without the device."""
        if name in self._choices:
            return self._choices[name]
        return expect(self.of(name), self._settings(*self._like(name)))

    def undecided(self) -> list[tuple[str, ...]]:
        """List the buckets of which the first run tries a kernel: those that share a trial."""
        groups = dict.fromkeys(self._alike.values())
        return [names for names in groups if self.expected(names[0]).name != XLA]

    def _like(self, name: str) -> tuple[str, ...]:
        """List the buckets that share a trial with one, itself among them."""
        return self._alike.get(name, (name,))

    @cached_property
    def _alike(self) -> dict[str, tuple[str, ...]]:
        """Say which buckets share a trial, of each that is not frozen and a kernel can compute."""
        found: dict[Hashable, list[str]] = {}
        for name in (name for name in self._plan.buckets if name not in self._choices):
            opened = self.of(name)
            if not isinstance(opened, KernelPrograms):
                continue
            named = opened.implementation
            kernel = opened.candidate if named == XLA else named
            if kernel is not None and not opened.obstacles(kernel):
                found.setdefault((type(opened), opened.likeness), []).append(name)
        return {name: tuple(names) for names in found.values() for name in names}

    def freeze(self, names: Sequence[str]) -> Frozen:
        """Say what decides the bits of some buckets beside the sweep, on this machine.

        What is not frozen yet is chosen.

        Args:
            names: The buckets.

        Raises:
            PlanError: a kernel that the sweep names cannot be used here.
            OutputError: nor can one that an earlier run froze.
            Interrupted: `should_stop` said so.
        """
        platform, device_kind = this_device()
        return Frozen(
            platform=platform,
            device_kind=device_kind,
            precision=self._plan.sweep.execution.precision,
            implementation=self._choose(names),
            lanes={name: self.of(name).bucket.lanes for name in names},
            versions=_versions(),
            held=tuple(name for name in names if self.of(name).bucket.held),
        )

    def _choose(self, names: Sequence[str]) -> dict[str, Choice]:
        known = {name: self._choices[name] for name in names if name in self._choices}
        try:
            for name in known:
                check_frozen(self.of(name))
        except CannotBuild as error:
            if self._should_stop():  # what stops this process stops its compiler, too
                raise Interrupted(
                    "interrupted while kernels were built; run again to go on"
                ) from error
            raise OutputError(
                "these results were begun with a kernel that cannot be used here, and "
                f"another implementation gives other bits: {error}; or go on where it was begun, "
                "or use another --out"
            ) from error
        chosen: dict[str, Choice] = {}
        try:
            for name in names:
                if name not in known and name not in chosen:
                    chosen |= self._choose_like(name)
        except (CannotBuild, Disagrees) as error:
            raise PlanError(f"execution.implementation: {error}") from error
        return {name: (known | chosen)[name] for name in names}

    def _choose_like(self, name: str) -> dict[str, Choice]:
        """Choose for a bucket and those that share its trial, and open what was chosen."""
        alike = self._like(name)
        settings = self._settings(*alike)
        choice, self._opened[name] = choose(
            self.of(name), settings, num_workers(), self._should_stop
        )
        for other in alike:
            opened = self.of(other)
            if isinstance(opened, KernelPrograms):
                self._opened[other] = opened.by(choice.name)
        return dict.fromkeys(alike, choice)

    def _settings(self, *names: str) -> list[Setting]:
        return [self._plan.settings[i] for name in names for i in self._plan.buckets[name]]


def _unpack(packed: PackedPlan, chosen: Frozen | None) -> Programs:
    return Programs(packed.unpack(), chosen)


def _implementation(opened: SourcePrograms) -> str:
    return opened.implementation if isinstance(opened, KernelPrograms) else XLA


def recorded_columns(sweep: Sweep) -> list[Column]:
    """List what the sources of a sweep record of runs on their way, each column once.

    Raises:
        ValueError: two record one column by different settings.
    """
    named = [one for source in sweep.sources.values() for one in source.recorded]
    return [column for one in observables(merge((), named)) for column in one.columns]


def num_workers() -> int:
    """How many shards are worked on at once on this machine: one a device, or one a core."""
    devices = len(jax.local_devices())
    if jax.default_backend() != "cpu" or devices > 1:
        return devices
    return num_cores()


def num_cores() -> int:
    """The cores that this process should use."""
    given = os.environ.get(CORES)
    return int(given) if given else usable_cores()


def this_device() -> tuple[str, str]:
    """The platform and kind of this process's device."""
    device = jax.devices()[0]
    return str(device.platform), _device_kind(device)


def compilation_cache() -> None:
    """Keep compiled programs on disk between processes, where that can be done."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        with suppress(OSError):
            jax.config.update("jax_compilation_cache_dir", str(cache_folder("xla")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _device_kind(device: Any) -> str:
    if device.platform != "cpu":
        return str(device.device_kind)
    return f"{platform.machine()} {platform.processor() or 'cpu'}".strip()


def _versions() -> dict[str, str]:
    packages = ("sweep-engine", "jax", "jaxlib", "flax", "optax", "blackjax", "numpy")
    found = {"python": platform.python_version()}
    for name in packages:
        with suppress(PackageNotFoundError):  # run from a checkout, the engine is not installed
            found[name] = version(name)
    return found
