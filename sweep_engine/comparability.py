"""Which comparisons mean something: checked before anything runs, and again when estimating."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from sweep_engine.errors import SpecError
from sweep_engine.observables import observables
from sweep_engine.spec import Comparison, Sweep, axis_paths, touches
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.sources import GuessAndCheck, Splitting

RUN_COLUMNS = (
    "seed", "steps", "fit_step", "train_loss", "train_error", "test_loss", "test_error",
)  # fmt: skip
"""The columns of `runs`, beside observables and axes, that hold a number to compare."""


def check_comparisons(sweep: Sweep) -> None:
    """Refuse comparisons that mean nothing.

    Raises:
        SpecError: all problems of all comparisons, with their places.
    """
    problems = [
        sweep.problem(("compare", i, field), message)
        for i, comparison in enumerate(sweep.compare)
        for field, message in comparison_problems(sweep, comparison)
    ]
    if problems:
        raise SpecError(problems)


def comparison_problems(sweep: Sweep, comparison: Comparison) -> Iterator[tuple[str, str]]:
    """List what is wrong with a comparison, as (field, message)."""
    sides = {"source": comparison.source, "reference": comparison.reference}
    unknown = {field: name for field, name in sides.items() if name not in sweep.sources}
    for field, name in unknown.items():
        yield field, f"no source named {name!r}{_nearest(name, list(sweep.sources))}"
    if not unknown:
        yield from _rule_problems(sweep, comparison)
    yield from _observable_problems(sweep, comparison)
    paths = axis_paths(sweep)
    if comparison.by is not None and comparison.by not in paths:
        yield "by", f"{comparison.by!r} is no axis of this sweep{_nearest(comparison.by, paths)}"
    elif comparison.by is not None and not any(
        touches(sweep, comparison.by, s) for s in sides.values()
    ):
        yield "by", f"{comparison.by!r} touches neither of the two sources"


def _rule_problems(sweep: Sweep, comparison: Comparison) -> Iterator[tuple[str, str]]:
    names = (comparison.source, comparison.reference)
    rules = [sweep.accept_of(name).model_dump(exclude_none=True) for name in names]
    rejection = any(isinstance(sweep.sources[name], GuessAndCheck | Splitting) for name in names)
    if (comparison.given == "fit" or rejection) and rules[0] != rules[1]:
        yield (
            "reference",
            f"{names[0]} and {names[1]} have different acceptance rules, {rules[0]} and "
            f"{rules[1]}: their difference would be that of the rules; give both one rule",
        )


def _observable_problems(sweep: Sweep, comparison: Comparison) -> Iterator[tuple[str, str]]:
    if comparison.observable == "function":
        return
    columns = numeric_columns(sweep)
    named = split_columns(comparison.observable)
    for name in named:
        if name not in columns:
            yield "observable", f"no numeric column {name!r}{_nearest(name, columns)}"
    if len(named) > 2:
        yield "observable", "give `function`, one column, or two joined by a comma"


def split_columns(observable: str) -> list[str]:
    """Split an observable into its columns."""
    return [name.strip() for name in observable.split(",")]


def numeric_columns(sweep: Sweep) -> list[str]:
    """The columns of `runs` that hold one number a run."""
    found = [column for named in sweep.observables for column in _columns(named)]
    return [*RUN_COLUMNS, *(n for n, dtype in found if dtype.startswith(("float", "int")))]


def _columns(named: Any) -> list[tuple[str, str]]:
    """(name, dtype) of an observable's columns; a user's own may be at hand as a description."""
    if isinstance(named, Custom):
        return [(c["name"], c["dtype"]) for c in named.fields.get("columns", ())]
    return [(c.name, c.dtype) for c in observables((named,))[0].columns]


def _nearest(name: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (there are: {', '.join(allowed) or 'none'})"
