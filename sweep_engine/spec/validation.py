"""Check a sweep file against a pydantic model, and report every problem at once.

pydantic names a problem by a path through its own types. Here it is brought back to the file,
and of the members of a union only those that came closest to fitting are told of.
"""

import itertools
import operator
import re
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sweep_engine.spec.document import MAX_PROBLEMS, Document, spec_error
from sweep_engine.spec.findings import VALIDATOR_ERRORS, Finding, explain
from sweep_engine.spec.shapes import Shape
from sweep_engine.spec.wording import Loc

_MAX_ERRORS = 20 * MAX_PROBLEMS  # pydantic's, of which several may be one problem

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
K = TypeVar("K")


def validate(document: Document, model: type[M]) -> M:
    """Check a document against a pydantic model and return the model's instance.

    Raises:
        SpecError: The data do not fit, with every problem, in the order of the file.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        problems = _problems(model, error)
    problems.sort(key=lambda group: document.place(group[0].path, key=group[0].is_key))
    raise spec_error(
        document.problem(group[0].path, explain(group), key=group[0].is_key) for group in problems
    )


def explained(annotation: Any, error: ValidationError) -> list[tuple[Loc, str]]:
    """Say what is wrong with data that have no place in a file: paths in them, and problems."""
    return [(group[0].path, explain(group)) for group in _problems(annotation, error)]


def _problems(annotation: Any, error: ValidationError) -> list[list[Finding]]:
    details = error.errors(include_url=False)[:_MAX_ERRORS]
    findings = [_trace(annotation, detail) for detail in details]
    return list(_group((f.alternative_of, f) for f in _keep_closest(findings)).values())


def _trace(annotation: Any, error: ErrorDetails) -> Finding:
    """Follow an error's `loc` down the model's types."""
    path: list[str | int] = []
    unions: list[int] = []
    shape, parent = Shape.of(annotation), Shape()
    is_key = error["type"] == "extra_forbidden"
    for index, step in enumerate(error["loc"]):
        if step == "[key]":
            is_key = True
        elif tags := shape.tags():
            shape = tags.get(step, Shape())
        elif members := shape.members():
            unions.append(index)
            shape = _labelled(members, str(step))
        else:
            path.append(step)
            shape, parent = shape.child(step), shape
    if error["type"] in ("union_tag_invalid", "union_tag_not_found") and shape.tag_key:
        path.append(shape.tag_key)
    return Finding(error, tuple(path), is_key, shape, parent, tuple(unions))


def _labelled(members: list[Shape], label: str) -> Shape:
    """Find a union's member by pydantic's label, such as `function-after[check(), Box]`."""
    bare = re.sub(r"function-\w+\[[^,]*\(\), ", "", label)
    candidates = {member.label(): member for member in members}
    best = max(candidates, key=lambda name: (_shared_prefix(name, bare), -len(name)))
    return candidates[best] if _shared_prefix(best, bare) else Shape()


def _shared_prefix(a: str, b: str) -> int:
    return sum(itertools.takewhile(bool, map(operator.eq, a, b)))


def _keep_closest(findings: list[Finding], level: int = 0) -> list[Finding]:
    """Of every untagged union keep only the members that came closest to fitting."""
    kept = [finding for finding in findings if level >= len(finding.unions)]
    nested = [finding for finding in findings if level < len(finding.unions)]
    by_union = _group((f.error["loc"][: f.unions[level]], f) for f in nested)
    for start, group in by_union.items():
        end = len(start) + 1
        by_member = _group((finding.error["loc"][:end], finding) for finding in group)
        members = [_keep_closest(member, level + 1) for member in by_member.values()]
        best = max(map(_closeness, members))
        kept += [finding for member in members if _closeness(member) == best for finding in member]
    return kept


def _closeness(findings: list[Finding]) -> tuple[int, bool, int]:
    """Order a union's members: first problem deeper, only a validator objects, fewer problems."""
    depth = max(len(finding.path) for finding in findings)
    checked = any(finding.error["type"] in VALIDATOR_ERRORS for finding in findings)
    return depth, checked, -len(findings)


def _group(items: Iterable[tuple[K, T]]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = {}
    for key, item in items:
        groups.setdefault(key, []).append(item)
    return groups
