"""Measure how fast this machine is: two rates, in a moment, kept in the cache."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sweep_engine.caches import cache_folder
from sweep_engine.machine import processor

MATRIX, PRODUCTS = 128, 50
LENGTH, PASSES = 2**14, 200
"""Small enough to stay in a core's cache, and that no library takes several threads to them."""


@dataclass(frozen=True)
class Rates:
    """Hold what one core does in a second.

    Attributes:
        products: Floating-point operations of a product of matrices.
        elements: Additions of two arrays, element by element.
    """

    products: float
    elements: float


def rates() -> Rates:
    """Return this processor's rates: those that were kept, or measured now and kept."""
    known = _kept()
    if known is None:
        known = measured()
        _keep(known)
    return known


def measured() -> Rates:
    """Time small products, and passes over short arrays, by NumPy in processor time."""
    square, short = np.ones((MATRIX, MATRIX), np.float32), np.ones(LENGTH, np.float32)
    product, total = np.empty_like(square), np.empty_like(short)
    return Rates(
        products=2 * MATRIX**3 / _seconds(lambda: np.matmul(square, square, product), PRODUCTS),
        elements=LENGTH / _seconds(lambda: np.add(short, short, total), PASSES),
    )


def _seconds(call: Callable[[], object], times: int, repeats: int = 7) -> float:
    """Return what a call takes, by the quickest of several series: others may be at work here."""
    series = []
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(times):
            call()
        series.append(time.process_time() - began)
    return min(series) / times


def _kept() -> Rates | None:
    """Read what was kept of this processor; a home may be on several machines."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(_file().read_text())[processor()]
        return Rates(float(found["products"]), float(found["elements"]))
    return None


def _keep(known: Rates) -> None:
    """Keep it, if that can be done: to measure anew takes a moment."""
    others = {}
    with suppress(OSError, ValueError):
        others = dict(json.loads(_file().read_text()))
    with suppress(OSError):
        _file().write_text(json.dumps(others | {processor(): asdict(known)}))


def _file() -> Path:
    return cache_folder("rates") / "rates.json"
