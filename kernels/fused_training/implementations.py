"""The implementations of a training segment by name, and what each of them is for."""

from collections.abc import Callable
from typing import Any, Literal

from sweep_engine.kernels.fused_training import cpu, cuda, plain, tpu
from sweep_engine.kernels.fused_training.case import Case, KernelState
from sweep_engine.kernels.fused_training.cuda.launch import launch_of
from sweep_engine.kernels.native import CannotBuild

Implementation = Literal["plain", "cpu", "cpu_tiny", "cuda", "tpu"]
Train = Callable[..., tuple[KernelState, Any]]

TRAIN: dict[str, Train] = {
    "plain": plain.train_segment,
    "cpu": cpu.train_segment,
    "cpu_tiny": cpu.train_tiny_segment,
    "cuda": cuda.train_segment,
    "tpu": tpu.train_segment,
}
PLATFORMS = {"cpu": "cpu", "cpu_tiny": "cpu", "cuda": "gpu", "tpu": "tpu"}
"""What JAX calls the device that a kernel is for."""

UNVERIFIED = ("cuda", "tpu")
"""Kernels that have not run on their hardware yet."""

MOST_WIDTH = {"cpu": 1024, "cuda": 512, "tpu": 128}
"""Layers wider than this leave the cache, or the shared memory, and XLA's products win. On a TPU
they fill its matrix unit, which the kernel leaves idle."""

KNOW_CONVOLUTIONS = ("plain", "cpu", "cuda")
KNOW_BLOCKS = ("plain", "cpu")
"""List the implementations that know convolutions; norms and residual connections."""

MOST_UNITS = {"cpu": 2**14}
"""Bounds the outputs for an example: more leave the second-level cache."""

MOST_PARAMS = {"cpu_tiny": 512}
"""As many times a vector of parameters, gradients and moments leave the first-level cache."""


def obstacle(case: Case, implementation: str) -> str | None:
    """Say why a kernel cannot train a case, if it cannot."""
    if unknown := _unknown(case, implementation):
        return unknown
    if case.num_params > (most := MOST_PARAMS.get(implementation, case.num_params)):
        return f"networks of more than {most} parameters"
    widths = case.widths[1:] if case.convolutions else case.widths
    if max(widths) > (most := MOST_WIDTH.get(implementation, max(widths))):
        return f"layers of more than {most} units"
    units = max(layer.channels * layer.positions for layer in case.layers)
    if units > (most := MOST_UNITS.get(implementation, units)):
        return f"convolutions of more than {most} units"
    if implementation == "cuda" and launch_of(case) is None:
        return "networks that do not fit a block's shared memory"
    if implementation == "tpu" and tpu.block_bytes(case) > tpu.MOST_BYTES:
        return f"blocks of more than {tpu.MOST_BYTES / 2**20:.0f} MiB"
    return None


def _unknown(case: Case, implementation: str) -> str | None:
    if case.convolutions and implementation not in KNOW_CONVOLUTIONS:
        return "convolutions"
    if implementation in KNOW_BLOCKS:
        return None
    if case.residual:
        return "residual connections"
    return "norms" if case.norm else None


def build(case: Case, implementation: str) -> None:
    """Compile the kernel of a case, if that has not been done.

    Raises:
        CannotBuild: there is no compiler, or it refused; the message says what to do.
    """
    match implementation:
        case "cpu":
            cpu.build(case)
        case "cpu_tiny":
            cpu.build(case, is_tiny=True)
        case "cuda":
            cuda.KERNEL.ptx(case)


def check_platform(implementation: str, platform: str) -> None:
    """Raise CannotBuild unless a kernel is for a platform, as JAX names it."""
    wanted = PLATFORMS[implementation]
    if platform != wanted:
        raise CannotBuild(f"the {implementation} kernel needs a {wanted}, and this is a {platform}")
