"""Axes: what is swept, crossed, zipped or Sobol, and the values they take."""

import hashlib
import math
from collections.abc import Hashable, Iterator
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from sweep_engine.float32 import LARGEST, SMALLEST, float32_key
from sweep_engine.spec.base import Real, Spec, canonical_json
from sweep_engine.spec.wording import shown

Range = tuple[Real, Real]
IntegerRange = tuple[Annotated[int, Field(strict=True)], Annotated[int, Field(strict=True)]]
Points = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
DISTRIBUTIONS = ("uniform", "log_uniform", "integer")

DIGITS = (6, 7, 8, 9, 17)
"""Significant ones that a number of a range has: the first that tell it from the others."""

_REDRAWN_AT_MOST = 100


class Axis(Spec):
    """The values of one swept field: a list, a grid, or draws from a distribution.

    Draws depend on the sweep's seed, the axis's path, their index and the draws before, so that
    more points leave the earlier ones in place. Numbers are rounded to six significant digits
    where that leaves them different, in float32 too, and inside the range; else to more.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"values": [0.01, 0.1]},
                {"grid": [0.1, 0.5], "points": 5},
                {"log_grid": [0.01, 1.0], "points": 5},
                {"uniform": [0.1, 0.5], "points": 8},
                {"log_uniform": [0.01, 1.0], "points": 8},
                {"integer": [1, 9], "points": 3},
            ]
        }
    )

    values: Annotated[tuple[Any, ...] | None, Field(min_length=1)] = Field(
        default=None, description="the values themselves; in a file a bare list says the same"
    )
    grid: Range | None = Field(
        default=None, description="[low, high]: values at equal distances, both ends included"
    )
    log_grid: Range | None = Field(
        default=None, description="[low, high]: values at equal ratios, both ends included"
    )
    uniform: Range | None = Field(default=None, description="[low, high]: values drawn uniformly")
    log_uniform: Range | None = Field(
        default=None, description="[low, high]: values whose logarithm is drawn uniformly"
    )
    integer: IntegerRange | None = Field(
        default=None, description="[low, high]: integers drawn uniformly, both ends included"
    )
    points: Points | None = Field(default=None, description="how many values a range gives")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in self.model_fields_set - {"points"} if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                "give a list of values, or exactly one of grid, log_grid, uniform, "
                "log_uniform, integer with its [low, high]"
            )
        if given == ["values"]:
            if self.points is not None:
                raise ValueError("points is for ranges; a list has as many points as values")
            _check_plain(self.values)
            return self
        low, high = getattr(self, given[0])
        if not low < high:
            raise ValueError(f"{given[0]}: the low end must be below the high end")
        if given[0].startswith("log") and low <= 0:
            raise ValueError(f"{given[0]}: both ends must be positive")
        return self

    @property
    def is_distribution(self) -> bool:
        """Whether the values are drawn rather than listed."""
        return any(getattr(self, name) is not None for name in DISTRIBUTIONS)

    def at(self, unit: float, digits: int = DIGITS[0]) -> int | float:
        """Map a point of [0, 1) to a value of this range, of so many digits or more."""
        if self.integer is not None:
            low, high = self.integer
            return low + math.floor(unit * (high - low + 1))
        if self.log_uniform is not None:
            low_value, high_value = self.log_uniform
            value = low_value * (high_value / low_value) ** unit
            return _rounded(value, digits, self.log_uniform)
        assert self.uniform is not None
        low_value, high_value = self.uniform
        return _rounded(low_value + unit * (high_value - low_value), digits, self.uniform)

    def key(self, value: int | float) -> Hashable:
        """What tells a number of this range from others where it is used."""
        return key_of(value, real=self.integer is None)

    def resolve(self, seed: int, path: str) -> tuple[Any, ...]:
        """List the axis's values; numbers that are drawn may be there more than once."""
        if self.values is not None:
            return self.values
        if self.points is None:
            raise ValueError("points: say how many")
        if self.grid is not None:
            return _grid(np.linspace(*self.grid, self.points), self.grid)
        if self.log_grid is not None:
            return _grid(np.geomspace(*self.log_grid, self.points), self.log_grid)
        return tuple(self.at(_unit(seed, path, i)) for i in range(self.points))

    def as_first_released(self, seed: int, path: str) -> tuple[Any, ...]:
        """List the values of six digits each, wherever that puts them."""
        if self.values is not None:
            return self.values
        if ends := self.grid or self.log_grid:
            space = np.linspace if self.grid else np.geomspace
            return tuple(map(_six_digits, space(*ends, self.points or 1).tolist()))
        units = (_unit(seed, path, i) for i in range(self.points or 1))
        return tuple(_six_digits(self.at(unit, DIGITS[-1])) for unit in units)

    def distinct(self, seed: int, path: str) -> tuple[Any, ...]:
        """List the values of an axis that stands alone: what is drawn again gets another value.

        Raises:
            ValueError: the range has fewer values than points.
        """
        if not self.is_distribution or self.points is None:
            return self.resolve(seed, path)
        if self.integer is not None and self.points > self.integer[1] - self.integer[0] + 1:
            size = self.integer[1] - self.integer[0] + 1
            raise ValueError(f"{self.points:,} points of {size:,} integers: give fewer")
        taken: set[Hashable] = set()
        values = []
        for i in range(self.points):
            value = self._draw(seed, path, i, taken)
            taken.add(self.key(value))
            values.append(value)
        return tuple(values)

    def _draw(self, seed: int, path: str, index: int, taken: set[Hashable]) -> int | float:
        for attempt in range(_REDRAWN_AT_MOST):
            unit = _unit(seed, path, index, attempt)
            for digits in DIGITS[:1] if self.integer else DIGITS:
                value = self.at(unit, digits)
                if self.key(value) not in taken:
                    return value
        if self.integer is None:
            raise ValueError(
                f"{self.points:,} points do not differ in float32: give fewer, or a wider range"
            )
        low, high = self.integer
        return next(value for value in range(low, high + 1) if value not in taken)


