"""Kernels called without XLA by ctypes, so that outputs can be spoilt before; or interpreted."""

import ctypes
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sweep_engine.kernels import native
from sweep_engine.kernels.fused_training import cpu, cuda, tpu
from sweep_engine.kernels.fused_training.arrays import attributes, operands, results, unpack
from sweep_engine.kernels.fused_training.case import Case, Checks, KernelState, check_segment
from sweep_engine.kernels.native.launch import Launch
from tests.kernels.host import build_on_host

POISON = 0x7FDEAD01  # a NaN as float32, and no plausible integer
HOST_LAUNCH = Launch(threads=2, networks=2, tile=48)
"""None of the results' meaning depends on it. Cases of 128 and 51 examples take several tiles."""


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


def cuda_on_host(
    case: Case,
    checks: Checks,
    *arrays: Any,
    num_records: int,
    launch: Launch = HOST_LAUNCH,
) -> tuple[KernelState, jax.Array]:
    """The CUDA kernel, threads for blocks of two networks."""
    check_segment(case, arrays[4])
    library = build_on_host(
        cuda.KERNEL.source(case, launch), Path(__file__).with_name("host_training.cc")
    )

    def call(*given: np.ndarray) -> list[np.ndarray]:
        inputs = [np.ascontiguousarray(array) for array in given]
        outputs = poisoned(shapes)
        numbers = [int(value) for value in attributes(checks).values()]
        num_runs = len(inputs[0])
        settings = np.array([num_runs, inputs[8].shape[1], num_records, *numbers], np.int32)
        all_arrays = [ctypes.c_void_p(a) for a in pointers([*inputs, settings, *outputs])]
        library.run(ctypes.c_longlong(num_runs), *all_arrays)
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
