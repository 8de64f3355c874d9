"""Moves of splitting's particles: an elliptical slice in a window of each one's normals.

`plain` says what a move is, in plain JAX. `cpu` draws the normals of the window alone, and stops
at the angle that is found.
"""

from collections.abc import Callable

from sweep_engine.kernels.splitting_move import cpu, plain
from sweep_engine.kernels.splitting_move.case import Case, Moved

MOVE: dict[str, Callable[..., Moved]] = {"plain": plain.move, "cpu": cpu.move}
"""Names the implementations."""


def build(case: Case) -> None:
    """Compile the kernel of a case, if that has not been done.

    Raises:
        CannotBuild: there is no compiler, or it refused; the message says what to do.
    """
    cpu.build(case)
