"""A move of splitting in C++: a particle's parameters never leave the cache."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from sweep_engine.kernels import native
from sweep_engine.kernels.native.words import words_of
from sweep_engine.kernels.splitting_move.case import Case, Draws, Moved, Rule, ends_of, macros

_FOLDER = Path(__file__).parent

ANY = -1
"""Stands for how many labels may be wrong, where any may."""


def move(
    case: Case,
    rule: Rule,
    normals: Float[Array, "R M"],
    level: Float[Array, " R"],
    draws: Draws,
    scales: Float[Array, " A"],
    x: Float[Array, "N D"],
    targets: Int[Array, " N"],
    threshold: Float[Array, ""],
    width: Float[Array, ""],
) -> Moved:
    """Do what `plain.move` does; inside `jax.jit` too, on a CPU alone.

    Normals are those of the plain twin to a few units in the last place, levels to the rounding
    of a layer's sums; a level within rounding of the threshold may be on its other side.

    Raises:
        CannotBuild: the kernel of this case has to be built and cannot be.
        ValueError: the keys are not JAX's default ones.
    """
    shapes = tuple(
        jax.ShapeDtypeStruct(shape, dtype)
        for shape, dtype in (
            (normals.shape, jnp.float32), (level.shape, jnp.float32), (level.shape, jnp.uint8),
        )
    )  # fmt: skip
    limits = jnp.concatenate([jnp.stack([threshold, width]), jnp.asarray(ends_of(rule))])
    call = jax.ffi.ffi_call(
        native.register(build(case), "move"), shapes, input_output_aliases={0: 0, 1: 1}
    )
    moved, new_level, found = call(
        normals,
        level,
        words_of(draws.keys),
        draws.shares,
        draws.windows,
        scales,
        x,
        targets,
        limits,
        allowed=np.int32(ANY if rule.allowed is None else rule.allowed),
        climbs_errors=np.int32(rule.climbs_errors),
        has_margin=np.int32(rule.margin is not None),
    )
    return Moved(moved, new_level, found > 0)


@functools.cache
def build(case: Case) -> Path:
    """Build the kernel of a case.

    Raises:
        CannotBuild: it cannot be built here.
    """
    defines = [f"{name}={value}" for name, value in macros(case).items()]
    return native.build(_FOLDER / "handler.cc", [_FOLDER], defines)
