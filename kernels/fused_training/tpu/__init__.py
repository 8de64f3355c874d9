"""A segment of training on a TPU, in Pallas: a network a lane, many turns without leaving the chip.

Unverified: it has not run on a TPU yet. TPU compilers take it, and its numbers are checked by
interpreting it. It trains where a sweep names it or `auto` tries it, and it agrees with XLA there.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from sweep_engine.kernels.fused_training.arrays import operands, unpack
from sweep_engine.kernels.fused_training.case import (
    Adam,
    Case,
    Checks,
    Data,
    KernelState,
    Limits,
    Segment,
    Sgd,
    check_segment,
)
from sweep_engine.kernels.fused_training.plain import Records
from sweep_engine.kernels.fused_training.tpu import layout
from sweep_engine.kernels.fused_training.tpu.layout import LANES, TILE, block_bytes

__all__ = ["LANES", "MOST_BYTES", "TILE", "block_bytes", "train_segment"]

MOST_BYTES = 96 * 2**20
"""Of a block, in the 128 MiB on the chip of a TPU v5e or v6e; the compiler takes some, too."""


def train_segment(
    case: Case,
    checks: Checks,
    state: KernelState,
    hyper: Sgd | Adam,
    limits: Limits,
    data: Data,
    segment: Segment,
    *,
    num_records: int,
    lanes: int = LANES,
    interpret: bool = False,
) -> tuple[KernelState, Records]:
    """Do what `plain.train_segment` does; inside `jax.jit` too, on a TPU alone.

    Args:
        case: As the plain twin.
        checks: As the plain twin.
        state: As the plain twin.
        hyper: As the plain twin.
        limits: As the plain twin.
        data: As the plain twin.
        segment: As the plain twin.
        num_records: As the plain twin.
        lanes: Networks a block, a multiple of `TILE`; a TPU's vectors have 128.
        interpret: Whether XLA takes it operation by operation, on any device.

    Raises:
        ValueError: as the plain twin.
    """
    # Pallas takes half a second to import, which only those wait for who use it.
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import tpu

    from sweep_engine.kernels.fused_training.tpu import kernel

    check_segment(case, segment)
    num_runs = len(state.theta)
    rows = [
        jnp.pad(array.T, ((0, 0), (0, -num_runs % lanes)))
        for array in operands(state, hyper, limits, data, segment)[:6]
    ]
    theta, moments, counters, measured, hyper_rows, turns = rows
    networks = kernel.Networks(
        layout.layers(case, theta),
        [layout.layers(case, one) for one in jnp.split(moments, case.num_moments)],
        counters,
        measured,
    )
    table, indices = layout.table(data, lanes), layout.columns(case, segment.indices, lanes)
    given = kernel.Given(hyper_rows, turns, table, indices)
    records = jnp.zeros((2, num_records, theta.shape[1]))

    def of_block(array: Array) -> pl.BlockSpec:
        *leading, _ = array.shape
        return pl.BlockSpec((*leading, lanes), lambda i: (*[0] * len(leading), i))

    whole = pl.BlockSpec(table.shape, lambda i: (0, 0, 0))
    out = (networks, records)
    found, records = pl.pallas_call(
        partial(kernel.train_block, case, checks),
        grid=(theta.shape[1] // lanes,),
        in_specs=[
            jax.tree.map(of_block, networks),
            jax.tree.map(of_block, given._replace(table=None))._replace(table=whole),
        ],
        out_specs=jax.tree.map(of_block, out),
        out_shape=jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), out),
        scratch_shapes=[kernel.scratch(case, lanes)],
        compiler_params=tpu.CompilerParams(vmem_limit_bytes=MOST_BYTES),
        interpret=interpret,
        name="train_segment",
    )(networks, given)
    parts = (
        layout.flat(found.params),
        jnp.concatenate([layout.flat(each) for each in found.moments]),
        found.counters,
        found.measured,
        records,
    )
    theta, moments, counters, measured, records = (part[..., :num_runs] for part in parts)
    return unpack((theta.T, moments.T, counters.T, measured.T, jnp.moveaxis(records, -1, 0).mT))
