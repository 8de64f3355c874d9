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
        return ", ".join(f"{path.split('.')[-1]} = {value}" for path, value in self.at.items())


def pairs(plan: Plan, comparison: Comparison) -> list[Pair]:
    """Pair settings on the axes that both sources share, and split them by one more.

    Task and model axes touch every source, so a comparison never mixes two tasks. Axes that
    only one side has are pooled, unless `by` names them.

    Raises:
        IncomparableSources: a source, column or axis does not exist, or the acceptance rules
            differ.
    """
    problems = list(comparison_problems(plan.sweep, comparison))
    if problems:
        raise IncomparableSources("; ".join(message for _, message in problems))
    split_on = [
        path
        for path in axis_paths(plan.sweep)
        if path == comparison.by
        or all(touches(plan.sweep, path, s) for s in (comparison.source, comparison.reference))
    ]
    sides = [_groups(plan, name, split_on) for name in (comparison.source, comparison.reference)]
    found = []
    for (mine, source), (theirs, reference) in itertools.product(sides[0], sides[1]):
        shared = mine.keys() & theirs.keys()
        if all(canonical_json(mine[path]) == canonical_json(theirs[path]) for path in shared):
            found.append(Pair(comparison, mine | theirs, source, reference))
    return found


def _groups(
    plan: Plan, source: str, split_on: list[str]
) -> list[tuple[dict[str, Any], tuple[int, ...]]]:
    groups: dict[str, list[Setting]] = defaultdict(list)
    for setting in plan.settings.values():
        if setting.source == source:
            at = {path: setting.values[path] for path in split_on if path in setting.values}
            groups[canonical_json(at)].append(setting)
    return [
        (
            {path: members[0].values[path] for path in split_on if path in members[0].values},
            tuple(member.id for member in members),
        )
        for members in groups.values()
    ]
