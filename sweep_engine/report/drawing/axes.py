"""An axis of a panel: its label, its scale, what has a place on it."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[Any]
Scale: TypeAlias = Literal["linear", "log", "symlog"]

WIDE = 100.0
"""Positive values over more than this factor are drawn on a logarithmic axis."""


def scale_of(values: Values) -> Scale:
    """Choose the scale on which values can be told apart; those that are not finite have no say."""
    shown = values[np.isfinite(values)]
    if len(shown) == 0:
        return "linear"
    return "log" if shown.min() > 0 and shown.max() > WIDE * shown.min() else "linear"


@dataclass(frozen=True)
class DrawnAxis:
    """One axis of a panel.

    Attributes:
        label: The quantity, with its unit.
        scale: `symlog` is asinh(value / linear_width): linear near 0, logarithmic far out.
        limits: The ends shown; chosen from the data where absent.
        categories: Names of the positions 0, 1, 2, ...
        linear_width: Half the width of the linear part of a `symlog` axis.
    """

    label: str
    scale: Scale = "linear"
    limits: tuple[float, float] | None = None
    categories: tuple[str, ...] | None = None
    linear_width: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.limits or (1.0, 2.0)
        if not (np.isfinite([low, high]).all() and low < high):
            raise ValueError(f"axis {self.label!r}: expected limits low < high, got {self.limits}")
        if self.scale == "log" and low <= 0:
            raise ValueError(f"axis {self.label!r}: log limits must be positive: {self.limits}")
        if self.linear_width <= 0:
            raise ValueError(f"axis {self.label!r}: linear_width must be positive")

    def shows(self, values: Values) -> NDArray[np.bool_]:
        """Tell which values have a place on the axis."""
        low, high = self.limits or (-np.inf, np.inf)
        shown = np.isfinite(values) & (values >= low) & (values <= high)
        return shown & (values > 0) if self.scale == "log" else shown

    def ends(self, low: Values, high: Values, *drawn: Values) -> tuple[Values, Values]:
        """Bring ends of intervals that have no place on the axis to its outskirts.

        Infinite ends go to the outermost finite value; on a log axis, where an end may also
        be 0, they go to half and to twice that value. NaN stays NaN.

        Args:
            low: Lower ends.
            high: Upper ends.
            *drawn: What is drawn with them.
        """
        log = self.scale == "log"
        pool = np.concatenate([low, high, *drawn])
        pool = pool[np.isfinite(pool) & ((pool > 0) | (not log))]
        if not pool.size:
            return low, high
        margin = 2 if log else 1
        first, last = pool.min() / margin, pool.max() * margin
        return np.clip(low, first, last), np.clip(high, first, last)

    @property
    def symlog_ticks(self) -> tuple[list[float], list[str]]:
        """Zero and the decades on both sides: values, and how to print them."""
        decades = [self.linear_width * 10.0**k for k in range(16)]
        ticks = [-d for d in reversed(decades)] + [0.0] + decades
        return ticks, [_tick_text(tick) for tick in ticks]


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: int) -> str:
    """Print a power of ten in plain Unicode.

    >>> power_of_ten(-12)
    '10⁻¹²'
    """
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def _tick_text(value: float) -> str:
    exponent = np.log10(abs(value)) if value else 0.0
    if abs(exponent) < 4 or exponent != round(exponent):
        return f"{value:g}".replace("-", "−")
    return ("−" if value < 0 else "") + power_of_ten(round(exponent))
