"""What a source's programs have in common, whatever its law."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from sweep_engine.lanes import Program
from sweep_engine.sources.bucket import Bucket

Example = tuple[Program, tuple[Any, ...]]
"""A program and arguments, or their shapes, like those of real work."""


@dataclass(frozen=True)
class Timed:
    """A program with arguments like those of real work, for estimating what work costs.

    Attributes:
        program: The program.
        arguments: What to call it with.
        units: How many units of work (steps or draws of one run) the call does.
    """

    program: Program
    arguments: tuple[Any, ...]
    units: int


class SourcePrograms(Protocol):
    """The programs of one bucket of a source."""

    @property
    def bucket(self) -> Bucket:
        """What the runs share."""

    def prepare(self) -> None:
        """Make everything that is made once, compiling nothing, before threads share it."""

    def to_compile(self) -> Iterator[Example]:
        """Every program that a shard calls, in that order, so that it can be compiled before."""

    def timed(self) -> Timed:
        """The program that most of the time goes to, and an example of its work."""
