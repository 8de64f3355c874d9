"""Compiling in half the time: without most of XLA's optimisations, by its former code generator.

JAX is imported late: the processes that watch over a Ray need none.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version

import pytest

HAS_FORMER = tuple(map(int, version("jax").split(".")[:2])) < (0, 11)
"""Says whether XLA has its former code generator: it ends a process that asks for it in vain."""

_OPTIONS = {"xla_cpu_parallel_codegen_split_count": 1} | (
    {"xla_cpu_use_fusion_emitters": False} if HAS_FORMER else {}
)

IN_A_PROCESS = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": " ".join(f"--{name}={str(value).lower()}" for name, value in _OPTIONS.items()),
}
"""Environment of a process whose programs compile like this one's in `quickly`."""


@contextmanager
def quickly() -> Iterator[None]:
    """Compile so, here and in the processes that are started meanwhile."""
    import jax
    from jax._src import compiler

    flags = f"{os.environ.get('XLA_FLAGS', '')} {IN_A_PROCESS['XLA_FLAGS']}"
    options = partial(_with_options, compiler.get_compile_options)
    jax.config.update("jax_disable_most_optimizations", True)
    with pytest.MonkeyPatch.context() as patch:  # it gives back these names alone, not HOME
        for name, value in (IN_A_PROCESS | {"XLA_FLAGS": flags}).items():
            patch.setenv(name, value)
        patch.setattr(compiler, "get_compile_options", options)
        yield
    jax.config.update("jax_disable_most_optimizations", False)


@contextmanager
def as_users_do() -> Iterator[None]:
    """Compile with all optimisations, and use nothing that was compiled otherwise."""
    import jax

    jax.clear_caches()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "0")
        yield


def _with_options(make, *args, **kwargs):
    options = make(*args, **kwargs)
    options.env_option_overrides = [*options.env_option_overrides, *_OPTIONS.items()]
    return options
