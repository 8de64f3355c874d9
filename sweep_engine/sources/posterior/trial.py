"""Try kernels of chains' gradients."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sweep_engine.lanes import ONCE, over_lanes
from sweep_engine.sources.posterior.chain import Examples
from sweep_engine.sources.posterior.programs import PosteriorPrograms
from sweep_engine.sources.trial import Disagrees, Rehearsed

TEST_SCALES = (0.1, 2.0)
TOLERANCE = 1e-4
"""Say of the self-test how far from the prior's middle chains stand, in its standard deviations;
and the share of a log-density, or of a gradient's largest element, by which two roundings
differ."""

LENGTH_OF_A_TRANSITION = 16
"""A transition takes about as long as so many steps of a block in training."""


class PosteriorTrial:
    """Tries kernels of chains' gradients."""

    unit = "draws"

    def self_test(self, kernel: PosteriorPrograms, xla: PosteriorPrograms) -> str:
        """Compare what transitions are made of, where chains of a block may stand.

        A quarter of the lanes may differ: a relu within rounding of 0 may take the other side.
        """
        name = kernel.implementation
        density, *vectors = _of_lanes(kernel)
        true_density, *true_vectors = _of_lanes(xla)
        told = np.isfinite(true_density) & np.isfinite(true_vectors).all(axis=(0, 2))
        if not told.any():
            raise Disagrees(f"the {name} kernel could not be tested: no density is finite here")
        gap = np.max([_gaps(*both) for both in zip(vectors, true_vectors, strict=True)], axis=0)
        close = np.abs(density - true_density) <= TOLERANCE * np.abs(true_density)
        if (close & (gap <= TOLERANCE))[told].mean() < 0.75:
            raise Disagrees(
                f"the {name} kernel differs from XLA by {np.median(gap[told]):.1e} of gradients, "
                f"or in more than {TOLERANCE} of log-densities, on this device"
            )
        return f"agreed with XLA to {np.median(gap[told]):.0e} of gradients"

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


def _gaps(found: Float[np.ndarray, "K M"], truth: Float[np.ndarray, "K M"]) -> np.ndarray:
    """Divide the largest difference of each lane's elements by its largest element."""
    largest = np.maximum(np.abs(truth).max(axis=1), 1e-30)
    gaps: np.ndarray = np.abs(found - truth).max(axis=1) / largest
    return gaps


def _of_lanes(programs: PosteriorPrograms) -> list[Float[np.ndarray, "K *M"]]:
    """Do a sample of the work of a block's transitions."""
    z, hyper, examples = programs.counted().arguments
    rng = np.random.default_rng(0)
    scales = np.geomspace(*TEST_SCALES, len(z))[:, None]
    places = (scales * rng.normal(size=z.shape)).astype(np.float32)
    axes: Any = None
    if programs.bucket.has_own_targets:  # each lane's, though they are the same
        targets = jnp.broadcast_to(examples.targets, (len(z), *examples.targets.shape))
        examples = Examples(examples.inputs, targets)
        axes = jax.tree.unflatten(jax.tree.structure(examples), (None, 0))
    of_lanes = over_lanes(programs.chain.sample_of_work, (0, 0, axes))
    found = programs.bucket.program(of_lanes, options=ONCE)(places, hyper, examples)
    return [np.asarray(each, np.float64) for each in found]
