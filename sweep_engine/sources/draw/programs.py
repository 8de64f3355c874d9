"""The programs of `prior` and `guess_and_check`: draws are evaluated and counted in blocks."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8, UInt32

from sweep_engine.kernels.prior_scan import SCAN, build
from sweep_engine.lanes import WIDE, Program, over_lanes, padded_length
from sweep_engine.models import Network
from sweep_engine.observables import pack
from sweep_engine.sources.acceptance import accepts, output_scale
from sweep_engine.sources.bucket import Hyper, Root, Run
from sweep_engine.sources.draw.kernel import KernelScan, obstacles
from sweep_engine.sources.lane_widths import usual_lanes
from sweep_engine.sources.programs import XLA, Example, KernelPrograms, Timed
from sweep_engine.spec.settings import Setting
from sweep_engine.tasks import Task

DRAWS_PER_CALL = 4096

Scanned = tuple[UInt8[Array, "... bytes"], Bool[Array, "..."]]
"""Packed functions, and which fit."""


def blocks_per_call(lanes: int) -> int:
    """How many blocks one call of the counting program goes through."""
    return max(1, DRAWS_PER_CALL // lanes)


@dataclass(frozen=True)
class DrawPrograms(KernelPrograms):
    """The counting pass over draws from a law, mapped over lanes and compiled."""

    @classmethod
    def choose_lanes(cls, setting: Setting, task: Task, network: Network) -> int:
        return usual_lanes(network, len(task.inputs), trains=False)

    @classmethod
    def kernels(cls) -> tuple[str, ...]:
        return tuple(name for name in SCAN if name != "plain")

    def obstacles(self, implementation: str) -> list[str]:
        return obstacles(self.bucket, implementation)

    @property
    def kernel(self) -> KernelScan:
        """The counting pass by a kernel."""
        return KernelScan(self.bucket, self.implementation)

    @property
    def likeness(self) -> Hashable:
        return self.kernel.case, self.identifies_all, self.bucket.data.num_train, self.bucket.lanes

    def build(self) -> None:
        build(self.kernel.case, self.implementation)

    def flops(self, setting: Setting) -> float:
        return self.kernel.case.flops

    def prepare(self) -> None:
        _ = self.bucket.root, self.bucket.data, self.bucket.draw, self.bucket.observe, self.scan

    @property
    def identifies_all(self) -> bool:
        """Whether every draw's function is found; rejection finds that of the fits only."""
        return not self.bucket.setting.spec.identifies_fits_only

    @cached_property
    def scan_inputs(self) -> Array:
        """The inputs that the counting pass evaluates, training inputs first."""
        if self.implementation != XLA:
            return self.kernel.inputs
        data = self.bucket.data
        return data.inputs if self.identifies_all else data.train.x

    @cached_property
    def scan(self) -> Program:
        """(runs (M, K, 2), hyper, root, inputs, m) -> (packed functions, fit) of m blocks of M.

        What it returns of the others says nothing.
        """
        if self.implementation == XLA:
            return self.bucket.program(self._scan, options=WIDE)
        return self.bucket.program(self.kernel.scan)

    def _scan(
        self,
        runs: UInt32[Array, "M K 2"],
        hyper: Hyper,
        root: Root,
        inputs: Array,
        num_blocks: Int[Array, ""] | int,
    ) -> Scanned:
        one = jax.jit(over_lanes(self._scan_one, (0, 0, None, None)), inline=True)  # traced once

        def scan(i: Int[Array, ""]) -> Scanned:
            run, values = jax.tree.map(lambda each: each[i], (runs, hyper))
            found: Scanned = one(run, values, root, inputs)
            return found

        def put(i: Int[Array, ""], found: Scanned) -> Scanned:
            joined: Scanned = jax.tree.map(lambda all, new: all.at[i].set(new), found, scan(i))
            return joined

        empty = jax.tree.map(
            lambda block: jnp.zeros((len(runs), *block.shape), block.dtype),
            jax.eval_shape(scan, 0),
        )
        found: Scanned = jax.lax.fori_loop(0, num_blocks, put, empty)
        return found

    def _scan_one(self, run: Run, hyper: Hyper, root: Root, inputs: Array) -> Scanned:
        bucket, data = self.bucket, self.bucket.data
        params = bucket.network.layout.unflatten(bucket.draw_one(run, hyper, root))
        outputs = bucket.network.apply(params, inputs)
        accept, loss, num_train = bucket.setting.accept, bucket.task.loss, data.num_train
        scale = output_scale(accept, bucket.network, params, inputs[:num_train])
        fit = accepts(accept, loss, outputs[:num_train], data.train.y, scale)
        if not self.identifies_all:
            return jnp.zeros(0, jnp.uint8), fit
        return pack(bucket.task.label_rule, outputs[data.probe_inputs]), fit

    def with_padding(self, runs: int) -> int:
        """Count the draws of whole blocks."""
        return padded_length(runs, self.bucket.lanes)

    def to_compile(self) -> Iterator[Example]:
        bucket, timed = self.bucket, self.timed()
        yield timed.program, timed.arguments
        if bucket.setting.spec.num_rows != 0:
            yield bucket.draw, bucket.draw_example()
            yield bucket.observe, bucket.observe_example()

    def timed(self) -> Timed:
        """One call of the counting pass."""
        bucket = self.bucket
        blocks, lanes = blocks_per_call(bucket.lanes), bucket.lanes
        runs = np.zeros((blocks, lanes, 2), np.uint32)
        hyper = {
            path: np.broadcast_to(values, (blocks, lanes)).copy()
            for path, values in bucket.hyper([bucket.setting] * lanes).items()
        }
        arguments = runs, hyper, bucket.root, self.scan_inputs, np.int32(blocks)
        return Timed(self.scan, arguments, blocks * lanes)

    def counted(self) -> Timed:
        """The same with a number of blocks that its jaxpr tells."""
        timed = self.timed()
        *arguments, blocks = timed.arguments
        if self.implementation != XLA:
            return timed
        scan = partial(self._scan, num_blocks=int(blocks))
        return replace(timed, program=self.bucket.program(scan), arguments=tuple(arguments))
