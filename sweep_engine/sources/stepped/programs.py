"""The programs of sources whose runs go step by step: a segment of steps over a block of lanes."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from sweep_engine.lanes import Options, Program, over_lanes
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.bucket import Bucket, Data, Hyper, Root
from sweep_engine.sources.lane_widths import refilled_lanes
from sweep_engine.sources.programs import Example, SourcePrograms, Timed
from sweep_engine.sources.stepped.block import LaneBlock
from sweep_engine.sources.stepped.recording import recording_bucket
from sweep_engine.sources.stepped.single_run import (
    GIVEN_MASK,
    GIVEN_START,
    RunState,
    SteppedRun,
)
from sweep_engine.spec.settings import Setting
from sweep_engine.spec.starts import FromSource

START, KEEP, IDLE = 0, 1, 2
"""What a lane is told at the start of a segment."""


@dataclass
class Segments:
    """Hold how long segments were best, which the next shard begins with: it changes no bit.

    Attributes:
        steps: Of a segment, at most.
    """

    steps: int


@dataclass(frozen=True)
class SteppedPrograms(SourcePrograms):
    """The single-run code of a source whose runs go step by step, mapped over lanes and compiled.

    Attributes:
        options: How XLA compiles the segment on a CPU.
    """

    options: ClassVar[Options | None] = None

    @property
    @abstractmethod
    def single(self) -> SteppedRun:
        """The code of one run."""

    @property
    @abstractmethod
    def block(self) -> LaneBlock:
        """Return what starts and advances the lanes."""

    @classmethod
    def busy_lanes(cls, setting: Setting, runs: int) -> int:
        """Leave lanes some runs to take in turn: runs stop at very different times."""
        return refilled_lanes(runs)

    def prepare(self) -> None:
        _ = self.bucket.root, self.bucket.data, self.bucket.observe, self.empty_state
        _ = self.advance, self.segments
        if self.draws_start:
            _ = self.bucket.draw
        if self.recording is not None:
            _ = self.recording.observe

    @cached_property
    def segments(self) -> Segments:
        """Say how long segments are; short at first."""
        return Segments(16 * self.block.alignment)

    @cached_property
    def recording(self) -> Bucket | None:
        """Say what observes runs on their way; None without a record."""
        observables = self.single.spec.recorded
        return recording_bucket(self.bucket, observables) if observables else None

    @property
    def draws_start(self) -> bool:
        """Say whether starts are drawn once more, for observables that ask for them."""
        asked = [b.needs_start for b in (self.bucket, self.recording) if b is not None]
        return any(asked) and not self.starts_from_source

    @property
    def starts_from_source(self) -> bool:
        """Say whether runs start from stored runs of another source, not from a law."""
        return isinstance(self.single.spec.init, FromSource)

    @property
    def width(self) -> int:
        """Count the lanes of a block: K, or several times as many."""
        return self.block.num_starts * self.bucket.lanes

    @cached_property
    def start(self) -> Callable[[Root, Any, Hyper], RunState]:
        """Start the lanes of a block; traced once for all programs that hold it."""
        return jax.jit(self.block.start, inline=True)

    @cached_property
    def empty_state(self) -> RunState:
        """A block of states before any run has started."""
        lanes = self.width
        runs = np.zeros((lanes, 2), np.uint32)
        shapes = self.bucket.program(self.start).shapes(self.bucket.root, runs, self.example)
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

    @property
    def example(self) -> Hyper:
        """A block of runs' own values, of the shapes that real ones have."""
        lanes, num_params = self.width, self.bucket.network.layout.num_params
        hyper = self.bucket.hyper([self.bucket.setting] * lanes)
        init = self.single.spec.init
        if isinstance(init, FromSource):
            hyper[GIVEN_START] = np.zeros((lanes, num_params), np.float32)
            if init.mask is not None:
                hyper[GIVEN_MASK] = np.ones((lanes, num_params), bool)
        return hyper

    @cached_property
    def advance(self) -> Program:
        """(states, orders, runs, hyper, root, data, limits) -> states, over a segment.

        `limits` is (steps at most, lanes at least): the segment also ends, at a multiple of
        the alignment, when so few lanes are still running that others could start.
        """
        block, start = self.block, self.start

        def segment(
            states: RunState,
            orders: Int[Array, " K"],
            runs: UInt32[Array, "K 2"],
            hyper: Hyper,
            root: Root,
            data: Data,
            limits: Int[Array, "2"],
        ) -> RunState:
            fresh = start(root, runs, hyper)
            states = jax.tree.map(lambda a, b: _where(orders == START, a, b), fresh, states)
            idle = _where(orders == IDLE, jnp.int32(RunStatus.MAX_STEPS), states.status)
            states = states._replace(status=idle)

            def goes_on(carry: tuple[Array, RunState]) -> Array:
                i, states = carry
                running = jnp.sum(states.status == RunStatus.RUNNING)
                enough = (i % block.alignment != 0) | (running > limits[1])
                return (i < limits[0]) & (running > 0) & enough

            def body(carry: tuple[Array, RunState]) -> tuple[Array, RunState]:
                i, states = carry
                most = limits[0] - i
                turns, states = block.advance(states, root, runs, hyper, data, most)
                return i + turns, states

            done: RunState = jax.lax.while_loop(goes_on, body, (jnp.int32(0), states))[1]
            return done

        return self.bucket.program(segment, options=self.options, donates=True)

    def to_compile(self) -> Iterator[Example]:
        bucket, timed = self.bucket, self.timed()
        yield timed.program, timed.arguments
        if self.draws_start:
            yield bucket.draw, bucket.draw_example()
        yield bucket.observe, bucket.observe_example()
        if self.recording is not None:
            yield self.recording.observe, self.recording.observe_example()

    def timed(self) -> Timed:
        """A short segment in which every lane starts a run."""
        steps = 8 * self.block.alignment
        arguments = self.first_segment(steps, self.example)
        return Timed(self.advance, arguments, steps * self.width)

    def counted(self) -> Timed:
        """Give one step of every lane, as XLA computes it, and its share of a check.

        Where each step is checked, outputs that the two share are in it twice.
        """
        _, _, runs, hyper, root, data, _ = self.first_segment(1, self.example)
        meet, move = (
            over_lanes(part, (0, None, 0, 0, None)) for part in (self.single.meet, self.single.move)
        )

        def turn(states: RunState, runs: Any, hyper: Hyper, root: Root, data: Data) -> RunState:
            moved: RunState = move(meet(states, root, runs, hyper, data), root, runs, hyper, data)
            return moved

        arguments = (self.empty_state, runs, hyper, root, data)
        program = self.bucket.program(turn, options=self.options)
        return Timed(program, arguments, self.width, often=1 / self.single.check_every)

    def first_segment(self, steps: int, hyper: Hyper) -> tuple[Any, ...]:
        """The arguments of a segment of so many steps in which every lane starts a run."""
        bucket, lanes = self.bucket, self.width
        return (
            self.empty_state,
            np.full(lanes, START, np.int32),
            np.stack([np.zeros(lanes, np.uint32), np.arange(lanes, dtype=np.uint32)], axis=1),
            hyper,
            bucket.root,
            bucket.data.train,
            np.array([steps, 0], np.int32),
        )


def _where(condition: Bool[Array, " K"], yes: Array, no: Array) -> Array:
    return jnp.where(condition.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)
