"""Where estimates and figures stand on the swept axes: what the page filters by."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sweep_engine.densities import Pair, Study
from sweep_engine.planning import Plan
from sweep_engine.report.drawing.figure import SweptPlace
from sweep_engine.spec import Setting
from sweep_engine.spec.wording import value_text

MAX_TICKS = 12
"""Values of a numeric axis that the page offers one by one."""


@dataclass(frozen=True)
class SweptAxis:
    """An axis that the page filters by.

    Attributes:
        path: Of the axis.
        label: Its name on the page.
        values: As text, from least to greatest where they are numbers.
        is_numeric: Whether they are.
    """

    path: str
    label: str
    values: tuple[str, ...]
    is_numeric: bool

    @property
    def is_range(self) -> bool:
        """Whether the page asks for the ends of a range: there are too many values to tick."""
        return self.is_numeric and len(self.values) > MAX_TICKS


def swept_axes(plan: Plan) -> tuple[SweptAxis, ...]:
    """List the axes that have several values."""
    values_by_path: dict[str, dict[str, Any]] = defaultdict(dict)
    for setting in plan.settings.values():
        for path, value in setting.values.items():
            values_by_path[path][value_text(value)] = value
    names = [path.split(".")[-1] for path in values_by_path]
    return tuple(
        _axis(path, name if names.count(name) == 1 else path, values)
        for (path, values), name in zip(values_by_path.items(), names, strict=True)
        if len(values) > 1
    )


def _axis(path: str, label: str, values: Mapping[str, Any]) -> SweptAxis:
    is_numeric = all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values.values()
    )
    texts = sorted(values, key=lambda text: values[text]) if is_numeric else list(values)
    return SweptAxis(path, label, tuple(texts), is_numeric)


def texts_of(setting: Setting) -> dict[str, str]:
    """Write a setting's axis values as the page shows and compares them."""
    return {path: value_text(value) for path, value in setting.values.items()}


def words_of(source: str, at: Mapping[str, str]) -> str:
    """Name a source at some axis values."""
    return ", ".join([source, *(f"{path.split('.')[-1]} = {text}" for path, text in at.items())])


def place_of(settings: Iterable[Setting]) -> SweptPlace:
    """Find the axis values that settings share, and the axes on which they differ."""
    texts_by_path: dict[str, set[str]] = defaultdict(set)
    for setting in settings:
        for path, text in texts_of(setting).items():
            texts_by_path[path].add(text)
    at = {path: next(iter(texts)) for path, texts in texts_by_path.items() if len(texts) == 1}
    return SweptPlace(at, tuple(path for path in texts_by_path if path not in at))


def place_of_pair(study: Study, *pairs: Pair) -> SweptPlace:
    """Find where the settings of pairs stand."""
    ids = [i for pair in pairs for i in (*pair.source, *pair.reference)]
    return place_of(study.plan.settings[i] for i in ids)
