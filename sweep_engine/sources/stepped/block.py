"""Start and advance the lanes of a block, inside a compiled program."""

from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from sweep_engine.lanes import over_lanes
from sweep_engine.sources.bucket import Data, Hyper, Root
from sweep_engine.sources.stepped.single_run import RunState, SteppedRun


class LaneBlock(Protocol):
    """Start and advance the lanes of a block, inside a compiled program.

    Attributes:
        alignment: A segment that goes on later ends after a multiple of so many turns.
        waits: Whether lanes that have ended take as long as the others.
        num_starts: A block is so many times K lanes: they start K at a time, with the bits of K.
    """

    @property
    def alignment(self) -> int: ...

    @property
    def waits(self) -> bool: ...

    @property
    def num_starts(self) -> int: ...

    def start(self, root: Root, runs: UInt32[Array, "K 2"], hyper: Hyper) -> RunState:
        """Initialise the lanes' runs."""

    def advance(
        self,
        states: RunState,
        root: Root,
        runs: UInt32[Array, "K 2"],
        hyper: Hyper,
        data: Data,
        most: Int[Array, ""],
    ) -> tuple[Int[Array, ""], RunState]:
        """Advance all lanes by some turns, which it tells, and at most so many."""


@dataclass(frozen=True)
class XlaBlock:
    """A block of lanes that XLA advances in step, turn by turn."""

    single: SteppedRun
    waits: bool = True
    num_starts: int = 1

    @property
    def alignment(self) -> int:
        return self.single.alignment

    def start(self, root: Root, runs: UInt32[Array, "K 2"], hyper: Hyper) -> RunState:
        started: RunState = over_lanes(self.single.start, (None, 0, 0))(root, runs, hyper)
        return started

    def advance(
        self,
        states: RunState,
        root: Root,
        runs: UInt32[Array, "K 2"],
        hyper: Hyper,
        data: Data,
        most: Int[Array, ""],
    ) -> tuple[Int[Array, ""], RunState]:
        advance = over_lanes(self.single.advance, (0, None, 0, 0, None))
        return jnp.int32(1), advance(states, root, runs, hyper, data)
