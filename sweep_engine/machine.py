"""This process on its machine: the cores and memory that it may use, and its garbage."""

import gc
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from threading import Lock

ROOT = Path("/")
"""Where `proc` and `sys` are; a test has others."""

_NO_LIMIT = 2**60
"""Version 1 of control groups says so, or nearly so, where memory has no limit."""


def usable_cores() -> int:
    """Count the cores that this process may keep busy, one at least.

    A part of a core is left out, as Ray does: a thread too many makes all of them wait once
    the quota of a period is used up.
    """
    quotas = [*_quotas_v2(), *_quotas_v1()]
    return max(1, int(min([len(os.sched_getaffinity(0)), *quotas])))


def usable_memory() -> int:
    """Return the bytes that this process may have at most: the machine's or its container's."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [*_numbers("memory.max", ""), *_numbers("memory.limit_in_bytes", "memory")]
    return int(min([whole, *(limit for limit in limits if 0 < limit < _NO_LIMIT)]))


def processor() -> str:
    """Return the processor's name as its maker gives it."""
    lines = _read(ROOT / "proc/cpuinfo").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def second_level_cache() -> int | None:
    """Return the bytes of a core's second-level cache; None where the system does not say."""
    for cache in (ROOT / "sys/devices/system/cpu/cpu0/cache").glob("index*"):
        size = _read(cache / "size")
        if _read(cache / "level") == "2" and size.endswith("K"):
            return 1024 * int(size.removesuffix("K"))
    return None


def _quotas_v2() -> Iterator[float]:
    for folder in _groups(""):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            yield int(quota) / int(period)


def _quotas_v1() -> Iterator[float]:
    for folder in _groups("cpu"):
        quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota.isdigit() and period.isdigit():  # -1 is none
            yield int(quota) / int(period)


def _numbers(name: str, controller: str) -> Iterator[int]:
    for folder in _groups(controller):
        if (text := _read(folder / name)).isdigit():
            yield int(text)


def _groups(controller: str) -> Iterator[Path]:
    """List the folders of this process's control groups, from its own up to the root.

    In a container the file may name groups as the host sees them, of which only the upper
    folders, or only the root, are there: so all are tried.

    Args:
        controller: Of version 1; empty for version 2, which has one tree for all.
    """
    for line in _read(ROOT / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        mounted = ROOT / "sys/fs/cgroup"
        for mount in dict.fromkeys((controllers, controller)):
            group = PurePosixPath(path.lstrip("/"))
            yield from (mounted / mount / part for part in (group, *group.parents))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile, where very many objects are made to stay.

    Python would go through all that there are, JAX's too, again and again, and find nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_SETTLED = Lock()  # held meanwhile: to ask Python walks through all that it has frozen


def is_settled() -> bool:
    """Say whether `settled` leaves objects out of collections now."""
    return _SETTLED.locked()


@contextmanager
def settled() -> Iterator[None]:
    """Look for garbage among new objects alone meanwhile: what is there by now stays.

    JAX and what it has traced are hundreds of thousands of objects, through which Python would go
    again and again.
    """
    if not _SETTLED.acquire(blocking=False):  # who has done so already shall not find it undone
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        _SETTLED.release()
