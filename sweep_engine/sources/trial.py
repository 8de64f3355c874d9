"""How a kernel is tried before it may do the work of XLA: a self-test, and a race."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from sweep_engine.sources.programs import KernelPrograms

P = TypeVar("P", bound=KernelPrograms, contravariant=True)


class Disagrees(RuntimeError):
    """A kernel gave other results than XLA on this device."""


class Rehearsed(NamedTuple):
    """Hold what a call of real work did.

    Attributes:
        units: Of work: steps of one run, or draws.
        ended: The runs, or draws, that came to their end in it.
    """

    units: int
    ended: int


class Trial(Protocol[P]):
    """How the kernels of one kind of work are tried.

    Attributes:
        unit: What is counted in the race, in the plural.
    """

    @property
    def unit(self) -> str: ...

    def self_test(self, kernel: P, xla: P) -> str:
        """Do some work by the kernel and by XLA, on the sweep's data, and compare.

        Returns:
            What was found, in words.

        Raises:
            Disagrees: they differ by more than rounding.
        """

    def rehearse(self, programs: P, length: int) -> Callable[[int], Rehearsed]:
        """Make a call of real work, about so long, that tells what it did.

        The call returns when the work is done, not when it is under way: it is timed.

        Args:
            programs: Whose work.
            length: Twice as much takes about twice as long.
        """
