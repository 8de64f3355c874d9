"""Axes: what is swept, crossed, zipped or Sobol, and the values they take."""

import hashlib
import math
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from sweep_engine.spec.base import Real, Spec, canonical_json

Range = tuple[Real, Real]
IntegerRange = tuple[Annotated[int, Field(strict=True)], Annotated[int, Field(strict=True)]]
Points = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
DISTRIBUTIONS = ("uniform", "log_uniform", "integer")


class Axis(Spec):
    """The values of one swept field: a list, a grid, or draws from a distribution.

    Draws depend on the sweep's seed, the axis's path and their index only, so that more
    points leave the earlier ones in place. Numbers are rounded to six significant digits.
    """

    values: Annotated[tuple[Any, ...] | None, Field(min_length=1)] = None
    grid: Range | None = None
    log_grid: Range | None = None
    uniform: Range | None = None
    log_uniform: Range | None = None
    integer: IntegerRange | None = None
    points: Points | None = None

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

    def at(self, unit: float) -> int | float:
        """Map a point of [0, 1) to a value of this range."""
        if self.integer is not None:
            low, high = self.integer
            return low + math.floor(unit * (high - low + 1))
        if self.log_uniform is not None:
            low_value, high_value = self.log_uniform
            return _round(low_value * (high_value / low_value) ** unit)
        assert self.uniform is not None
        low_value, high_value = self.uniform
        return _round(low_value + unit * (high_value - low_value))

    def resolve(self, seed: int, path: str) -> tuple[Any, ...]:
        """List the axis's values."""
        if self.values is not None:
            return self.values
        if self.points is None:
            raise ValueError("points: say how many")
        if self.grid is not None:
            return tuple(_round(float(v)) for v in np.linspace(*self.grid, self.points))
        if self.log_grid is not None:
            return tuple(_round(float(v)) for v in np.geomspace(*self.log_grid, self.points))
        return tuple(self.at(_unit(seed, path, i)) for i in range(self.points))


def _as_axis(value: Any) -> Any:
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

    points: Points
    over: Annotated[dict[str, AxisSpec], Field(min_length=1)]

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for path, axis in self.over.items():
            if not axis.is_distribution or axis.points is not None:
                raise ValueError(f"{path}: give uniform, log_uniform or integer, without points")
        return self

    def resolve(self, seed: int) -> tuple[tuple[Any, ...], ...]:
        """List the points; the columns are the paths of `over` in order."""
        from scipy.stats import qmc

        paths = sorted(self.over)
        words = hashlib.sha256(f"{seed}/sobol/{'/'.join(paths)}".encode()).digest()[:8]
        engine = qmc.Sobol(len(paths), rng=np.random.default_rng(list(words)))
        units = engine.random_base2(math.ceil(math.log2(self.points)))[: self.points]
        columns = dict(zip(paths, units.T.tolist(), strict=True))
        values = [map(axis.at, columns[path]) for path, axis in self.over.items()]
        return tuple(zip(*values, strict=True))


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def _unit(seed: int, path: str, index: int) -> float:
    digest = hashlib.sha256(f"{seed}/{path}/{index}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
