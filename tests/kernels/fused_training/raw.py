"""Kernels called without XLA by ctypes, so that outputs can be spoilt before; or interpreted."""

import ctypes
import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sweep_engine.kernels import native
from sweep_engine.kernels.fused_training import cpu, cuda, tpu
from sweep_engine.kernels.fused_training.arrays import attributes, operands, results, unpack
from sweep_engine.kernels.fused_training.case import Case, Checks, KernelState, check_segment

POISON = 0x7FDEAD01  # a NaN as float32, and no plausible integer
HOST_THREADS = 3  # of a block; none of the results' meaning depends on them


class Arguments(ctypes.Structure):
    """`Arguments` in cpu/run.h."""

    _fields_ = [
        *((f"array_{i}", ctypes.c_void_p) for i in range(14)),
        *((name, ctypes.c_int64) for name in ("networks", "items", "index_turns", "records")),
        *((name, ctypes.c_int32) for name in ("every", "rule", "stop_at_fit")),
    ]


def poisoned(shapes: Any) -> list[np.ndarray]:
    return [np.full(s.shape, POISON, np.uint32).view(s.dtype) for s in shapes]


def pointers(arrays: list[np.ndarray]) -> list[int]:
    return [array.ctypes.data for array in arrays]


def cpu_segment(
    case: Case, checks: Checks, *arrays: Any, num_records: int
) -> tuple[KernelState, jax.Array]:
    """The CPU kernel in this thread alone."""
    library = native.load(cpu.build(case))

    def call(*given: np.ndarray) -> list[np.ndarray]:
        inputs = [np.ascontiguousarray(array) for array in given]
        outputs = poisoned(shapes)
        sizes = len(inputs[0]), 0, inputs[8].shape[1], num_records  # it counts the items itself
        packed = Arguments(*pointers(inputs), *pointers(outputs), *sizes, *numbers)
        library.train_networks(ctypes.byref(packed))
        return outputs

    shapes = results(arrays[0], num_records)
    numbers = [int(value) for value in attributes(checks).values()]
    return unpack(jax.pure_callback(call, shapes, *operands(*arrays)))


@functools.cache
def host_block(case: Case, shared_limit: int) -> ctypes.CDLL:
    """Build the CUDA kernel as C++."""
    text = cuda.source(case, HOST_THREADS, shared_limit)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = Path(os.environ["XDG_CACHE_HOME"], "host_blocks", name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training_cu.h").write_text(text)
    return native.load(native.build(Path(__file__).with_name("host_block.cc"), [folder], []))


def cuda_on_host(
    case: Case,
    checks: Checks,
    *arrays: Any,
    num_records: int,
    shared_limit: int = cuda.SHARED_BYTES,
) -> tuple[KernelState, jax.Array]:
    """The CUDA kernel, threads for a block."""
    check_segment(case, arrays[4])
    library = host_block(case, shared_limit)

    def call(*given: np.ndarray) -> list[np.ndarray]:
        inputs = [np.ascontiguousarray(array) for array in given]
        outputs = poisoned(shapes)
        numbers = [int(value) for value in attributes(checks).values()]
        settings = np.array([inputs[8].shape[1], num_records, *numbers], np.int32)
        all_arrays = [ctypes.c_void_p(a) for a in pointers([*inputs, settings, *outputs])]
        library.run_blocks(ctypes.c_longlong(len(inputs[0])), *all_arrays)
        return outputs

    shapes = results(arrays[0], num_records)
    return unpack(jax.pure_callback(call, shapes, *operands(*arrays)))


def tpu_interpreted(
    case: Case, checks: Checks, *arrays: Any, num_records: int
) -> tuple[KernelState, jax.Array]:
    """The TPU kernel operation by operation, in blocks of 32 networks."""
    return tpu.train_segment(
        case, checks, *arrays, num_records=num_records, lanes=32, interpret=True
    )
