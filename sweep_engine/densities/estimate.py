"""The one record every comparison returns: a number, its interval, and what they rest on."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

from sweep_engine.numbers import format_ends
from sweep_engine.shown import ShortTable, Shown

SMALLEST_P = 1e-300
"""No p-value is below this: what underflows is a bound, not a zero."""


class Answering(Protocol):
    """The answer that an estimate is a part of: `densities.answer.Answer`."""

    @property
    def sentence(self) -> str:
        """The answer in words."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Estimators that could not be used, each with its reason."""

    def plot(self) -> Any:
        """Draw both laws."""


class Interval(NamedTuple):
    """A value between two bounds, all in the same unit; a bound may be infinite."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Estimate(Shown):
    """A number with an interval, and everything needed to judge it.

    Arrays for plots are not estimates: they have result types of their own.

    Example:
        >>> coin = Estimate(name="probability", value=0.5, low=0.4, high=0.6, num_source=100,
        ...                 n_eff_source=100.0, unit="1", method="fixed draws, Clopper-Pearson")
        >>> Estimate.from_dict(coin.to_dict()) == coin
        True

    Attributes:
        name: What is estimated, e.g. `total_variation`, `kl`, `ln_probability`.
        value: The point estimate; may be infinite, or NaN where it is not defined.
        low: Lower end of the interval; may be -inf.
        high: Upper end of the interval; may be inf.
        confidence: Probability with which [low, high] covers the truth.
        num_source: Draws of the source.
        num_reference: Draws of the reference; 0 for an estimate about one source.
        n_eff_source: Their effective number: below `num_source` for weighted draws.
        n_eff_reference: The same for the reference.
        null_value: What the estimator says, on average, of two halves of one source.
        null_low: The least of those values over the random splits.
        null_high: The greatest of them. The three are None where no null applies.
        p_value: Of the test that goes with the estimate, if there is one; `SMALLEST_P` stands
            for that and anything smaller.
        seed: Of whatever randomness the estimator used; None if it used none.
        unit: `nats`, `1` for a pure number, or the observable's unit.
        method: One line: how value and interval were made, and what they assume.
        warnings: What a reader must know before quoting the value.
        answer: What all estimates of the comparison say together, where a person asked for one.
    """

    name: str
    value: float
    low: float
    high: float
    num_source: int
    n_eff_source: float
    unit: str
    method: str
    num_reference: int = 0
    n_eff_reference: float = 0.0
    confidence: float = 0.95
    null_value: float | None = None
    null_low: float | None = None
    null_high: float | None = None
    p_value: float | None = None
    seed: int | None = None
    warnings: tuple[str, ...] = ()
    answer: Answering | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if self.low > self.high:
            raise ValueError(f"{self.name}: low {self.low} is above high {self.high}")

    def short_table(self) -> ShortTable:
        """Say the value, its interval, and what they rest on."""
        numbers = {
            "value": f"{self.value:.4g}",
            f"{self.confidence:.0%} interval": format_ends(self.low, self.high),
            "unit": "" if self.unit == "1" else self.unit,
            "null": "" if self.null_value is None else f"{self.null_value:.3g}",
            "p": "" if self.p_value is None else format_p(self.p_value),
            "draws": f"{self.num_source:,}",
            "of the reference": f"{self.num_reference:,}" if self.num_reference else "",
        }
        known = {name: text for name, text in numbers.items() if text}
        left_out = self.answer.left_out if self.answer else ()
        notes = (
            f"method: {self.method}",
            *(f"warning: {text}" for text in self.warnings),
            *(f"left out: {text}" for text in left_out),
        )
        return ShortTable(
            self.sentence, ("estimate", *known), [(self.name, *known.values())], notes
        )

    @property
    def sentence(self) -> str:
        """The answer in words; empty where the estimate was made by itself."""
        return self.answer.sentence if self.answer else ""

    def plot(self) -> Any:
        """Draw both laws, and return matplotlib's figure.

        Raises:
            ValueError: The estimate was made by itself, not by `compare`.
        """
        if self.answer is None:
            raise ValueError("only an estimate that `compare` gave knows what to plot")
        return self.answer.plot()

    def with_null(self, null: Interval) -> Self:
        """Set the same-source null beside the estimate."""
        return dataclasses.replace(
            self, null_value=null.value, null_low=null.low, null_high=null.high
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as strict JSON: a float that is not finite becomes its name."""
        names = [each.name for each in dataclasses.fields(self) if each.name != "answer"]
        return {name: to_json(getattr(self, name)) for name in names}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Undo `to_dict`."""
        return cls(**{name: _from_json(name, value) for name, value in fields.items()})


def two_sample_estimate(
    name: str,
    interval: Interval,
    *,
    num_draws: tuple[int, int],
    n_eff: tuple[float, float],
    unit: str,
    method: str,
    confidence: float,
    seed: int | None = None,
    p_value: float | None = None,
    warnings: tuple[str, ...] = (),
) -> Estimate:
    """Build the estimate of a quantity that compares a source with a reference.

    Example:
        >>> two_sample_estimate("kl", Interval(1.0, 0.5, 1.5), num_draws=(100, 200),
        ...                     n_eff=(100.0, 200.0), unit="nats", method="example",
        ...                     confidence=0.95).num_reference
        200

    Args:
        name: As in `Estimate`.
        interval: Value and bounds.
        num_draws: Of source and reference.
        n_eff: Of source and reference.
        unit: As in `Estimate`.
        method: As in `Estimate`.
        confidence: Of the interval.
        seed: As in `Estimate`.
        p_value: As in `Estimate`.
        warnings: As in `Estimate`.
    """
    return Estimate(
        name=name,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        confidence=confidence,
        num_source=num_draws[0],
        num_reference=num_draws[1],
        n_eff_source=n_eff[0],
        n_eff_reference=n_eff[1],
        unit=unit,
        method=method,
        p_value=None if p_value is None else max(p_value, SMALLEST_P),
        seed=seed,
        warnings=warnings,
    )


def format_p(p_value: float) -> str:
    """Write a p-value with two digits, or as the bound that it is.

    Example:
        >>> format_p(0.0123), format_p(SMALLEST_P)
        ('0.012', '<1e-300')

    Args:
        p_value: As in `Estimate`, adjusted or not.
    """
    # Adjusted for many tests, a bound is still one: no one makes 1e10 of them.
    return "<1e-300" if p_value < SMALLEST_P * 1e10 else f"{p_value:.2g}"


def check_confidence(confidence: float) -> None:
    """Refuse a confidence outside (0, 1).

    Example:
        >>> check_confidence(0.95)

    Raises:
        ValueError: It is not strictly between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"expected a confidence in (0, 1), got {confidence}")


def to_json(value: object) -> object:
    """Make a value strict JSON: a float that is not finite becomes its name."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _from_json(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if value in ("inf", "-inf", "nan") and name not in ("name", "unit", "method"):
        return float(str(value))
    return value
