"""Try kernels of splitting's moves."""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from sweep_engine.sources.splitting.particle import Particle
from sweep_engine.sources.splitting.programs import SplittingPrograms
from sweep_engine.sources.trial import Disagrees, Rehearsed

MOST_DIFFERENT = 1e-3
"""Limits, in the self-test, the share of moves that may differ, and two: a level within rounding of
the threshold may be on its other side."""

ROUNDING = 1e-4
"""Allows for rounding in the self-test: normals are some units in the last place apart, and levels
as sums of their products, relative to the usual size of a level."""

LENGTH_OF_A_SWEEP = 4
"""A sweep of moves takes at least as long as so many steps of a block in training. The shortest
call makes several, as a climb's do: the first touches memory that the others then have."""


class SplittingTrial:
    """Tries kernels of moves."""

    unit = "moves"

    def self_test(self, kernel: SplittingPrograms, xla: SplittingPrograms) -> str:
        """Move a population twice: given the first level, and where every angle is taken."""
        arguments, count = xla.first_level(), xla.spec.particles
        different = np.zeros(count, bool)
        for threshold in (arguments[2], np.float32(-np.inf)):
            given = *arguments[:2], threshold, *arguments[3:]
            found, truth = (one.move(*given)[0] for one in (kernel, xla))
            different |= _differ(found, truth).reshape(-1)[:count]
        if different.sum() > MOST_DIFFERENT * count + 2:
            raise Disagrees(
                f"the {kernel.implementation} kernel differs from XLA in the moves of "
                f"{different.sum():,} of {count:,} particles on this device"
            )
        return f"agreed with XLA in all but {different.sum()} of {count:,} particles' moves"

    def rehearse(self, programs: SplittingPrograms, length: int) -> Callable[[int], Rehearsed]:
        """Make some sweeps of moves at the first level."""
        sweeps = max(1, length // LENGTH_OF_A_SWEEP)
        *arguments, one_sweep = programs.first_level()
        address = np.array([1, 0, sweeps], np.int32)
        jax.block_until_ready(programs.move(*arguments, one_sweep))  # the first takes longer

        def call(_: int) -> Rehearsed:
            jax.block_until_ready(programs.move(*arguments, address))
            return Rehearsed(sweeps * programs.spec.particles, 0)

        return call


def _differ(found: Particle, truth: Particle) -> Bool[np.ndarray, "B K"]:
    normals = np.abs(np.asarray(found.normals) - np.asarray(truth.normals)).max(axis=-1)
    return ~(_alike(found.level, truth.level) & (normals <= ROUNDING))


def _alike(found: Float[Array, "B K"], truth: Float[Array, "B K"]) -> Bool[np.ndarray, "B K"]:
    """Say which levels agree, to the rounding of outputs as large as theirs; inf is inf."""
    sizes = np.abs(np.asarray(truth)[np.isfinite(truth)])
    usual = np.median(sizes) if sizes.size else 0
    return np.isclose(found, truth, rtol=10 * ROUNDING, atol=ROUNDING * usual)
