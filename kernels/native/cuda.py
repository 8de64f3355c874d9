"""CUDA kernels of networks that share blocks: from a case to its source, its PTX and a call."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import jax
import numpy as np

from sweep_engine.kernels.native import CannotBuild, nvrtc
from sweep_engine.kernels.native.launch import Launch, network_bytes, spare_floats

_COMMON = Path(__file__).parent / "block.cuh"
_TARGET = "__gpu$xla.gpu.ptx"


class Case(Protocol):
    """Say what is fixed when a kernel is compiled; two that are equal are compiled once."""

    @property
    def num_params(self) -> int:
        """Count a network's parameters."""

    def __hash__(self) -> int: ...


C = TypeVar("C", bound=Case)


@dataclass(frozen=True)
class CudaKernel(Generic[C]):
    """Compiles a kernel for each case, and calls it.

    Attributes:
        name: Of the function in the source.
        main: The source's own file.
        macros: Names what a case is compiled with.
        launch_of: Chooses the launch of a case; None if a network fits no block.
        floats: Counts what a network takes of the shared memory, by threads and tile.
        headers: Lists what stands before the source's own file, by case.
    """

    name: str
    main: Path
    macros: Callable[[C], Mapping[str, str]]
    launch_of: Callable[[C], Launch | None]
    floats: Callable[[C, int, int], int]
    headers: Callable[[C], Sequence[Path]] = lambda _: ()

    def network_bytes(self, case: C, launch: Launch) -> int:
        """Return the size of a network's part of the shared memory: `Shared` in the source."""
        return network_bytes(launch.threads, self.floats(case, launch.threads, launch.tile))

    def shared_bytes(self, case: C, launch: Launch) -> int:
        """Return the size of a block's shared memory."""
        return launch.networks * self.network_bytes(case, launch)

    def source(self, case: C, launch: Launch) -> str:
        """Put a source together: the values of macros, what kernels share, its own files."""
        floats = self.floats(case, launch.threads, launch.tile)
        own = {
            "THREADS": launch.threads,
            "NETWORKS": launch.networks,
            "BLOCKS": launch.blocks,
            "TILE": launch.tile,
            "NETWORK_BYTES": self.network_bytes(case, launch),
            "SPARE": spare_floats(launch.threads, floats),
        }
        values = {**self.macros(case), **{f"SWEEP_{name}": value for name, value in own.items()}}
        lines = [f"#define {name} {value}\n" for name, value in values.items()]
        files = (_COMMON, *self.headers(case), self.main)
        return "".join([*lines, *(file.read_text() for file in files)])

    def ptx(self, case: C) -> str:
        """Compile a case to PTX for compute capability 9.0 and later.

        Raises:
            CannotBuild: there is no NVRTC, or it failed, or the network fits no block.
        """
        return _ptx(self, case)

    def call(self, case: C, count: int, results: Any, *operands: Any) -> Any:
        """Call the kernel; inside `jax.jit` too, on an NVIDIA GPU alone.

        XLA takes PTX through an internal interface; a version without it refuses the call.

        Args:
            case: What it is compiled for.
            count: Of networks.
            results: Shapes of what it writes, which it takes after what it reads.
            operands: What it reads.

        Raises:
            CannotBuild: as `ptx`.
        """
        launch = _fitting(self, case)
        sizes = {
            **{"grid_x": -(-count // launch.networks), "grid_y": 1, "grid_z": 1},
            **{"block_x": launch.networks * launch.threads, "block_y": 1, "block_z": 1},
            "shared_mem_bytes": self.shared_bytes(case, launch),
        }
        return jax.ffi.ffi_call(_TARGET, results)(
            *operands,
            name=self.name,
            kernel_type="ptx",
            kernel_data=self.ptx(case),
            **{size: np.int32(value) for size, value in sizes.items()},
        )


@functools.cache
def _ptx(kernel: CudaKernel[Any], case: Case) -> str:
    return nvrtc.compile_ptx(kernel.source(case, _fitting(kernel, case)), "compute_90")


def _fitting(kernel: CudaKernel[Any], case: Case) -> Launch:
    launch = kernel.launch_of(case)
    if launch is None:
        raise CannotBuild(f"a network of {case.num_params:,} parameters fits no block of the GPU")
    return launch
