"""C++ sources built at first use with the system's compiler, and kept between processes."""

import ctypes
import functools
import hashlib
import platform
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import jax

from sweep_engine import stopping
from sweep_engine.caches import cache_folder

COMPILERS = ("c++", "g++", "clang++")
FLAGS = (
    "-std=gnu++20", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno",
    "-fno-trapping-math", "-fPIC", "-shared", "-w",
)  # fmt: skip
BUILD_SECONDS = 600
_compilers: set[int] = set()
"""The process groups of those that are running."""

_FOLDER = Path(__file__).parent


class CannotBuild(RuntimeError):
    """There is no compiler, or it refused; the message says what to do."""


def build(main: Path, folders: Sequence[Path], defines: Sequence[str]) -> Path:
    """Build the library of one source file, if that has not been done for this processor.

    What was built is found again by the content of the sources, the flags, the compiler and
    the processor, in a folder that is readable by this user alone: it is trusted code.

    Args:
        main: What is compiled.
        folders: Where the headers lie that it includes, beside those of this folder.
        defines: NAME=VALUE of each macro.

    Returns:
        The library; its name holds the digest of all that.

    Raises:
        CannotBuild: no compiler is on PATH, or it failed, or there is nowhere to write.
    """
    compiler = find_compiler()
    command = [compiler, *FLAGS, *(f"-D{define}" for define in defines)]
    folders = [_FOLDER, *folders]
    headers = [path for folder in folders for path in sorted(folder.glob("*.h"))]
    includes = [f"-I{folder}" for folder in (jax.ffi.include_dir(), *folders)]
    identity = (*command, _version(compiler), jax.__version__, _processor())
    content = b"".join(path.read_bytes() for path in (main, *headers))
    digest = hashlib.sha256("\0".join(identity).encode() + content).hexdigest()[:32]
    try:
        built = cache_folder("native") / f"{main.parent.parent.name}-{digest}.so"
        if not built.is_file():
            _build([*command, *includes, str(main)], built)
    except OSError as error:
        raise CannotBuild(f"the kernel's library cannot be kept: {error}") from error
    return built


def load(built: Path) -> ctypes.CDLL:
    """Load what was built.

    Raises:
        CannotBuild: this process cannot load it.
    """
    try:
        return ctypes.CDLL(str(built))
    except OSError as error:
        raise CannotBuild(f"the kernel's library cannot be loaded: {error}") from error


@functools.cache
def register(built: Path, function: str) -> str:
    """Make a function of a library known to XLA, and tell its name there.

    Raises:
        CannotBuild: this process cannot load it.
    """
    name = f"sweep_engine_{function}_{built.stem}"  # XLA's compilation cache goes by the name
    handler = jax.ffi.pycapsule(getattr(load(built), function))
    jax.ffi.register_ffi_target(name, handler, platform="cpu")
    return name


def find_compiler() -> str:
    """Find a C++ compiler on PATH.

    Raises:
        CannotBuild: there is none.
    """
    for name in COMPILERS:
        found = shutil.which(name)
        if found is not None:
            return found
    raise CannotBuild(
        f"no C++ compiler ({', '.join(COMPILERS)}) is on PATH; install one, for example with "
        "'apt-get install g++'"
    )


def _build(command: list[str], built: Path) -> None:
    """Compile to a file beside the final one, then rename: others see all of it or nothing."""
    temporary = built.with_name(f"{built.name}.{secrets.token_hex(8)}.tmp")
    try:
        code, said = _compile([*command, "-o", str(temporary)])
        if code:
            raise CannotBuild(f"the compiler failed: {command[0]}\n{said[-2000:]}")
        temporary.replace(built)
    except subprocess.TimeoutExpired as error:
        raise CannotBuild(f"the compiler took more than {BUILD_SECONDS} s") from error
    finally:
        temporary.unlink(missing_ok=True)


def _compile(command: list[str]) -> tuple[int, str]:
    """Run a compiler; returns its exit code and what it said.

    It starts others that do the work. All end with it, whatever ends it, and with this process.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as compiler:  # fmt: skip
        _compilers.add(compiler.pid)
        try:
            with stopping.ending(lambda: stopping.end_group(compiler.pid)):
                said = compiler.communicate(timeout=BUILD_SECONDS)[1]
        except BaseException:
            stopping.end_group(compiler.pid)
            raise
        finally:
            _compilers.discard(compiler.pid)
        return compiler.returncode, said


def end_compilers() -> None:
    """End the compilers that this process has started: their `build` raises CannotBuild."""
    for compiler in tuple(_compilers):
        stopping.end_group(compiler)


@functools.cache
def _version(compiler: str) -> str:
    command = [compiler, "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@functools.cache
def _processor() -> str:
    """What `-march=native` depends on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    wanted = ("model name", "flags", "Features", "CPU part")
    found = {line for line in lines if line.startswith(wanted)}
    return "\n".join([platform.machine(), platform.processor(), *sorted(found)])
