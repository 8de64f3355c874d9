"""The design of a sweep: factors with named levels, and the rows of levels that are run."""

import hashlib
import itertools
import math
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, ValidationInfo, model_validator

from sweep_engine.spec.axes import Axis
from sweep_engine.spec.base import Count, Growing, canonical_json
from sweep_engine.spec.wording import nearest, value_text

Level = dict[str, Any]
"""What a level changes: values by path."""

Factor = (
    Annotated[list[Any], Field(min_length=2)]
    | Annotated[dict[str, dict[str, Any]], Field(min_length=2)]
)
ROWS_MAX = 20_000
RESOLUTIONS = {"III": 3, "IV": 4, "V": 5}

_RATE, _BATCH = "sources.sgd.optimizer.learning_rate", "sources.sgd.batch_size"
_FACTORS: dict[str, Any] = {
    _RATE: [0.01, 0.1],
    "batch": {"small": {_BATCH: 4}, "large": {_BATCH: 16}},
    "width": {"narrow": {"model.widths": [8]}, "wide": {"model.widths": [32]}},
}
_EXAMPLE: dict[str, Any] = {"factors": _FACTORS}
_CROSSED: dict[str, Any] = {"factors": _FACTORS, "crossed": ["width"]}
_ROWS = [[batch, rate, "wide"] for batch in ("large", "small") for rate in ("0.01", "0.1")]
_WIDE_OR_DEEP = {"wide": {"model.widths": [32]}, "deep": {"model.widths": [8, 8]}}
_DRAWN: dict[str, Any] = {
    "factors": _FACTORS | {"width": _WIDE_OR_DEEP},
    "table": [*_ROWS, ["small", "0.1", "deep"]],
    "base": {"batch": "small"},
}


def _examples(**needed: Any) -> ConfigDict:
    examples: list[Any] = [each | needed for each in (_EXAMPLE, _CROSSED, _DRAWN)]
    return ConfigDict(json_schema_extra={"examples": examples})


