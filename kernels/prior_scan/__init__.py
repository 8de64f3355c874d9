"""Scans of a prior: draw networks, read their functions, count what they miss.

`plain` says what a scan is, in plain JAX. `cpu` draws the same random numbers and keeps
a network in the processor's cache, `cuda` in a GPU's shared memory; the latter has not run on
its hardware yet.
"""

from collections.abc import Callable

from sweep_engine.kernels.prior_scan import cpu, cuda, plain
from sweep_engine.kernels.prior_scan.case import Case, Found

SCAN: dict[str, Callable[..., Found]] = {"plain": plain.scan, "cpu": cpu.scan, "cuda": cuda.scan}
"""The implementations by name."""


def obstacle(case: Case, implementation: str) -> str | None:
    """Say why a kernel cannot scan a case, if it cannot."""
    if implementation == "cuda" and cuda.launch_of(case) is None:
        return "networks that do not fit a block's shared memory"
    return None


def build(case: Case, implementation: str) -> None:
    """Compile the kernel of a case, if that has not been done.

    Raises:
        CannotBuild: there is no compiler, or it refused; the message says what to do.
    """
    if implementation == "cuda":
        cuda.KERNEL.ptx(case)
    else:
        cpu.build(case)
