"""Which settings of a source are compared with which of its reference."""

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sweep_engine.comparability import comparison_problems
from sweep_engine.errors import IncomparableSources
from sweep_engine.planning import Plan
from sweep_engine.spec import Comparison, Setting, axis_paths, touches
from sweep_engine.spec.base import canonical_json
from sweep_engine.spec.settings import identity
from sweep_engine.spec.wording import point_text

Groups = list[tuple[dict[str, Any], tuple[int, ...]]]


@dataclass(frozen=True)
class Pair:
    """One comparison at one point of the axes that both sides share.

    Attributes:
        comparison: What is compared.
        at: The axis values that tell this pair from the others.
        source: Setting ids of the source; pooled when there are several.
        reference: Setting ids of the reference.
    """

    comparison: Comparison
    at: dict[str, Any]
    source: tuple[int, ...]
    reference: tuple[int, ...]

    def label(self) -> str:
        """The axis values in words."""
        return point_text(self.at)


def pairs(plan: Plan, comparison: Comparison, other: Plan | None = None) -> list[Pair]:
    """Pair settings on the axes that both sources share, and split them by one more.

    Task and model axes touch every source, so a comparison never mixes two tasks. Axes that
    only one side has are pooled, unless `by` names them, and so is the one that `over` names;
    `at` picks values before.

    Args:
        plan: Of the sweep that the source stands in.
        comparison: As in the sweep file.
        other: Of the sweep that the reference stands in, where it is another one.

    Raises:
        IncomparableSources: a source, column or axis does not exist, no setting is `at` the
            values asked for, or the acceptance rules or the tasks differ.
    """
    reference_plan = other or plan
    problems = list(comparison_problems(plan.sweep, comparison, reference_plan.sweep))
    if problems:
        raise IncomparableSources("; ".join(message for _, message in problems))
    split_on = [
        path
        for path in dict.fromkeys((*axis_paths(plan.sweep), *axis_paths(reference_plan.sweep)))
        if path in comparison.split_by
        or (
            path != comparison.over
            and touches(plan.sweep, path, comparison.source)
            and touches(reference_plan.sweep, path, comparison.reference)
        )
    ]
    at = comparison.at or {}
    paired = _paired(
        comparison,
        _groups(plan, comparison.source, split_on, at),
        _groups(reference_plan, comparison.reference, split_on, at),
    )
    if at and not paired:
        raise IncomparableSources(f"no setting of both sources is at {at}")
    if other is not None and comparison.observable == "function":
        _check_tasks(plan, other, paired)
    return paired


def _check_tasks(plan: Plan, other: Plan, paired: list[Pair]) -> None:
    """Refuse functions of two tasks: their ids are of other inputs."""
    for pair in paired:
        tasks = {canonical_json(identity(plan.settings[i].task)) for i in pair.source}
        tasks |= {canonical_json(identity(other.settings[i].task)) for i in pair.reference}
        if len(tasks) > 1 or plan.sweep.seed != other.sweep.seed:
            raise IncomparableSources(
                "functions can be compared on one task only, with one seed for its data"
            )


def _paired(comparison: Comparison, sources: Groups, references: Groups) -> list[Pair]:
    paired = []
    for (at, source), (reference_at, reference) in itertools.product(sources, references):
        shared = at.keys() & reference_at.keys()
        if all(canonical_json(at[path]) == canonical_json(reference_at[path]) for path in shared):
            paired.append(Pair(comparison, at | reference_at, source, reference))
    return paired


def _groups(plan: Plan, source: str, split_on: list[str], at: dict[str, Any]) -> Groups:
    groups: dict[str, list[Setting]] = defaultdict(list)
    for setting in plan.settings.values():
        is_at = all(setting.values.get(path, value) == value for path, value in at.items())
        if setting.source == source and is_at:
            values = {path: setting.values[path] for path in split_on if path in setting.values}
            groups[canonical_json(values)].append(setting)
    return [
        (
            {path: members[0].values[path] for path in split_on if path in members[0].values},
            tuple(member.id for member in members),
        )
        for members in groups.values()
    ]
