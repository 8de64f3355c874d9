"""Say how long programs take: measured here, or reckoned from what they do."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jax
import numpy as np

from sweep_engine.execution.programs.elsewhere import peak_bytes
from sweep_engine.execution.programs.operations import Operations, count
from sweep_engine.execution.programs.rates import Rates
from sweep_engine.observables import Functions, Observable
from sweep_engine.sources import XLA, Bucket, KernelPrograms, SourcePrograms

NETWORKS = 8
"""Observed at once when timed: few, since one may take seconds; a whole block takes less each."""

FUNCTIONS = 64
"""Described at once when timed."""

PRODUCTS_SHARE, ELEMENTS_SHARE = 0.2, 3.0
"""Shares of this machine's rates that XLA's programs reach; what they fuse takes no time."""

CALL_SECONDS, STEADY_CALL_SECONDS = 3e-8, 5e-7
"""Of each operation, whatever its size: among others fused with it, or by itself in a program that
is compiled STEADY."""

PROGRAM_SECONDS = 5e-5
"""Of a program that is called, whatever it does.

All of them were fitted to what `--measure` finds: `tests/benchmarks/records/reckoning_2_cores.json`
has both for the examples."""


class Clock(Protocol):
    """Say how long programs take on one core, by XLA.

    Attributes:
        measures: Whether it compiles and runs them.
    """

    @property
    def measures(self) -> bool: ...

    def unit(self, programs: SourcePrograms) -> tuple[float, int]:
        """Return the seconds of a unit of work, and the bytes of a lane."""

    def observing(self, bucket: Bucket, observable: Observable) -> float:
        """Return the seconds in which an observable's programs observe a network."""


@dataclass(frozen=True)
class Measured:
    """Compile programs and time them, each once."""

    measures: bool = True

    def unit(self, programs: SourcePrograms) -> tuple[float, int]:
        timed = _by_xla(programs).timed()
        compiled = timed.program.compiled(*timed.arguments)
        memory = compiled.memory_analysis()
        total = memory.temp_size_in_bytes + memory.output_size_in_bytes
        seconds = _second_call(compiled, timed.arguments) / timed.units
        return seconds, total // programs.bucket.lanes

    def observing(self, bucket: Bucket, observable: Observable) -> float:
        few = _few(bucket, observable)
        arguments = few.observe_example()
        return _second_call(few.observe.compiled(*arguments), arguments) / NETWORKS


@dataclass(frozen=True)
class Reckoned:
    """Count what programs do, and divide by how fast this machine is; compile nothing.

    Attributes:
        rates: Of this machine.
    """

    rates: Rates
    measures: bool = False

    def unit(self, programs: SourcePrograms) -> tuple[float, int]:
        counted = _by_xla(programs).counted()
        jaxpr = counted.program.traced(*counted.arguments).jaxpr
        operations = count(jaxpr, counted.often)
        seconds = self.seconds(operations, is_steady=counted.program.is_steady)
        return seconds / counted.units, peak_bytes(jaxpr) // programs.bucket.lanes

    def observing(self, bucket: Bucket, observable: Observable) -> float:
        few = _few(bucket, observable)
        jaxpr = few.observe.traced(*few.observe_example()).jaxpr
        seconds = self.seconds(count(jaxpr), is_steady=few.observe.is_steady)
        return (seconds + PROGRAM_SECONDS) / NETWORKS

    def seconds(self, operations: Operations, *, is_steady: bool) -> float:
        """Say how long one core takes for them."""
        return (
            operations.products / (PRODUCTS_SHARE * self.rates.products)
            + operations.elements / (ELEMENTS_SHARE * self.rates.elements)
            + operations.calls * (STEADY_CALL_SECONDS if is_steady else CALL_SECONDS)
        )


def describing(bucket: Bucket, observable: Observable) -> float:
    """Time how long it takes to describe a function, by NumPy: there is nothing to compile.

    Args:
        bucket: Whose task's functions.
        observable: One that describes functions.
    """
    functions = _random_functions(bucket)
    began = time.perf_counter()
    if observable.describe is not None:
        observable.describe(functions)
    return (time.perf_counter() - began) / len(functions.packed)


def _by_xla(programs: SourcePrograms) -> SourcePrograms:
    return programs.by(XLA) if isinstance(programs, KernelPrograms) else programs


def _few(bucket: Bucket, observable: Observable) -> Bucket:
    return replace(bucket, observed=[observable], lanes=NETWORKS)


def _second_call(compiled: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    """Time a call behind one that made everything ready.

    On a CPU that is processor time, which what others on the machine do does not change.
    """
    now = time.process_time if jax.default_backend() == "cpu" else time.perf_counter
    jax.block_until_ready(compiled(*arguments))
    began = now()
    jax.block_until_ready(compiled(*arguments))
    return now() - began


def _random_functions(bucket: Bucket) -> Functions:
    """Functions of random labels, which take longest to describe."""
    num_inputs, rule = len(bucket.task.probe_inputs), bucket.task.label_rule
    rng = np.random.default_rng(0)
    if rule is None:
        return Functions(np.zeros((FUNCTIONS, 0), np.uint8), num_inputs, None)
    labels = rng.integers(0, rule.num_labels, (FUNCTIONS, num_inputs), np.uint8)
    packed = np.packbits(labels, axis=1) if rule.num_labels == 2 else labels
    return Functions(np.unique(packed, axis=0), num_inputs, rule.num_labels)