def _as_axis(value: Any) -> Any:
    if isinstance(value, str | int | float):
        raise ValueError(
            "give a list of values, as in [0.1, 0.2], or a range, as in "
            f"{{grid: [0.1, 0.2], points: 3}}, got {shown(value)}"
        )
    if not isinstance(value, list | tuple):
        return value
    return {"values": [v.model_dump(mode="json") if isinstance(v, Spec) else v for v in value]}


def _check_plain(values: Any) -> None:
    try:
        canonical_json(values)
    except (TypeError, ValueError) as error:
        raise ValueError("values must be finite numbers, strings, lists or mappings") from error


AxisSpec = Annotated[
    Axis,
    BeforeValidator(
        _as_axis, json_schema_input_type=Axis | Annotated[list[Any], Field(min_length=1)]
    ),
]


class Sobol(Spec):
    """Axes drawn jointly from one scrambled Sobol sequence; more points extend it.

    Its dimensions are the paths in alphabetical order, so that the order of keys, which
    `sweep.json` does not keep, moves no point.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "points": 64,
                    "over": {
                        "sources.sgd.optimizer.learning_rate": {"log_uniform": [0.01, 1.0]},
                        "sources.sgd.optimizer.momentum": {"uniform": [0.0, 0.9]},
                    },
                }
            ]
        }
    )

    points: Points = Field(description="how many points are drawn")
    over: Annotated[dict[str, AxisSpec], Field(min_length=1)] = Field(
        description="path of each axis, and its range: uniform, log_uniform or integer, without "
        "points"
    )

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for path, axis in self.over.items():
            if not axis.is_distribution or axis.points is not None:
                raise ValueError(f"{path}: give uniform, log_uniform or integer, without points")
        return self

    def _units(self, seed: int) -> list[list[float]]:
        from scipy.stats import qmc

        paths = sorted(self.over)
        words = hashlib.sha256(f"{seed}/sobol/{'/'.join(paths)}".encode()).digest()[:8]
        engine = qmc.Sobol(len(paths), rng=np.random.default_rng(list(words)))
        units = engine.random_base2(math.ceil(math.log2(self.points)))[: self.points]
        order = [paths.index(path) for path in self.over]
        rows: list[list[float]] = units[:, order].tolist()
        return rows

    def as_first_released(self, seed: int) -> tuple[tuple[Any, ...], ...]:
        """List the points of six digits, wherever that puts them."""
        axes = self.over.values()
        return tuple(
            tuple(
                _six_digits(axis.at(unit, DIGITS[-1])) for axis, unit in zip(axes, row, strict=True)
            )
            for row in self._units(seed)
        )

    def resolve(self, seed: int) -> tuple[tuple[Any, ...], ...]:
        """List the points; the columns are the paths of `over` in order."""
        taken: set[Hashable] = set()
        points = []
        for row in self._units(seed):
            point = self._point(row, taken)
            taken.add(self._key(point))
            points.append(point)
        return tuple(points)

    def _point(self, units: list[float], taken: set[Hashable]) -> tuple[Any, ...]:
        """The point of the fewest digits that is a new one."""
        for digits in DIGITS:
            point = tuple(
                axis.at(unit, digits) for axis, unit in zip(self.over.values(), units, strict=True)
            )
            if self._key(point) not in taken:
                return point
        return next((p for p in self._beside(point) if self._key(p) not in taken), point)

    def _beside(self, point: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        """Points of which one real number is the next in float32, and the next: inside its range.

        An earlier one may have been rounded to where this one is.
        """
        for i, axis in enumerate(self.over.values()):
            ends = axis.uniform or axis.log_uniform
            for end in ends or ():
                value = np.float32(point[i])
                for _ in range(_REDRAWN_AT_MOST):
                    value = np.nextafter(value, np.float32(end))
                    if ends and ends[0] <= float(value) <= ends[1]:
                        yield (*point[:i], float(value), *point[i + 1 :])

    def _key(self, point: tuple[Any, ...]) -> Hashable:
        return tuple(axis.key(value) for axis, value in zip(self.over.values(), point, strict=True))


def key_of(value: Any, *, real: bool) -> Hashable:
    """What tells a value from others once it is where it is used.

    Args:
        value: A number, or anything that can stand in a file.
        real: Whether numbers go into a field of real numbers.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return canonical_json(value)
    in_range = value == 0 or SMALLEST <= abs(value) <= LARGEST
    return float32_key(value) if real and in_range else value


def _six_digits(value: int | float) -> int | float:
    return value if isinstance(value, int) else float(f"{value:.6g}")


def _grid(values: np.ndarray, ends: Range) -> tuple[float, ...]:
    """Round what is between the ends to the fewest digits that leave all values different.

    Raises:
        ValueError: they are not, in float32.
    """
    for digits in DIGITS:
        between = (_rounded(float(value), digits, ends) for value in values[1:-1])
        rounded = (ends[0], *between, ends[1])[: len(values)]
        if len(set(map(float32_key, rounded))) == len(rounded):
            return rounded
    raise ValueError(
        f"{len(values):,} points do not differ in float32: give fewer, or a wider range"
    )


def _rounded(value: float, digits: int, ends: Range) -> float:
    """Round to so many digits, or to the fewest more that do not leave the range."""
    low, high = ends
    for more in range(digits, DIGITS[-1] + 1):
        rounded = float(f"{value:.{more}g}")
        if low <= rounded <= high:
            return rounded
    return min(max(value, low), high)


def _unit(seed: int, path: str, index: int, attempt: int = 0) -> float:
    words = f"{seed}/{path}/{index}" + (f"/{attempt}" if attempt else "")
    digest = hashlib.sha256(words.encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
