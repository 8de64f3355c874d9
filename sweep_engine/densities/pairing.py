"""Which settings of a source are compared with which of its reference."""

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sweep_engine.errors import IncomparableSources
from sweep_engine.planning import Plan
from sweep_engine.spec import Comparison, Setting, axis_paths, touches
from sweep_engine.spec.base import canonical_json
from sweep_engine.spec.sources import GuessAndCheck


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
        IncomparableSources: a source or axis does not exist, or the acceptance rules differ.
    """
    check_comparison(plan, comparison)
    split_on = [
        path
        for path in axis_paths(plan.sweep)
        if path == comparison.by
        or (touches(path, comparison.source) and touches(path, comparison.reference))
    ]
    sides = [_groups(plan, name, split_on) for name in (comparison.source, comparison.reference)]
    found = []
    for (mine, source), (theirs, reference) in itertools.product(sides[0], sides[1]):
        shared = mine.keys() & theirs.keys()
        if all(canonical_json(mine[path]) == canonical_json(theirs[path]) for path in shared):
            found.append(Pair(comparison, mine | theirs, source, reference))
    return found


def check_comparison(plan: Plan, comparison: Comparison) -> None:
    """Refuse a comparison that means nothing.

    Raises:
        IncomparableSources: a source or axis does not exist, or the comparison is of
            networks that fit and the acceptance rules differ.
    """
    sweep = plan.sweep
    for name in (comparison.source, comparison.reference):
        if name not in sweep.sources:
            raise IncomparableSources(f"no source named {name!r} (there are {list(sweep.sources)})")
    both = [sweep.accept_of(name) for name in (comparison.source, comparison.reference)]
    conditioned = comparison.given == "fit" or any(
        isinstance(sweep.sources[name], GuessAndCheck)
        for name in (comparison.source, comparison.reference)
    )
    if conditioned and both[0] != both[1]:
        rules = [rule.model_dump(exclude_none=True) for rule in both]
        raise IncomparableSources(
            f"{comparison.source} and {comparison.reference} have different acceptance rules, "
            f"{rules[0]} and {rules[1]}: their difference would be that of the rules"
        )
    if comparison.by is not None and comparison.by not in axis_paths(sweep):
        raise IncomparableSources(
            f"by: {comparison.by!r} is no axis of this sweep (there are {axis_paths(sweep)})"
        )


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
