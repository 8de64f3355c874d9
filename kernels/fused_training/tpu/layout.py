"""Lay the arrays of a segment out in a TPU's memory: networks last, padded to whole blocks."""

from itertools import pairwise

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sweep_engine.kernels.fused_training.case import Case, Data

LANES = 128
"""Networks a block: the lanes of a TPU's vectors."""

TILE = 4
"""Examples at a time: each weight that is read is used so often. By the compiler of a v5e the sums
of 40 units stay in registers then; those of 8 examples do not, and take twice the cycles."""


def block_bytes(case: Case) -> int:
    """Count what a block of networks takes on the chip, with what the next block fetches meanwhile.

    Rows of a vector's 8 are padded, and minibatches are those of an epoch, or of 128 turns.
    """
    d, batch = case.widths[0], case.minibatch or 0
    params = sum(n * _up(m, 8) for n, m in shapes(case))
    entering = TILE * (_up(d + 2, 8) + 2 * sum(_up(m, 8) for m in case.widths[1:-1]))
    table = _up(d + 2, 8) * _up(case.num_examples + 1, LANES) // LANES
    indices = _up(batch, 8) * max(128, case.num_examples // batch) if batch else 0
    copies = 4 * (1 + case.num_moments) + 1  # before, after; and the gradient
    return 4 * LANES * (copies * params + entering + 2 * (table + indices))


def _up(size: int, step: int) -> int:
    return -(-size // step) * step


def shapes(case: Case) -> list[tuple[int, int]]:
    """List the shapes of a network's layers: (n + bias, m), or the transpose of a single output.

    A vector holds 8 rows of the last of the two, so that few outputs would leave it empty.
    """
    rows = [(n + case.bias, m) for n, m in pairwise(case.widths)]
    return [(m, n) if m == 1 else (n, m) for n, m in rows]


def layers(case: Case, flat: Float[Array, "P R"]) -> list[Float[Array, "n m R"]]:
    """Cut parameters into those of each layer; biases follow weights, so that they are a row."""
    found, offset = [], 0
    for n, m in shapes(case):
        found.append(flat[offset : offset + n * m].reshape(n, m, -1))
        offset += n * m
    return found


def flat(parts: list[Array]) -> Float[Array, "P R"]:
    """Undo `layers`."""
    return jnp.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])


def table(data: Data, lanes: int) -> Float[Array, "parts D+2 lanes"]:
    """Lay the examples out as the kernel's `Given.table`."""
    num_examples = len(data.y)
    missing = lanes - num_examples % lanes  # at least one
    x = jnp.pad(data.x.astype(jnp.float32).T, ((0, 0), (0, missing)), mode="edge")
    y = jnp.pad(data.y.astype(jnp.float32), (0, missing), mode="edge")
    counts = (jnp.arange(len(y)) < num_examples).astype(jnp.float32)
    table = jnp.concatenate([x, y[None], counts[None]])
    return jnp.swapaxes(table.reshape(len(table), -1, lanes), 0, 1)


def columns(case: Case, indices: Int[Array, "R T B"], lanes: int) -> Int[Array, "T B R"] | None:
    """Lay the minibatches out, filled up with the first column that counts nothing."""
    if case.minibatch is None:
        return None
    missing = (0, -len(indices) % lanes), (0, 0), (0, -case.minibatch % TILE)
    return jnp.moveaxis(jnp.pad(indices, missing, constant_values=case.num_examples), 0, -1)
