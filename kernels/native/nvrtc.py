"""CUDA sources compiled in this process by NVRTC, which needs neither a GPU nor a toolkit."""

import ctypes
import ctypes.util
import functools
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from sweep_engine.kernels.native import CannotBuild

FLAGS = ("--std=c++17", "--device-as-default-execution-space")
PTX_VERSION = "8.0"
"""Let drivers of CUDA 12.0 and later take the PTX: these sources use nothing that has come since.
NVRTC names its own version, which older drivers refuse."""

NONE_SPILT = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"


def compile_ptx(source: str, architecture: str) -> str:
    """Compile to PTX for a virtual architecture, such as `compute_90`.

    Raises:
        CannotBuild: there is no NVRTC, or the source does not compile.
    """
    ptx = _compile(source, (f"--gpu-architecture={architecture}",), "PTX")[0].decode()
    return re.sub(r"^\.version .*", f".version {PTX_VERSION}", ptx, count=1, flags=re.MULTILINE)


def registers(source: str, architecture: str) -> int:
    """Count the registers of a thread on a GPU, such as `sm_90`.

    Raises:
        CannotBuild: as `compile_ptx`; or some do not fit, and memory stands in for them.
    """
    options = (f"--gpu-architecture={architecture}", "--ptxas-options=-v")
    said = _compile(source, options, "CUBIN")[1]
    used = re.search(r"Used (\d+) registers", said)
    if used is None or NONE_SPILT not in said:
        raise CannotBuild(f"registers are spilt to memory:\n{said[-2000:]}")
    return int(used[1])


def version() -> str:
    """Tell NVRTC's version.

    Raises:
        CannotBuild: there is none.
    """
    major, minor = ctypes.c_int(), ctypes.c_int()
    load_nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def _compile(source: str, options: Sequence[str], product: str) -> tuple[bytes, str]:
    library = load_nvrtc()
    program = ctypes.c_void_p()
    made = library.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None
    )
    if made:
        raise CannotBuild(f"NVRTC refused to begin: error {made}")
    try:
        flags = [flag.encode() for flag in (*FLAGS, *options)]
        failed = library.nvrtcCompileProgram(
            program, len(flags), (ctypes.c_char_p * len(flags))(*flags)
        )
        log = _get(library, program, "ProgramLog").rstrip(b"\0").decode()
        if failed:
            raise CannotBuild(f"NVRTC failed:\n{log[-2000:]}")
        return _get(library, program, product).rstrip(b"\0"), log
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _get(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    """Copy one of a program's texts out of NVRTC: first its size is asked for, then it."""
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, text)
    return text.raw


@functools.cache
def load_nvrtc() -> ctypes.CDLL:
    """Load NVRTC: NVIDIA's wheel, which comes with `jax[cuda13]`, else the system's.

    Raises:
        CannotBuild: there is none.
    """
    spec = importlib.util.find_spec("nvidia")
    folders = (spec.submodule_search_locations or []) if spec else []
    wheels = [path for folder in folders for path in Path(folder).glob("*/lib/libnvrtc.so.*")]
    system = ctypes.util.find_library("nvrtc")
    for name in [*map(str, sorted(wheels)), *([system] if system else [])]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise CannotBuild(
        "no NVRTC: the cuda kernel is compiled by it; it comes with the extra cuda13, or by "
        "'pip install nvidia-cuda-nvrtc'"
    )
