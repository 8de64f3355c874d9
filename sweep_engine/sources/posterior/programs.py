"""The programs of a `posterior` source: a segment of transitions over a block of chains."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from sweep_engine.kernels.chain_moves import cpu
from sweep_engine.kernels.chain_moves.mapped import IMPLEMENTATIONS
from sweep_engine.kernels.normals import cpu as normals
from sweep_engine.lanes import Program, over_lanes, padded_length
from sweep_engine.models import Network
from sweep_engine.sources.lane_widths import usual_lanes
from sweep_engine.sources.posterior.chain import Chain, ChainState, Examples
from sweep_engine.sources.posterior.gradients import KernelGradients, case_of, obstacles
from sweep_engine.sources.posterior.kernels import most_gradients
from sweep_engine.sources.posterior.target import check_target
from sweep_engine.sources.programs import XLA, Example, KernelPrograms, Timed
from sweep_engine.spec.settings import Setting
from sweep_engine.spec.sources import Posterior
from sweep_engine.tasks import Task

DRAWN_BYTES = 2**24
"""What the draws of a segment take on the device, at most."""

MAX_CAPACITY = 256


@dataclass(frozen=True)
class PosteriorPrograms(KernelPrograms):
    """The single-chain code of a `posterior` source, mapped over lanes and compiled."""

    @classmethod
    def choose_lanes(cls, setting: Setting, task: Task, network: Network) -> int:
        """Hold a block's width to the chains of one shard: 16, more where they are short."""
        assert isinstance(setting.spec, Posterior)
        lanes = usual_lanes(network, len(task.inputs), trains=True)
        return min(lanes, max(16, 2048 // setting.spec.draws))

    @classmethod
    def busy_lanes(cls, setting: Setting, runs: int) -> int:
        """Count the chains: a chain's draws come one after the other."""
        return -(-runs // setting.spec.unit_size)

    @classmethod
    def kernels(cls) -> tuple[str, ...]:
        return tuple(name for name in IMPLEMENTATIONS if name != "plain")

    def obstacles(self, implementation: str) -> list[str]:
        return obstacles(self.bucket, implementation)

    @property
    def likeness(self) -> Hashable:
        spec, lanes = self.spec, self.bucket.lanes
        work = spec.method, spec.max_doublings, spec.warmup, spec.draws, spec.thin, spec.start
        law = type(spec.law), tuple(map(type, spec.law.parts))  # of which a kernel knows few
        return case_of(self.bucket), work, law, lanes

    def build(self) -> None:
        cpu.build(case_of(self.bucket))
        normals.build()

    def flops(self, setting: Setting) -> float:
        assert isinstance(setting.spec, Posterior)
        return self._gradients_a_draw(setting.spec) * case_of(self.bucket).flops_per_step

    def prepare(self) -> None:
        bucket = self.bucket
        check_target(self.spec, bucket.task)
        _ = bucket.root, bucket.data, bucket.observe, self.examples, self.start, self.advance

    @property
    def spec(self) -> Posterior:
        """The source; only its static part is meant."""
        spec = self.bucket.setting.spec
        assert isinstance(spec, Posterior)
        return spec

    @cached_property
    def chain(self) -> Chain:
        """The code of one chain."""
        bucket = self.bucket
        row = 4 * bucket.lanes * bucket.network.layout.num_params
        return Chain(
            spec=self.spec,
            accept=bucket.setting.accept,
            network=bucket.network,
            loss=bucket.task.loss,
            num_train=bucket.data.num_train,
            capacity=int(np.clip(DRAWN_BYTES // row, 1, MAX_CAPACITY)),
            kernel=self._kernel,
        )

    @property
    def _kernel(self) -> KernelGradients | None:
        if self.implementation == XLA:
            return None
        return KernelGradients(case_of(self.bucket), self.implementation)

    @cached_property
    def examples(self) -> Examples:
        """The task on the device."""
        return Examples(self.bucket.data.inputs, self.bucket.data.targets)

    @cached_property
    def start(self) -> Program:
        """(chains, hyper, root, examples) -> states."""
        return self.bucket.program(over_lanes(self.chain.start, (0, 0, None, None)))

    @cached_property
    def advance(self) -> Program:
        """(states, chains, hyper, root, examples, span) -> states and draws, over a segment."""
        advance = over_lanes(self.chain.advance, (0, 0, 0, None, None, None))
        return self.bucket.program(advance, donates=True)

    def with_padding(self, runs: int) -> int:
        """Count the draws of all chains of a block, padding among them."""
        draws = self.bucket.setting.spec.unit_size
        return draws * padded_length(-(-runs // draws), self.bucket.lanes)

    def to_compile(self) -> Iterator[Example]:
        given = self._given
        yield self.start, given
        states = self.start.shapes(*given)
        yield self.advance, (states, *given, np.zeros(2, np.int32))
        yield self.bucket.observe, self.bucket.observe_example()

    @property
    def _given(self) -> tuple[Any, ...]:
        """Chains, hyper, root and task of one block."""
        bucket, lanes = self.bucket, self.bucket.lanes
        chains = np.stack([np.zeros(lanes, np.uint32), np.arange(lanes, dtype=np.uint32)], axis=1)
        return chains, bucket.hyper([bucket.setting] * lanes), bucket.root, self.examples

    def timed(self) -> Timed:
        """A short segment of the first transitions."""
        return self.first_transitions(4)

    def first_transitions(self, count: int) -> Timed:
        """Make the first transitions of a block, so many of each chain."""
        lanes = self.bucket.lanes
        # On the host, since the program keeps what it is given on the device.
        states: ChainState = jax.tree.map(np.asarray, self.start(*self._given))
        arguments = (states, *self._given, np.array([0, count], np.int32))
        transitions_a_draw = self.chain.num_transitions / self.spec.draws
        return Timed(self.advance, arguments, max(1, round(lanes * count / transitions_a_draw)))

    def counted(self) -> Timed:
        """Give one gradient of every chain, of which transitions are made."""
        chains, hyper, _, examples = self._given
        program = self.bucket.program(over_lanes(self.chain.gradient, (0, 0, None)))
        z = np.zeros((len(chains), self.chain.num_normals), np.float32)
        per_draw = self._gradients_a_draw(self.spec)
        return Timed(program, (z, hyper, examples), len(chains) / per_draw)

    def _gradients_a_draw(self, spec: Posterior) -> float:
        return self.chain.num_transitions / spec.draws * most_gradients(spec)
