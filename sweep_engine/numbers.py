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
    return _alike(numbers, power, max(_decimals(each, low, high, power) for each in numbers))


def format_range(ends: Sequence[tuple[float, float, float]]) -> list[str]:
    """Print estimates of several settings, as the ends of a range, with equally many decimals.

    The widest interval tells how many; more only where two would read alike, or as 0.

    >>> format_range([(0.32101, 0.29, 0.35), (0.348217, 0.3479, 0.3485)])
    ['0.321', '0.348']
    >>> format_range([(19.93, 12.0, 25.0), (20.31, 20.30, 20.32)])
    ['19.9', '20.3']

    Args:
        ends: Value, low and high of each estimate.
    """
    values = [value for value, _, _ in ends]
    power = _common_power(*values)
    return _alike(values, power, min(_decimals(*each, power) for each in ends))


def format_ends(low: float, high: float) -> str:
    """Print an interval by itself, in a table of all numbers: three digits of its width.

    >>> format_ends(0.321, 0.34821)
    '0.3210 to 0.3482'
    """
    if math.isnan(low) and math.isnan(high):
        return _format(low, 0, 0)
    return " to ".join(_printed(low, low, high, digits=3)[1:])


MORE_DECIMALS = 2
"""How many there may be beyond those that the intervals support."""


def _alike(numbers: Sequence[float], power: int, decimals: int) -> list[str]:
    """Print numbers with equally many decimals, enough to tell them apart and from 0."""
    num_values = len(set(numbers))
    for more in range(MORE_DECIMALS + 1):
        texts = [_format(number, power, decimals + more) for number in numbers]
        if len(set(texts)) == num_values and not any(map(_vanishes, numbers, texts)):
            return texts
    texts = [_format(number, power, decimals) for number in numbers]
    return [
        format_interval(number) if _vanishes(number, text) else text
        for number, text in zip(numbers, texts, strict=True)
    ]


def _vanishes(number: float, text: str) -> bool:
    """Say whether a number that is not 0 is shown as 0."""
    return bool(number) and not text.partition("e")[0].strip("−0.")


def _printed(value: float, low: float, high: float, digits: int = 2) -> list[str]:
    power = _common_power(value, low, high)
    decimals = _decimals(value, low, high, power, digits)
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


def _decimals(value: float, low: float, high: float, power: int, digits: int = 2) -> int:
    """Decimals to print after dividing by 10^power, for so many digits of the width."""
    width = high - low
    if math.isfinite(width) and width > 0:
        decimals = digits - 1 - _magnitude(width)
    else:
        decimals = digits - max(map(_magnitude, _finite(value, low, high)), default=0)
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
