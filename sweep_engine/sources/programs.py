"""What the programs of every source must do, whatever its law."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from sweep_engine.lanes import Program, padded_length, platform
from sweep_engine.models import Network
from sweep_engine.sources.bucket import Bucket
from sweep_engine.spec.settings import Setting
from sweep_engine.tasks import Task

XLA = "xla"
"""The implementation that knows every source, beside which kernels are tried."""

ON_ACCELERATORS = {"gpu": "cuda", "tpu": "tpu"}
"""The kernel that `auto` tries, by what JAX calls the platform; see `on_cpu` for a CPU's."""

Example = tuple[Program, tuple[Any, ...]]
"""A program and arguments, or their shapes, like those of real work."""


@dataclass(frozen=True)
class Timed:
    """A program with arguments like those of real work, for estimating what work costs.

    Attributes:
        program: The program.
        arguments: What to call it with.
        units: How many units of work (steps or draws of one run) the call does.
        often: How often, of once a call, a part is done that is skipped where nothing is due.
    """

    program: Program
    arguments: tuple[Any, ...]
    units: float
    often: float = 1.0


@dataclass(frozen=True)
class SourcePrograms(ABC):
    """The programs of one bucket of a source.

    Attributes:
        bucket: What the runs share.

    Raises:
        ValueError: these runs cannot be computed as the bucket asks.
    """

    bucket: Bucket

    @classmethod
    @abstractmethod
    def choose_lanes(cls, setting: Setting, task: Task, network: Network) -> int:
        """Choose K, where the sweep does not: a rule, so that it is the same in every run."""

    @classmethod
    def busy_lanes(cls, setting: Setting, runs: int) -> int:
        """Count the lanes that so many runs of a bucket keep busy."""
        return runs

    @abstractmethod
    def prepare(self) -> None:
        """Make everything that is made once, compiling nothing, before threads share it."""

    @abstractmethod
    def to_compile(self) -> Iterator[Example]:
        """Every program that a shard calls, in that order, so that it can be compiled before."""

    def with_padding(self, runs: int) -> int:
        """Count the runs that so many of one shard take the time of, where they run longest."""
        return padded_length(runs, self.bucket.lanes)

    @abstractmethod
    def timed(self) -> Timed:
        """The program that most of the time goes to, and an example of its work."""

    @abstractmethod
    def counted(self) -> Timed:
        """Give a program like `timed`'s whose operations are counted, and which is never compiled.

        Loops whose turns no jaxpr tells are left out of it, and arguments may be shapes.
        """


@dataclass(frozen=True)
class KernelPrograms(SourcePrograms):
    """Programs of which a kernel may do the work in place of XLA."""

    def __post_init__(self) -> None:
        if self.implementation != XLA and (found := self.obstacles(self.implementation)):
            raise ValueError(
                f"the {self.implementation} kernel does not know {', '.join(found)}; "
                "`implementation: auto` takes one that does, at least XLA"
            )

    @property
    def implementation(self) -> str:
        """What does the work: XLA where no kernel of this work is named."""
        asked = self.bucket.execution.implementation
        return asked if asked in self.kernels() else XLA

    def by(self, implementation: str) -> Self:
        """The same runs, computed by another implementation."""
        if implementation == self.implementation:
            return self
        execution = self.bucket.execution.model_copy(update={"implementation": implementation})
        return replace(self, bucket=replace(self.bucket, execution=execution))

    @classmethod
    @abstractmethod
    def kernels(cls) -> tuple[str, ...]:
        """The kernels there are of this work."""

    @property
    def candidate(self) -> str | None:
        """Name the kernel that `auto` tries on the platform that programs are made for."""
        name = self.on_cpu if platform() == "cpu" else ON_ACCELERATORS.get(platform())
        return name if name in self.kernels() else None

    @property
    def on_cpu(self) -> str:
        """Name the kernel that `auto` tries on a CPU."""
        return "cpu"

    @abstractmethod
    def obstacles(self, implementation: str) -> list[str]:
        """List what a kernel does not know of these runs; empty where it can compute them."""

    @property
    @abstractmethod
    def likeness(self) -> Hashable:
        """Say what a trial of a kernel depends on: buckets that have it in common share one."""

    @abstractmethod
    def build(self) -> None:
        """Compile the kernel, if that has not been done.

        Raises:
            CannotBuild: there is no compiler, or it refused.
        """

    @abstractmethod
    def flops(self, setting: Setting) -> float:
        """Floating-point operations of one run of a setting, at most."""
