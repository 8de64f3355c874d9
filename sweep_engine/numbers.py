"""How numbers and their intervals are printed."""

import math
from collections.abc import Sequence
from decimal import Decimal


def format_interval(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Print an estimate and its interval with the digits that the interval supports.

    Two digits of the interval's width are kept; without a finite interval, three of the
    value. All numbers of one estimate have equally many decimals and one power of ten.

    >>> format_interval(0.12407, 0.1178, 0.1312)
    '0.124 (0.118 to 0.131)'
    >>> format_interval(math.inf, 3.2, math.inf)
    '∞ (3.20 to ∞)'
    >>> format_interval(2.31e-23)
    '2.31e−23'
    """
    shown, *ends = _printed(value, low, high)
    return shown if math.isnan(low) or math.isnan(high) else f"{shown} ({ends[0]} to {ends[1]})"


def format_bound(value: float, low: float) -> str:
    """Print a lower bound, whose interval has no upper end.

    >>> format_bound(0.5312, 0.4178)
    '0.53 (0.42 or more)'

    Args:
        value: NaN where only the low end is known.
        low: Of the interval.
    """
    shown, least = _printed(value, low, value)[:2]
    return f"at least {least}" if math.isnan(value) else f"{shown} ({least} or more)"


def format_beside(numbers: Sequence[float], low: float, high: float) -> list[str]:
    """Print numbers with as many decimals as an interval of their difference supports.

    >>> format_beside([11.8731, 13.0412], -1.3127, -0.9104)
    ['11.87', '13.04']

    Args:
        numbers: In the interval's unit.
        low: Of the interval.
        high: Of the interval.
    """
    power = _common_power(*numbers)
    decimals = max(_decimals(number, low, high, power) for number in numbers)
    texts = [_format(number, power, decimals) for number in numbers]
    return [  # what would be shown as 0 and is none has digits of its own
        text if text.strip("−0.") or not number else format_interval(number)
        for number, text in zip(numbers, texts, strict=True)
    ]


def _printed(value: float, low: float, high: float) -> list[str]:
    power = _common_power(value, low, high)
    decimals = _decimals(value, low, high, power)
    return [_format(number, power, decimals) for number in (value, low, high)]


def _finite(*numbers: float) -> list[float]:
    return [number for number in numbers if math.isfinite(number)]


def _magnitude(number: float) -> int:
    """Exponent of the leading digit; 0 for zero."""
    return math.floor(math.log10(abs(number))) if number else 0


def _common_power(*numbers: float) -> int:
    """Power of ten to print apart, for numbers that are very small or large."""
    leading = _magnitude(max(map(abs, _finite(*numbers)), default=0.0))
    return leading if leading < -4 or leading >= 7 else 0


def _decimals(value: float, low: float, high: float, power: int) -> int:
    """Decimals to print after dividing by 10^power."""
    width = high - low
    if math.isfinite(width) and width > 0:
        decimals = 1 - _magnitude(width)
    else:
        decimals = 2 - max(map(_magnitude, _finite(value, low, high)), default=0)
    return min(max(decimals + power, 0), 12)


def _format(number: float, power: int, decimals: int) -> str:
    if math.isnan(number):
        return "not available"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    text = f"{Decimal(number).scaleb(-power):,.{decimals}f}"
    if not text.strip("-0."):
        text = text.lstrip("-")
    return (text if power == 0 else f"{text}e{power}").replace("-", "−")
