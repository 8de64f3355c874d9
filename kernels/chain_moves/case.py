"""Define the arrays that chains are moved with; what is static is the `Case` of training.

Of a `Case` the optimiser and the minibatch are not looked at. An array of which networks may share
one row has a leading axis of 1, or R.
"""

from typing import NamedTuple

from jaxtyping import Array, Float, Int, UInt32

from sweep_engine.kernels.fused_training.case import Case


class Data(NamedTuple):
    """Hold the examples, of all networks or of each: x (1 or R, N, D) and y (1 or R, N)."""

    x: Float[Array, "S N D"]
    y: Array


class Phase(NamedTuple):
    """Say where trajectories are; `slope` is the gradient of the log-density in z."""

    z: Float[Array, "R P"]
    momentum: Float[Array, "R P"]
    slope: Float[Array, "R P"]


class Density(NamedTuple):
    """Fix ln p(z) = -by_loss * (mean loss at scale * z) - by_square * |z|^2 / 2.

    Attributes:
        scale: Of all networks or of each.
        by_loss: What a mean loss counts.
        by_square: What half the sum of squares counts.
    """

    scale: Float[Array, "S P"]
    by_loss: Float[Array, " R"]
    by_square: Float[Array, " R"]


class Place(NamedTuple):
    """Say where transitions begin: with their momentum, the log-density, and words of a key."""

    phase: Phase
    log_density: Float[Array, " R"]
    key: UInt32[Array, "R 2"]


class Transition(NamedTuple):
    """Say where a transition of the no-U-turn sampler has come to, and what it was like.

    Attributes:
        z: The place that was drawn.
        slope: The gradient there.
        log_density: That there.
        acceptance: The mean probability to accept, over the trajectory.
        counts: Whether it diverged, whether it turned on itself, its doublings and steps.
    """

    z: Float[Array, "R P"]
    slope: Float[Array, "R P"]
    log_density: Float[Array, " R"]
    acceptance: Float[Array, " R"]
    counts: Int[Array, "R 4"]


class Stride(NamedTuple):
    """Say how far trajectories go; a step's size may be negative."""

    step_size: Float[Array, " R"]
    num_steps: Int[Array, " R"]


def check_shapes(case: Case, rows: Array, shared: Array | None, data: Data) -> None:
    """Raise ValueError unless arrays have the shapes that a case says.

    Args:
        case: What is static.
        rows: One of shape (R, P).
        shared: One of shape (1 or R, P), where there is one.
        data: The examples.
    """
    num_params, num_examples, inputs = case.num_params, case.num_examples, case.widths[0]
    expected = {
        "theta": (rows, (num_params,)),
        "x": (data.x, (num_examples, inputs)),
        "y": (data.y, (num_examples,)),
    } | ({} if shared is None else {"scale": (shared, (num_params,))})
    for name, (array, shape) in expected.items():
        if array.shape[1:] != shape or len(array) not in {len(rows), 1}:
            raise ValueError(
                f"expected {name} of shape (R, {', '.join(map(str, shape))}) with R = "
                f"{len(rows)} or 1, got {array.shape}"
            )
