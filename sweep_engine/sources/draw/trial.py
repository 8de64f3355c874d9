"""How kernels of draws are tried."""

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from sweep_engine.kernels.prior_scan.case import Case, Found
from sweep_engine.sources.draw.programs import DrawPrograms
from sweep_engine.sources.trial import Disagrees, Rehearsed

TEST_LABELS = 2**14
MOST_DIFFERENT = 1e-4
"""Of the self-test: how many labels it compares at least, and the share of them, and two,
that may differ: float32 outputs within rounding of 0 are some in a million."""

LENGTH_OF_A_CALL = 16
"""A call of the counting pass takes about as long as so many steps of a block in training."""


class DrawTrial:
    """Tries kernels of draws."""

    unit = "draws"

    def self_test(self, kernel: DrawPrograms, xla: DrawPrograms) -> str:
        """Compare functions, what they miss and their margins, of draws of many scales."""
        scan, lanes = kernel.kernel, kernel.bucket.lanes
        num_blocks = -(-TEST_LABELS // (lanes * len(scan.order)))
        shape = num_blocks, lanes
        index = np.arange(num_blocks * lanes, dtype=np.uint32).reshape(shape)
        runs = np.stack([np.zeros_like(index), index], axis=-1)
        rng = np.random.default_rng(0)
        hyper = {
            path: rng.uniform(0.5, 2.0, shape).astype(values.dtype)
            for path, values in kernel.bucket.hyper([kernel.bucket.setting]).items()
        }
        found, truth = (
            kernel.bucket.program(one.find)(
                runs, hyper, kernel.bucket.root, scan.inputs, num_blocks
            )
            for one in (scan, replace(scan, implementation="plain"))
        )
        labels = index.size * len(scan.order)
        different = _labels_that_differ(scan.case, found, truth)
        unlike = (found.wrong != truth.wrong) | ~_alike(found.margin, truth.margin)
        unlike &= different == 0
        if unlike.any() or different.sum() > MOST_DIFFERENT * labels + 2:
            raise Disagrees(
                f"the {kernel.implementation} kernel differs from XLA in {different.sum():,} of "
                f"{labels:,} labels, and in what {unlike.sum():,} of {index.size:,} draws miss or "
                "their margins, on this device"
            )
        return f"agreed with XLA in all but {different.sum()} of {labels:,} labels"

    def rehearse(self, programs: DrawPrograms, length: int) -> Callable[[int], Rehearsed]:
        """Make some calls of the counting pass."""
        timed, calls = programs.timed(), length // LENGTH_OF_A_CALL
        programs.scan.compiled(*timed.arguments)

        def call(_: int) -> Rehearsed:
            found = (programs.scan(*timed.arguments)[1] for _ in range(calls))
            # A result is there before it is computed: its size is known at once.
            draws = sum(jax.block_until_ready(fit).size for fit in found)
            return Rehearsed(draws, draws)

        return call


def _labels_that_differ(case: Case, found: Found, truth: Found) -> Int[np.ndarray, " R"]:
    one, other = np.asarray(found.function), np.asarray(truth.function)
    differ = np.bitwise_count(one ^ other) if case.num_outputs <= 2 else one != other
    return differ.sum(axis=1)


def _alike(found: Float[Array, " R"], truth: Float[Array, " R"]) -> Bool[np.ndarray, " R"]:
    """Say which margins agree, to the rounding of outputs as large as theirs; inf is inf."""
    sizes = np.abs(np.asarray(truth)[np.isfinite(truth)])
    return np.isclose(found, truth, rtol=1e-3, atol=1e-4 * np.median(sizes) if sizes.size else 0)
