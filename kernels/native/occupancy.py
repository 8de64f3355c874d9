"""Counts the blocks that a multiprocessor of compute capability 9.0 (H100, H200) holds at once.

The limits are those of "Technical Specifications per Compute Capability" in NVIDIA's CUDA C++
Programming Guide, and the formula is that of `cuda_occupancy.h` in its toolkit: registers are
given to warps in units of 256, in four parts of the multiprocessor; shared memory in units of
128 bytes, of which each block has 1 KiB more than it asks for.
"""

from math import ceil

WARP = 32
SHARED_BYTES = 227 * 1024
"""Of one block, at most."""

_WARPS, _BLOCKS, _PARTS = 64, 32, 4
_REGISTERS, _REGISTER_UNIT = 2**16, 256
_SHARED_BYTES, _SHARED_UNIT, _RESERVED_BYTES = 228 * 1024, 128, 1024


def blocks_at_once(threads: int, registers: int, shared_bytes: int) -> int:
    """Count the blocks of a kernel that are on a multiprocessor at once.

    >>> blocks_at_once(threads=128, registers=128, shared_bytes=72_248)
    3

    Args:
        threads: Of a block.
        registers: Of a thread.
        shared_bytes: Of a block.
    """
    if shared_bytes > SHARED_BYTES:
        return 0
    warps = ceil(threads / WARP)
    of_warp = _REGISTER_UNIT * ceil(registers * WARP / _REGISTER_UNIT)
    by_registers = _REGISTERS // _PARTS // of_warp * _PARTS // warps
    of_block = _SHARED_UNIT * ceil((shared_bytes + _RESERVED_BYTES) / _SHARED_UNIT)
    return min(_BLOCKS, _WARPS // warps, by_registers, _SHARED_BYTES // of_block)


def occupancy(threads: int, registers: int, shared_bytes: int) -> float:
    """Return the share of a multiprocessor's places for warps that blocks of a kernel take.

    Args:
        threads: Of a block.
        registers: Of a thread.
        shared_bytes: Of a block.
    """
    return blocks_at_once(threads, registers, shared_bytes) * ceil(threads / WARP) / _WARPS
