"""A network's function: its labels on the probe inputs, packed and hashed."""

import hashlib
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from sweep_engine.tasks import LabelRule

Packed = UInt8[np.ndarray, "R bytes"]


def pack(rule: LabelRule | None, outputs: Float[Array, "F C"]) -> UInt8[Array, " bytes"]:
    """Pack the labels on the probe inputs into bytes, on the device.

    Two labels: eight inputs a byte, the first in the highest bit, as `numpy.packbits` does.
    More: one byte each. Real outputs: no bytes, since no two functions are the same.
    """
    if rule is None:
        return jnp.zeros(0, jnp.uint8)
    labels = rule.labels(outputs)
    if rule.num_labels != 2:
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


def unpack(
    functions: Packed, num_inputs: int, num_labels: int | None = 2
) -> UInt8[np.ndarray, "R F"]:
    """Undo `pack`: the label of every probe input."""
    return np.unpackbits(functions, axis=1)[:, :num_inputs] if num_labels == 2 else functions


@dataclass(frozen=True)
class Functions:
    """Distinct functions, as `Observable.describe` is given them.

    Attributes:
        packed: Their labels as `pack` packs them, shape (F, bytes).
        num_inputs: How many probe inputs they are known on.
        num_labels: Size of the alphabet of labels; None for real outputs, which have no bytes.
    """

    packed: Packed
    num_inputs: int
    num_labels: int | None = 2

    @property
    def labels(self) -> UInt8[np.ndarray, "F N"]:
        """The label of every probe input."""
        return unpack(self.packed, self.num_inputs, self.num_labels)
