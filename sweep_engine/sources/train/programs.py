"""The programs of a `train` source: a segment of steps over a block of lanes."""

from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from sweep_engine.lanes import Program, over_lanes
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.bucket import Bucket, Data, Hyper, Root
from sweep_engine.sources.programs import Timed
from sweep_engine.sources.train.single_run import GIVEN_MASK, GIVEN_START, State, Training
from sweep_engine.spec.sources import Train
from sweep_engine.spec.starts import FromSource

START, KEEP, IDLE = 0, 1, 2
"""What a lane is told at the start of a segment."""


@dataclass(frozen=True)
class TrainPrograms:
    """The single-run code of a `train` source, mapped over lanes and compiled."""

    bucket: Bucket

    def prepare(self) -> None:
        _ = self.bucket.root, self.bucket.data, self.bucket.observe, self.empty_state, self.advance
        if self.bucket.needs_start and not self.starts_from_source:
            _ = self.bucket.draw

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
    def empty_state(self) -> State:
        """A block of states before any run has started."""
        lanes = self.bucket.lanes
        runs = np.zeros((lanes, 2), np.uint32)
        start = over_lanes(self.training.start, (None, 0, 0))
        shapes = jax.eval_shape(start, self.bucket.root, runs, self._example)
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

    @property
    def _example(self) -> Hyper:
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
        start = over_lanes(self.training.start, (None, 0, 0))
        advance = over_lanes(self.training.advance, (0, None, 0, 0, None))
        alignment = self.training.alignment

        def segment(
            states: State,
            orders: Int[Array, " K"],
            runs: UInt32[Array, "K 2"],
            hyper: Hyper,
            root: Root,
            data: Data,
            limits: Int[Array, "2"],
        ) -> State:
            fresh = start(root, runs, hyper)
            states = jax.tree.map(lambda a, b: _where(orders == START, a, b), fresh, states)
            idle = _where(orders == IDLE, jnp.int32(RunStatus.MAX_STEPS), states.status)
            states = states._replace(status=idle)

            def goes_on(carry: tuple[Array, State]) -> Array:
                i, states = carry
                running = jnp.sum(states.status == RunStatus.RUNNING)
                enough = (i % alignment != 0) | (running > limits[1])
                return (i < limits[0]) & (running > 0) & enough

            def body(carry: tuple[Array, State]) -> tuple[Array, State]:
                i, states = carry
                return i + 1, advance(states, root, runs, hyper, data)

            done: State = jax.lax.while_loop(goes_on, body, (jnp.int32(0), states))[1]
            return done

        return self.bucket.program(segment)

    def timed(self) -> Timed:
        """A short segment in which every lane starts a run."""
        bucket = self.bucket
        lanes, steps = bucket.lanes, 8 * self.training.alignment
        arguments = (
            self.empty_state,
            np.full(lanes, START, np.int32),
            np.stack([np.zeros(lanes, np.uint32), np.arange(lanes, dtype=np.uint32)], axis=1),
            self._example,
            bucket.root,
            bucket.data.train,
            np.array([steps, 0], np.int32),
        )
        return Timed(self.advance, arguments, steps * lanes)


def _where(condition: Bool[Array, " K"], yes: Array, no: Array) -> Array:
    return jnp.where(condition.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)
