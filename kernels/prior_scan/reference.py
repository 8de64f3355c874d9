"""A scan of a prior in plain JAX: the truth that the kernel is held to."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep_engine.kernels.fused_training import reference as training
from sweep_engine.kernels.fused_training.case import Case as TrainingCase
from sweep_engine.kernels.prior_scan.case import Case, Found

NO_TARGET = -1
"""The target of an input that no draw has to fit."""


def scan(
    case: Case,
    keys: Key[Array, " R"],
    scale: Float[Array, " R"],
    x: Float[Array, "N D"],
    targets: Int[Array, " N"],
) -> Found:
    """Draw networks, read their functions, and count the targets that they miss.

    No theta is given back: `draw` makes that of the few that are kept again, from their keys.

    Args:
        case: What is static.
        keys: Of every draw.
        scale: What its parameters are multiplied by.
        x: The inputs.
        targets: Of every input 0, 1, or NO_TARGET.
    """
    return jax.vmap(partial(_scan_one, case, x, targets))(keys, scale)


def draw(case: Case, key: Key[Array, ""], scale: Float[Array, ""]) -> Float[Array, " P"]:
    """Draw theta of one key, as JAX's own samplers do."""
    if case.law == "uniform":
        standard = jax.random.uniform(key, (case.num_params,), jnp.float32, minval=-1.0)
    else:
        standard = jax.random.normal(key, (case.num_params,), jnp.float32)
    return standard * scale


def outputs(case: Case, theta: Float[Array, " P"], x: Float[Array, "N D"]) -> Float[Array, " N"]:
    """Compute the outputs of one network."""
    same = TrainingCase(case.widths, case.activation, case.bias, num_examples=case.num_inputs)
    return training.outputs(same, theta, x)[:, 0]


def _scan_one(
    case: Case, x: Array, targets: Array, key: Key[Array, ""], scale: Float[Array, ""]
) -> Found:
    labels = outputs(case, draw(case, key, scale), x) > 0
    wrong = (labels != (targets > 0)) & (targets != NO_TARGET)
    return Found(jnp.packbits(labels), jnp.sum(wrong, dtype=jnp.int32))
