"""Accelerators by name, as their makers describe them: for machines that have none.

Nothing here is measured. Memory and rates are those of the data sheets; a program has some
tenths less of the memory, since drivers and the compiled programs take theirs.
"""

from dataclasses import dataclass

USABLE_SHARE = 0.75
"""JAX takes so much of a GPU's memory unless told otherwise; of a TPU's a little more."""

PASSES = 6
"""Products of bfloat16 that make one of float32 at full precision on a TPU."""


@dataclass(frozen=True)
class Device:
    """One device, as its maker describes it.

    Attributes:
        title: Its name in prose.
        platform: What JAX calls its kind: `gpu` or `tpu`.
        memory_bytes: Of its own memory.
        bytes_per_second: Of that memory, read and written.
        float32_flops: A second, of products in float32 at full precision.
    """

    title: str
    platform: str
    memory_bytes: float
    bytes_per_second: float
    float32_flops: float

    @property
    def usable_bytes(self) -> float:
        """Give the share of the memory that programs and their arrays can have, in bytes."""
        return USABLE_SHARE * self.memory_bytes


DEVICES = {
    "h100": Device("NVIDIA H100 SXM", "gpu", 80e9, 3.35e12, 67e12),
    "h200": Device("NVIDIA H200", "gpu", 141e9, 4.8e12, 67e12),
    "v5e": Device("TPU v5e", "tpu", 16e9, 0.819e12, 197e12 / PASSES),
    "v6e": Device("TPU v6e", "tpu", 32e9, 1.64e12, 918e12 / PASSES),
}
"""By the name that `plan --for` takes."""
