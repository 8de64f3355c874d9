"""What the native kernels are built with, where it is there."""

import shutil

import pytest

from sweep_engine.kernels.native import COMPILERS

NO_COMPILER = "NO C++ COMPILER: the native kernels are not built"

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason=NO_COMPILER)
