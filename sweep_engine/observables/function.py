"""A network's function: its labels on the probe inputs, packed, hashed and described."""

import hashlib

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from sweep_engine.columns import Column
from sweep_engine.kernels.lempel_ziv import complexity
from sweep_engine.observables.observable import Observable
from sweep_engine.tasks import Loss

Packed = UInt8[np.ndarray, "R bytes"]


def pack(loss: Loss, outputs: Float[Array, "F C"]) -> UInt8[Array, " bytes"]:
    """Pack the labels on the probe inputs into bytes, on the device.

    Two labels: eight inputs a byte, the first in the highest bit, as `numpy.packbits` does.
    More: one byte each. Real outputs: no bytes, since no two functions are the same.
    """
    if loss.labels is None:
        return jnp.zeros(0, jnp.uint8)
    labels = loss.labels(outputs)
    if loss.num_labels != 2:
        return labels
    padded = jnp.pad(labels, (0, -len(labels) % 8)).reshape(-1, 8)
    weights = jnp.asarray(1 << np.arange(7, -1, -1), jnp.uint8)
    return jnp.sum(padded * weights, axis=1, dtype=jnp.uint8)


def distinct(packed: Packed) -> tuple[Packed, Int[np.ndarray, " R"]]:
    """Find the distinct functions, shape (F, bytes), and which of them each row is."""
    if packed.shape[1] == 0:
        return packed[:0], np.zeros(len(packed), np.int64)
    rows = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, index = np.unique(rows, return_index=True, return_inverse=True)
    return packed[first], index


def function_ids(functions: Packed) -> list[str]:
    """Hash each function into 16 bytes, as hexadecimal digits."""
    return [hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in functions]


def unpack(functions: Packed, num_inputs: int) -> UInt8[np.ndarray, "R F"]:
    """Undo `pack` for two labels: the label of every probe input."""
    return np.unpackbits(functions, axis=1)[:, :num_inputs]


def _describe_function(functions: Packed, num_inputs: int) -> dict[str, np.ndarray]:
    bits = unpack(functions, num_inputs)
    return {
        "function_ones": bits.sum(axis=1, dtype=np.int32),
        "function_bits": np.array([row.tobytes().hex() for row in functions], object),
    }


def _describe_complexity(functions: Packed, num_inputs: int) -> dict[str, np.ndarray]:
    return {"complexity_lz": complexity(unpack(functions, num_inputs))}


FUNCTION = Observable(
    columns=(
        Column("function_ones", "int32", "inputs", "T, probe inputs labelled 1"),
        Column("function_bits", "string", "", "labels of the probe inputs, packed, in hex"),
    ),
    describe=_describe_function,
    needs=("binary",),
)

COMPLEXITY = Observable(
    columns=(Column("complexity_lz", "float64", "bits", "K_LZ of the labels, forward and back"),),
    describe=_describe_complexity,
    needs=("binary",),
)
