"""A scan of a prior in plain JAX: the truth that the kernel is held to."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from sweep_engine.kernels.fused_training import plain as training
from sweep_engine.kernels.fused_training.case import Case as TrainingCase
from sweep_engine.kernels.prior_scan.case import Case, Found
from sweep_engine.threefry import normals, uniforms

NO_TARGET = -1
"""The target of an input that no draw has to fit."""


def scan(
    case: Case,
    keys: Key[Array, " R"],
    scales: Float[Array, "R A"],
    x: Float[Array, "N D"],
    targets: Int[Array, " N"],
) -> Found:
    """Draw networks, read their functions, and count the targets that they miss.

    No theta is given back: `draw` makes that of the few that are kept again, from their keys.

    Args:
        case: What is static.
        keys: Of every draw.
        scales: What the parameters of each array of theta are multiplied by.
        x: The inputs.
        targets: Of every input 0, 1, or NO_TARGET.
    """
    return jax.vmap(partial(_scan_one, case, x, targets))(keys, scales)


def draw(case: Case, key: Key[Array, ""], scales: Float[Array, " A"]) -> Float[Array, " P"]:
    """Draw theta of one key."""
    standard = {"normal": normals, "uniform": uniforms}[case.law](key, case.num_params)
    return standard * jnp.repeat(scales, np.array(case.sizes), total_repeat_length=case.num_params)


def outputs(case: Case, theta: Float[Array, " P"], x: Float[Array, "N D"]) -> Float[Array, " N"]:
    """Compute the outputs of one network."""
    same = TrainingCase(case.widths, case.activation, case.bias, num_examples=case.num_inputs)
    return training.outputs(same, theta, x)[:, 0]


def _scan_one(
    case: Case, x: Array, targets: Array, key: Key[Array, ""], scales: Float[Array, " A"]
) -> Found:
    f = outputs(case, draw(case, key, scales), x)
    wrong = ((f > 0) != (targets > 0)) | jnp.isnan(f)
    return Found(jnp.packbits(f > 0), jnp.sum(wrong & (targets != NO_TARGET), dtype=jnp.int32))
