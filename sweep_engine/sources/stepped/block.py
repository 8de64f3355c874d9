"""Start and advance the lanes of a block, inside a compiled program."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from sweep_engine.lanes import over_lanes
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.bucket import Data, Hyper, Root
from sweep_engine.sources.stepped.single_run import RunState, SteppedRun, select


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


class Moving(NamedTuple):
    """Hold what a step changes of a run's state."""

    params: Any
    carried: Any
    step: Int[Array, ""]

    @classmethod
    def of(cls, states: RunState) -> "Moving":
        return cls(states.params, states.carried, states.step)


@dataclass(frozen=True)
class XlaBlock:
    """A block of lanes that XLA advances in step, turn by turn.

    Steps up to the next where something is due of any run are taken by all lanes; runs that have
    ended are put back behind the last of them. To hold them at every step, XLA copies parameters
    and momentum every time, which was 40 % of the time of a lone network.
    """

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
        given = root, runs, hyper, data
        states = over_lanes(self.single.meet, (0, None, 0, 0, None))(states, *given)
        move = over_lanes(self.single.move, (0, None, 0, 0, None))
        if self.single.holds_every_step:
            return jnp.int32(1), move(states, *given)

        def turn(_: Any, moving: Moving) -> Moving:
            return Moving.of(move(states._replace(**moving._asdict()), *given))

        running = states.status == RunStatus.RUNNING
        counts = over_lanes(self.single.steps_until_due)(states, hyper)
        together = jnp.min(jnp.where(running, counts, most))
        turns = jnp.where(jnp.any(running), together, 1)
        moved = jax.lax.fori_loop(0, turns, turn, Moving.of(states))
        held = over_lanes(select)(running, moved, Moving.of(states))
        return turns, states._replace(**held._asdict())
