"""The programs of a `train` source: a segment of steps over a block of lanes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from sweep_engine.kernels.fused_training.implementations import TRAIN, build
from sweep_engine.lanes import Program, over_lanes
from sweep_engine.models import Network
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.bucket import Bucket, Data, Hyper, Root
from sweep_engine.sources.lane_widths import usual_lanes
from sweep_engine.sources.programs import XLA, Example, KernelPrograms, Timed
from sweep_engine.sources.train.kernel import KernelBlock, case_of, obstacles
from sweep_engine.sources.train.recording import recording_bucket
from sweep_engine.sources.train.single_run import GIVEN_MASK, GIVEN_START, RunState, Training
from sweep_engine.spec.settings import Setting
from sweep_engine.spec.sources import Train
from sweep_engine.spec.starts import FromSource
from sweep_engine.tasks import Task

START, KEEP, IDLE = 0, 1, 2
"""What a lane is told at the start of a segment."""


class LaneBlock(Protocol):
    """How the lanes of a block are started and advanced, inside a compiled program.

    Attributes:
        alignment: A segment that goes on later ends after a multiple of so many turns.
        waits: Whether lanes that have ended take as long as the others.
    """

    @property
    def alignment(self) -> int: ...

    @property
    def waits(self) -> bool: ...

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

    training: Training
    waits: bool = True

    @property
    def alignment(self) -> int:
        return self.training.alignment

    def start(self, root: Root, runs: UInt32[Array, "K 2"], hyper: Hyper) -> RunState:
        started: RunState = over_lanes(self.training.start, (None, 0, 0))(root, runs, hyper)
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
        advance = over_lanes(self.training.advance, (0, None, 0, 0, None))
        return jnp.int32(1), advance(states, root, runs, hyper, data)


@dataclass(frozen=True)
class TrainPrograms(KernelPrograms):
    """The single-run code of a `train` source, mapped over lanes and compiled."""

    def __post_init__(self) -> None:
        super().__post_init__()
        spec, num_examples = self.training.spec, len(self.bucket.task.train)
        if spec.batch_size != "full" and spec.batch_size > num_examples:
            raise ValueError(f"batch_size: {spec.batch_size} of {num_examples} training examples")
        _ = self.recording  # its observables may not fit the task

    @classmethod
    def choose_lanes(cls, setting: Setting, task: Task, network: Network) -> int:
        assert isinstance(setting.spec, Train)
        size = setting.spec.batch_size
        return usual_lanes(network, len(task.train) if size == "full" else size, trains=True)

    @classmethod
    def kernels(cls) -> tuple[str, ...]:
        return tuple(name for name in TRAIN if name != "plain")

    def obstacles(self, implementation: str) -> list[str]:
        return obstacles(self.training, self.bucket, implementation)

    def build(self) -> None:
        build(case_of(self.training), self.implementation)

    def flops(self, setting: Setting) -> float:
        assert isinstance(setting.spec, Train)
        return setting.spec.stop.max_steps * case_of(self.training).flops_per_step

    @cached_property
    def block(self) -> LaneBlock:
        """What starts and advances the lanes."""
        if self.implementation == XLA:
            return XlaBlock(self.training)
        return KernelBlock(self.training, self.implementation)

    def prepare(self) -> None:
        _ = self.bucket.root, self.bucket.data, self.bucket.observe, self.empty_state, self.advance
        if self.draws_start:
            _ = self.bucket.draw
        if self.recording is not None:
            _ = self.recording.observe

    @cached_property
    def recording(self) -> Bucket | None:
        """Say what observes runs on their way; None without a record."""
        record = self.training.spec.record
        return None if record is None else recording_bucket(self.bucket, record)

    @property
    def draws_start(self) -> bool:
        """Say whether starts are drawn once more, for observables that ask for them."""
        asked = [b.needs_start for b in (self.bucket, self.recording) if b is not None]
        return any(asked) and not self.starts_from_source

    @property
    def starts_from_source(self) -> bool:
        """Whether runs start from stored runs of another source, not from a law."""
        return isinstance(self.training.spec.init, FromSource)

    @cached_property
    def training(self) -> Training:
        """The code of one run."""
        setting = self.bucket.setting
        assert isinstance(setting.spec, Train)
        return Training(
            spec=setting.spec,
            accept=setting.accept,
            network=self.bucket.network,
            loss=self.bucket.task.loss,
            num_examples=len(self.bucket.task.train),
        )

    @cached_property
    def empty_state(self) -> RunState:
        """A block of states before any run has started."""
        lanes = self.bucket.lanes
        runs = np.zeros((lanes, 2), np.uint32)
        shapes = jax.eval_shape(self.block.start, self.bucket.root, runs, self.example)
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

    @property
    def example(self) -> Hyper:
        """A block of runs' own values, of the shapes that real ones have."""
        lanes, num_params = self.bucket.lanes, self.bucket.network.layout.num_params
        hyper = self.bucket.hyper([self.bucket.setting] * lanes)
        init = self.training.spec.init
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
        block = self.block

        def segment(
            states: RunState,
            orders: Int[Array, " K"],
            runs: UInt32[Array, "K 2"],
            hyper: Hyper,
            root: Root,
            data: Data,
            limits: Int[Array, "2"],
        ) -> RunState:
            fresh = block.start(root, runs, hyper)
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

        return self.bucket.program(segment, donates=True)

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
        return Timed(self.advance, arguments, steps * self.bucket.lanes)

    def first_segment(self, steps: int, hyper: Hyper) -> tuple[Any, ...]:
        """The arguments of a segment of so many steps in which every lane starts a run."""
        bucket, lanes = self.bucket, self.bucket.lanes
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
