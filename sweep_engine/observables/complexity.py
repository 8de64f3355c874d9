"""How simple a function is: the Lempel-Ziv complexity of its labels, and two compressors' sizes."""

import bz2
import zlib
from collections.abc import Callable

import numpy as np

from sweep_engine.columns import Column
from sweep_engine.kernels.lempel_ziv import complexity
from sweep_engine.observables.function import Functions
from sweep_engine.observables.observable import Observable

COMPLEXITY = Observable(
    columns=(Column("complexity_lz", "float64", "bits", "K_LZ of the labels, forward and back"),),
    describe=lambda functions: {"complexity_lz": complexity(functions.labels)},
    needs=("functions",),
)
"""Of any number of labels: K_LZ counts words, whose number grows with the alphabet by itself."""


def _bits(compress: Callable[[bytes], bytes], functions: Functions) -> np.ndarray:
    """Compress each function's labels, a byte an input, and count the bits of the result."""
    return np.array([8 * len(compress(row.tobytes())) for row in functions.labels], np.int32)


def _deflate(data: bytes) -> bytes:
    """Compress without a header and a checksum, which are the same for every function."""
    stream = zlib.compressobj(zlib.Z_BEST_COMPRESSION, wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


COMPRESSION = Observable(
    columns=(
        Column(
            "deflate_bits", "int32", "bits", "of the labels, a byte an input, by zlib's deflate"
        ),
        Column("bz2_bits", "int32", "bits", "of the labels, a byte an input, by bzip2"),
    ),
    describe=lambda functions: {
        "deflate_bits": _bits(_deflate, functions),
        "bz2_bits": _bits(bz2.compress, functions),
    },
    needs=("functions",),
)
"""Other judges of the same idea: what K_LZ alone says of two sources may be K_LZ's own.

The size by zlib may differ by some bytes between builds of zlib; bzip2 has one implementation.
"""
