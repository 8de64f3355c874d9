"""What the native kernels are built with, where it is there."""

import shutil

import pytest

from sweep_engine.kernels.native import COMPILERS, CannotBuild, nvrtc

NO_COMPILER = "NO C++ COMPILER: the native kernels are not built"

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason=NO_COMPILER)


def _has_nvrtc() -> bool:
    try:
        return bool(nvrtc.load_nvrtc())
    except CannotBuild:
        return False


needs_nvrtc = pytest.mark.skipif(
    not _has_nvrtc(), reason="NO NVRTC: the CUDA kernels are not compiled"
)
"""Skip where there is no NVRTC. It needs no GPU, and is installed on Linux on x86-64 processors."""
