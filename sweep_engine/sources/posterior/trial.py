"""How kernels of chains' gradients are tried."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from sweep_engine.lanes import over_lanes
from sweep_engine.sources.posterior.programs import PosteriorPrograms
from sweep_engine.sources.trial import Disagrees, Rehearsed

TEST_SCALES = (0.1, 2.0)
TOLERANCE = 1e-4
"""Of the self-test: how far from the prior's middle chains stand, in its standard deviations; and
of the largest element of a gradient, or of a log-density with its prior."""

LENGTH_OF_A_TRANSITION = 16
"""A transition takes about as long as so many steps of a block in training."""


class PosteriorTrial:
    """Tries kernels of chains' gradients."""

    unit = "draws"

    def self_test(self, kernel: PosteriorPrograms, xla: PosteriorPrograms) -> str:
        """Compare log-densities and their gradients where chains of a block may stand.

        A quarter of the lanes may differ: a relu within rounding of 0 may take the other side.
        """
        name = kernel.implementation
        found, slopes = _of_lanes(kernel)
        truth, true_slopes = _of_lanes(xla)
        told = np.isfinite(truth) & np.isfinite(true_slopes).all(axis=1)
        if not told.any():
            raise Disagrees(f"the {name} kernel could not be tested: no density is finite here")
        gap = np.abs(slopes - true_slopes).max(axis=1) / np.abs(true_slopes).max(axis=1)
        close = np.abs(found - truth) <= TOLERANCE * np.abs(truth)
        agree = (close & (gap <= TOLERANCE))[told]
        if agree.mean() < 0.75:
            raise Disagrees(
                f"the {name} kernel differs from XLA by {np.nanmedian(gap[told]):.1e} of the "
                "log-density's gradient on this device"
            )
        return f"agreed with XLA to {np.median(gap[told]):.0e} of the log-density's gradient"

    def rehearse(self, programs: PosteriorPrograms, length: int) -> Callable[[int], Rehearsed]:
        """Make the first transitions of all chains of a block."""
        transitions = max(1, length // LENGTH_OF_A_TRANSITION)
        timed = programs.first_transitions(transitions)
        states, *others = timed.arguments
        programs.advance.compiled(states, *others)

        def call(_: int) -> Rehearsed:
            jax.block_until_ready(programs.advance(states, *others))
            return Rehearsed(max(1, round(timed.units)), 0)

        return call


def _of_lanes(
    programs: PosteriorPrograms,
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K M"]]:
    """Compute a block's log-densities and their gradients."""
    z, hyper, examples = programs.counted().arguments
    rng = np.random.default_rng(0)
    scales = np.geomspace(*TEST_SCALES, len(z))[:, None]
    places = (scales * rng.normal(size=z.shape)).astype(np.float32)
    axes: Any = None
    if programs.bucket.has_own_targets:  # each lane's, though they are the same
        targets = np.broadcast_to(examples.targets, (len(z), *examples.targets.shape))
        examples, axes = examples._replace(targets=targets), (None, 0)
    of_one = programs.chain.density_and_gradient
    program = programs.bucket.program(over_lanes(of_one, (0, 0, axes)))
    density, gradient = program(places, hyper, examples)
    return np.asarray(density, np.float64), np.asarray(gradient, np.float64)
