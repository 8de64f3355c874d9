"""`prior` and `guess_and_check` by a kernel: which draws one can scan, and a scan by it.

Draws are those of XLA, from the same keys. What differs is the order in which a layer's sums
are rounded, so a function's label where the output is within rounding of 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

from sweep_engine import laws
from sweep_engine.kernels.prior_scan import SCAN, obstacle
from sweep_engine.kernels.prior_scan.case import Block, Case, Found
from sweep_engine.kernels.prior_scan.plain import NO_TARGET
from sweep_engine.models.networks import MlpNetwork
from sweep_engine.sources.acceptance import within
from sweep_engine.sources.bucket import Bucket, Hyper, Root, Run, params_key
from sweep_engine.sources.perceptrons import ACTIVATIONS, norm_of, perceptron_obstacles
from sweep_engine.spec.base import with_traced


def obstacles(bucket: Bucket, implementation: str) -> list[str]:
    """List what a kernel does not know of some draws; empty where it can scan them."""
    found = list(_obstacles(bucket))
    if not found and (large := obstacle(KernelScan(bucket, implementation).case, implementation)):
        found.append(large)
    return found


def _obstacles(bucket: Bucket) -> Iterator[str]:
    law = bucket.setting.spec.start_law
    assert law is not None
    yield from perceptron_obstacles(bucket, bucket.setting.accept)
    if laws.recipe(law, bucket.network.layout) is None:
        yield f"the law {law.title}"


@dataclass(frozen=True)
class KernelScan:
    """The counting pass by a kernel, of draws that it knows.

    Attributes:
        bucket: What the draws share.
        implementation: The kernel.
    """

    bucket: Bucket
    implementation: str

    @property
    def num_labels(self) -> int:
        """How many inputs a draw's function is identified on: none where none is asked for."""
        fits_only = self.bucket.setting.spec.identifies_fits_only
        return 0 if fits_only else len(self.bucket.task.probe_inputs)

    @cached_property
    def order(self) -> Int[np.ndarray, " N"]:
        """The inputs that are evaluated: the probe inputs first, in their order."""
        probed = self.bucket.task.probe_inputs[: self.num_labels]
        train = np.arange(self.bucket.data.num_train)
        return np.concatenate([probed, np.setdiff1d(train, probed)]).astype(int)

    @property
    def inputs(self) -> Float[Array, "N D"]:
        """What `scan` takes."""
        return self.bucket.data.inputs[self.order]

    @property
    def targets(self) -> Int[np.ndarray, " N"]:
        """Labels of the training inputs among them."""
        every = np.full(len(self.bucket.task.inputs), NO_TARGET, np.int32)
        every[: self.bucket.data.num_train] = self.bucket.task.train.y
        return every[self.order]

    @property
    def case(self) -> Case:
        """What is fixed when the kernel is built."""
        network, law = self.bucket.network, self.bucket.setting.spec.start_law
        module = network.module
        assert isinstance(module, MlpNetwork)
        assert law is not None
        steps = laws.recipe(law, network.layout)
        assert steps is not None
        return Case(
            widths=(*network.input_shape, *module.widths, module.num_outputs),
            blocks=tuple(Block(step.numbers, len(step.leaves)) for step in steps),
            activation=ACTIVATIONS[module.activation],
            bias=module.bias,
            num_inputs=len(self.order),
            norm=norm_of(self.bucket.setting.accept),
        )

    def scan(
        self,
        runs: UInt32[Array, "M K 2"],
        hyper: Hyper,
        root: Root,
        inputs: Float[Array, "N D"],
        num_blocks: Int[Array, ""] | int,
    ) -> tuple[UInt8[Array, "M K bytes"], Bool[Array, "M K"]]:
        """Find packed functions and which draws fit, as XLA's counting pass does, of m blocks."""
        places = runs.shape[:2]
        found = self.find(runs, hyper, root, inputs, num_blocks)
        are_bits, count = self.case.num_outputs <= 2, self.num_labels
        functions = _first_labels(found.function, count) if are_bits else found.function[:, :count]
        return functions.reshape(*places, -1), self._fits(found).reshape(places)

    def _fits(self, found: Found) -> Bool[Array, " R"]:
        accept, num_train = self.bucket.setting.accept, self.bucket.data.num_train
        fit = jnp.ones(len(found.wrong), bool)
        if accept.train_error is not None:
            fit &= found.wrong <= accept.train_error * num_train + 1e-3
        if accept.margin is not None:
            fit &= within(found.margin, accept.margin) > 0
        return fit

    def find(
        self,
        runs: UInt32[Array, "M K 2"],
        hyper: Hyper,
        root: Root,
        inputs: Float[Array, "N D"],
        num_blocks: Int[Array, ""] | int,
    ) -> Found:
        """Scan the draws of m blocks: all that the kernel finds of them, on all inputs."""
        flat_runs = jnp.asarray(runs).reshape(-1, 2)
        flat = {path: value.reshape(-1) for path, value in hyper.items()}
        keys, scales = jax.vmap(self._keys_and_scales, (0, 0, None))(flat_runs, flat, root)
        given = keys, scales, inputs, jnp.asarray(self.targets), num_blocks * runs.shape[1]
        return SCAN[self.implementation](self.case, *given)

    def _keys_and_scales(self, run: Run, hyper: Hyper, root: Root) -> tuple[Array, Array]:
        law = with_traced(self.bucket.setting.spec, hyper).start_law
        assert law is not None
        steps = laws.recipe(law, self.bucket.network.layout)
        assert steps is not None
        key = params_key(law, root, run)
        keys, scales = zip(*(step.key_and_scales(key) for step in steps), strict=True)
        return jnp.stack(keys), jnp.concatenate(scales)


def _first_labels(packed: UInt8[Array, "R bytes"], count: int) -> UInt8[Array, "R less"]:
    """Keep some labels of two, eight a byte; the rest of the last byte is 0."""
    kept = np.full(-(-count // 8), 255, np.uint8)
    kept[-1:] = 255 << (-count % 8) & 255
    return packed[:, : len(kept)] & kept