class Design(Growing):
    """Factors with named levels, and which combinations of levels are run: a row each.

    A level is one or several paths with their values, so that what belongs together moves
    together: an initialisation, and the same law as the prior; an optimiser, and its rate. A
    factor whose name is a path lists its values.
    """

    later_keys: ClassVar[tuple[str, ...]] = ("table",)

    factors: Annotated[dict[str, Factor], Field(min_length=1)] = Field(
        description="by name: levels by name, each a mapping of paths to values; or, where the "
        "name is a path, the list of its values",
    )
    crossed: tuple[str, ...] = Field(
        default=(),
        description="factors whose every level meets every row of the others, such as the task",
    )
    base: dict[str, str] = Field(
        default={},
        description="by factor: the level that others are compared with; left out, the "
        "first: as listed, or by the alphabet where levels have names",
    )
    table: tuple[tuple[str, ...], ...] | None = Field(
        default=None,
        description="the rows, a level of every factor each, in alphabetical order of the factors; "
        "left out, they are made from the sweep's seed, and kept in sweep.json",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        owner: dict[str, str] = {}
        for name, levels in self.levels.items():
            paths = {frozenset(level) for level in levels.values()}
            if len(paths) > 1 or not min(paths):
                raise ValueError(f"factor {name}: give the same paths, one or more, at every level")
            for path in min(paths):
                if (other := owner.setdefault(path, name)) != name:
                    raise ValueError(f"{path} is changed by the factors {other} and {name}")
            if len(set(map(canonical_json, levels.values()))) < len(levels):
                raise ValueError(f"factor {name}: two levels are the same")
        for name in self.crossed:
            if name not in self.factors:
                raise ValueError(f"crossed: no factor {name!r}{nearest(name, self.factors)}")
        for name, level in self.base.items():
            if level not in self.levels.get(name, {}):
                known = self.levels.get(name, self.factors)
                raise ValueError(f"base: no {name} {level!r}{nearest(level, known)}")
        for row in self.table or ():
            self._check_row(row)
        return self

    def _check_row(self, row: tuple[str, ...]) -> None:
        names = self.names
        if len(row) != len(names):
            raise ValueError(f"table: a row has a level of each of {', '.join(names)}")
        for name, level in zip(names, row, strict=True):
            if level not in self.levels[name]:
                raise ValueError(f"table: no {name} {level!r}{nearest(level, self.levels[name])}")

    @property
    def names(self) -> tuple[str, ...]:
        """The factors in the order of the table's columns, which no order of keys moves."""
        return tuple(sorted(self.factors))

    @cached_property
    def levels(self) -> dict[str, dict[str, Level]]:
        """Give what every level of every factor changes; the base level of each is the first."""
        return {name: self._ordered(name) for name in self.names}

    def _ordered(self, name: str) -> dict[str, Level]:
        given = self.factors[name]
        named: Mapping[str, Level]
        if isinstance(given, dict):
            named = dict(sorted(given.items()))
        else:
            named = {value_text(value): {name: value} for value in given}
        base = self.base.get(name)
        return {key: named[key] for key in sorted(named, key=lambda key: key != base)}

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """The values of every path, row by row: axes that move together."""
        rows = [dict(zip(self.names, row, strict=True)) for row in self.table or ()]
        return {
            path: Axis(values=tuple(self.levels[name][row[name]][path] for row in rows))
            for name, levels in self.levels.items()
            for path in next(iter(levels.values()))
        }

    def at(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Name the level of every factor that some of these axis values belong to.

        Args:
            values: By path; of a setting, or of a pair.
        """
        found = {}
        for name, levels in self.levels.items():
            fitting = [level for level, changes in levels.items() if _fits(changes, values)]
            if len(fitting) == 1:
                found[name] = fitting[0]
        return found

    def coordinates(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Name the level of every factor that axis values belong to, and give the other values."""
        found = self.at(values)
        known = {path for name in found for path in self.paths_of(name)}
        return {**found, **{path: at for path, at in values.items() if path not in known}}

    def paths_of(self, factor: str) -> tuple[str, ...]:
        """List the paths that a factor changes."""
        return tuple(next(iter(self.levels[factor].values())))

    def coded(self) -> dict[str, np.ndarray]:
        """Number the levels of every row, by factor; the base level is 0."""
        places = {name: list(levels) for name, levels in self.levels.items()}
        return {
            name: np.array([places[name].index(row[i]) for row in self.table or ()])
            for i, name in enumerate(self.names)
        }

    def drawn(self, seed: int) -> Self:
        """Give the design with its rows, made from the sweep's seed if they are not there yet.

        Raises:
            ValueError: there is no such design.
        """
        if self.table is not None:
            return self
        words = hashlib.sha256(f"{seed}/design/{'/'.join(self.names)}".encode()).digest()[:8]
        free = [name for name in self.names if name not in self.crossed]
        named = {name: sorted(levels) for name, levels in self.levels.items()}
        sizes = [len(named[name]) for name in free]
        chosen = self._chosen(free, sizes, np.random.default_rng(list(words)))
        num_rows = len(chosen) * math.prod(len(named[name]) for name in self.crossed)
        _check_number(num_rows)
        table = []
        for levels in itertools.product(*(named[name] for name in sorted(self.crossed))):
            crossed = dict(zip(sorted(self.crossed), levels, strict=True))
            for row in chosen.tolist():
                at = {name: named[name][i] for name, i in zip(free, row, strict=True)} | crossed
                table.append(tuple(at[name] for name in self.names))
        return self.model_copy(update={"table": tuple(table)})

    @abstractmethod
    def _chosen(self, free: list[str], sizes: list[int], rng: np.random.Generator) -> np.ndarray:
        """Choose the rows of the factors that are not crossed: numbers of levels."""


class FullDesign(Design):
    """Run every combination of levels: all effects and interactions can be told apart."""

    model_config = _examples()

    kind: Literal["full"] = "full"

    def _chosen(self, free: list[str], sizes: list[int], rng: np.random.Generator) -> np.ndarray:
        if math.prod(sizes) > ROWS_MAX:
            raise ValueError(
                f"{math.prod(sizes):,} rows are more than {ROWS_MAX:,}: take a fraction"
            )
        return np.array(list(itertools.product(*map(range, sizes))), int).reshape(-1, len(sizes))


class FractionalDesign(Design):
    """Run a regular fraction of the combinations of two-level factors.

    The rows are the fewest that a fraction of the resolution has. Crossed factors may have more
    than two levels. `plan` lists which effects are aliased.

    Source: Box & Hunter (1961), Technometrics 3(3) and 3(4).
    """

    model_config = _examples(resolution="III")

    kind: Literal["fractional"] = "fractional"
    resolution: Literal["III", "IV", "V"] = Field(
        default="IV",
        description="III: main effects are not aliased with each other; IV: nor with two-way "
        "interactions; V: nor are two-way interactions with each other",
    )

    @model_validator(mode="after")
    def _two_levels(self) -> Self:
        for name, levels in self.levels.items():
            if name not in self.crossed and len(levels) != 2:
                raise ValueError(
                    f"factor {name} has {len(levels)} levels: a fraction is of two-level factors; "
                    "cross this one (`crossed`), or take kind d_optimal"
                )
        return self

    def _chosen(self, free: list[str], sizes: list[int], rng: np.random.Generator) -> np.ndarray:
        from sweep_engine.designs import fraction

        return fraction(len(free), RESOLUTIONS[self.resolution], rng)


class DOptimalDesign(Design):
    """Run a given number of combinations, those that tell the effects apart best.

    They make the determinant of the effects' information as large as an exchange of rows can.

    Source: Fedorov (1972), Theory of Optimal Experiments, chapter 3.
    """

    model_config = _examples(rows=4)

    kind: Literal["d_optimal"] = "d_optimal"
    rows: Count = Field(description="how many rows, at every combination of the crossed factors")
    order: Literal[1, 2] = Field(
        default=1,
        description="1: chosen to tell main effects apart; 2: two-way interactions too",
    )

    def _chosen(self, free: list[str], sizes: list[int], rng: np.random.Generator) -> np.ndarray:
        from sweep_engine.designs import d_optimal

        return d_optimal(sizes, self.rows, self.order, rng)


DesignSpec = Annotated[FullDesign | FractionalDesign | DOptimalDesign, Field(discriminator="kind")]


def _check_number(num_rows: int) -> None:
    if num_rows > ROWS_MAX:
        raise ValueError(f"{num_rows:,} rows are more than {ROWS_MAX:,}: take a fraction")


def _fits(changes: Level, values: Mapping[str, Any]) -> bool:
    """Say whether values agree with a level in all of its paths that they have, one at least."""
    shared = changes.keys() & values.keys()
    return bool(shared) and all(changes[path] == values[path] for path in shared)


def drawn(design: Design | None, info: ValidationInfo) -> Design | None:
    """Draw a design's rows by the seed of the sweep that it stands in."""
    seed = info.data.get("seed")
    return design if design is None or seed is None else design.drawn(seed)
