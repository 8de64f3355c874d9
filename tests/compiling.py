"""Compile in less time: without most of XLA's optimisations, by its former code generator.

JAX is imported late: the processes that watch over a Ray need none.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version

import pytest

HAS_FORMER = tuple(map(int, version("jax").split(".")[:2])) < (0, 11)
"""Says whether XLA has its former code generator: it ends a process that asks for it in vain."""

_OPTIONS: dict[str, int | bool | str] = {
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_disable_hlo_passes": "hlo-verifier",  # a check of XLA itself, a tenth of its time
} | ({"xla_cpu_use_fusion_emitters": False} if HAS_FORMER else {})

IN_A_PROCESS = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": " ".join(f"--{name}={str(value).lower()}" for name, value in _OPTIONS.items()),
}
"""Environment of a process whose programs compile like this one's in `quickly`."""


_FOR_LONG_RUNS: dict[str, int | bool | str] = _OPTIONS | {
    "xla_backend_optimization_level": 1,
    "xla_llvm_disable_expensive_passes": True,
}


@contextmanager
def quickly() -> Iterator[None]:
    """Compile so, here and in the processes that are started meanwhile."""
    import jax

    _Caches.hold = "quickly"
    flags = f"{os.environ.get('XLA_FLAGS', '')} {IN_A_PROCESS['XLA_FLAGS']}"
    jax.config.update("jax_disable_most_optimizations", True)
    with _with_options(_OPTIONS) as patch:  # it gives back these names alone, not HOME
        for name, value in (IN_A_PROCESS | {"XLA_FLAGS": flags}).items():
            patch.setenv(name, value)
        yield
    jax.config.update("jax_disable_most_optimizations", False)


@contextmanager
def for_long_runs() -> Iterator[None]:
    """Compile in half of a user's time programs that take no longer than a user's, in this process.

    Their bits are others. Splitting's 14 tests took 25 seconds of a processor so, 42 as users
    compile and 76 quickly.
    """
    with as_users_do("for long runs"), _with_options(_FOR_LONG_RUNS):
        yield


class _Caches:
    """JAX's in memory and the engine's, which do not ask how a program was compiled.

    Attributes:
        hold: How programs in them were compiled, the last of them.
    """

    hold = "quickly"


@contextmanager
def as_users_do(name: str = "as users do") -> Iterator[None]:
    """Compile with all optimisations, and use nothing that was compiled otherwise.

    Args:
        name: Of options that are added.
    """
    import jax

    from sweep_engine.execution.programs.kept import KEPT

    if _Caches.hold != name:  # to empty them takes a third of a second
        jax.clear_caches()
        KEPT.clear()
    _Caches.hold = name
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "0")
        yield


@contextmanager
def in_one_context() -> Iterator[None]:
    """Lower all programs in one MLIR context; JAX makes one for each, which takes some 5 ms."""
    from jax._src.interpreters import mlir

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlir, "make_ir_context", cache(mlir.make_ir_context))
        yield


@contextmanager
def _with_options(options: dict[str, int | bool | str]) -> Iterator[pytest.MonkeyPatch]:
    from jax._src import compiler

    make = compiler.get_compile_options

    def with_them(*args, **kwargs):
        made = make(*args, **kwargs)
        made.env_option_overrides = [*made.env_option_overrides, *options.items()]
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "get_compile_options", with_them)
        yield patch
