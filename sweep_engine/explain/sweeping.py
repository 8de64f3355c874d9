"""Say whether an axis may go over a field, asked of a sweep that has the field."""

from collections.abc import Mapping
from typing import Any

from sweep_engine.explain.examples import completed
from sweep_engine.spec import Sweep
from sweep_engine.spec.points import is_free_path

SWEPT = ("task", "model", "sources")
"""The keys whose fields an axis may go over."""


def sweepable(path: str, example: Mapping[str, Any]) -> str:
    """Say whether an axis may go over a field, and what that costs.

    Args:
        path: Of the axis, in the example.
        example: A part of a sweep file that has the field.
    """
    head, _, rest = path.partition(".")
    if head not in SWEPT or rest.count(".") < (head == "sources") or not rest:
        return "no; axes go over the fields of task, model and sources"
    try:
        is_free = is_free_path(Sweep.model_validate(completed(example)), path)
    except ValueError as refused:
        return f"no; {refused}"
    if is_free:
        return f"yes, as {path}; one compiled program serves all values (traced)"
    return f"yes, as {path}; each value compiles a program of its own (static)"
