"""Scans of a prior: draw networks, read their functions, count what they miss.

`plain` says what a scan is, in plain JAX; `cpu` draws the same random numbers and keeps
a network in the processor's cache.
"""

from collections.abc import Callable

from sweep_engine.kernels.prior_scan import cpu, plain
from sweep_engine.kernels.prior_scan.case import Found

SCAN: dict[str, Callable[..., Found]] = {"plain": plain.scan, "cpu": cpu.scan}
"""The implementations by name."""
