"""Which settings of a source are compared with which of its reference."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sweep_engine.comparability import Observed, comparison_problems
from sweep_engine.errors import IncomparableSources
from sweep_engine.planning import Plan
from sweep_engine.spec import Comparison, Setting, axis_paths, touches
from sweep_engine.spec.base import canonical_json
from sweep_engine.spec.points import points_of
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
        levels: By factor of a design its level, by other axes the value; left out, the axis values.
        pooled: The axes that either side pools.
    """

    comparison: Comparison
    at: dict[str, Any]
    source: tuple[int, ...]
    reference: tuple[int, ...]
    levels: dict[str, Any] | None = None
    pooled: tuple[str, ...] = ()

    @property
    def coordinates(self) -> dict[str, Any]:
        """Say where the pair stands: factors by their levels, other axes by their values."""
        return self.at if self.levels is None else self.levels

    def label(self) -> str:
        """Say where the pair stands, and which axes it pools."""
        names = ", ".join(dict.fromkeys(path.split(".")[-1] for path in self.pooled))
        words = (point_text(self.coordinates), f"pooled over {names}" if names else "")
        return ", ".join(filter(None, words))


def pairs(
    plan: Plan,
    comparison: Comparison,
    other: Plan | None = None,
    stored: tuple[Observed | None, Observed | None] = (None, None),
) -> list[Pair]:
    """Pair settings on the axes that both sources share, and split them by more.

    Task and model axes touch every source, so a comparison never mixes two tasks. Axes that
    only one side has are pooled, unless `by` names them or is `all`, and so is the one that
    `over` names; the pair's label says which. `at` picks values before. Paths that move together,
    in a zip or a row of a design, are paired as they stand there.

    Args:
        plan: Of the sweep that the source stands in.
        comparison: As in the sweep file.
        other: Of the sweep that the reference stands in, where it is another one.
        stored: Columns of observables that the two have in store, where that is known.

    Raises:
        IncomparableSources: a source, column or axis does not exist, no setting is `at` the
            values asked for, or the acceptance rules or the tasks differ.
    """
    reference_plan = other or plan
    problems = list(comparison_problems(plan.sweep, comparison, reference_plan.sweep, stored))
    if problems:
        raise IncomparableSources("; ".join(message for _, message in problems))
    split_on = [
        path
        for path in dict.fromkeys((*axis_paths(plan.sweep), *axis_paths(reference_plan.sweep)))
        if path in comparison.split_by
        or (
            path != comparison.over
            and (
                comparison.is_split_by(path)
                or (
                    touches(plan.sweep, path, comparison.source)
                    and touches(reference_plan.sweep, path, comparison.reference)
                )
            )
        )
    ]
    at = comparison.at or {}
    paired = _paired(
        comparison,
        _groups(plan, comparison.source, split_on, at),
        _groups(reference_plan, comparison.reference, split_on, at),
    )
    if other is None:
        paired = list(_together(plan, paired))
    if at and not paired:
        raise IncomparableSources(f"no setting of both sources is at {at}")
    if other is not None and comparison.observable == "function":
        _check_tasks(plan, other, paired)
    return [_with_levels(pair, plan, reference_plan) for pair in paired]


def _together(plan: Plan, paired: Iterable[Pair]) -> Iterator[Pair]:
    """Keep the pairs that stand at a point of every group of axes that move together.

    Two sources may each have paths of their own in one group, such as an initialisation and the
    law of a prior: only what stands in one row belongs together.
    """
    groups = [points for points in points_of(plan.sweep) if len(points[0]) > 1]
    known: dict[tuple[int, frozenset[str]], set[str]] = {}
    for pair in paired:
        values = [plan.settings[side[0]].values for side in (pair.source, pair.reference)]
        for i, points in enumerate(groups):
            paths = pair.at.keys() & points[0].keys()
            if any(paths <= side.keys() for side in values):
                continue  # one setting has them all, and it stands at a point
            key = (i, frozenset(paths))
            if key not in known:
                known[key] = {_key({path: point[path] for path in paths}) for point in points}
            if _key({path: pair.at[path] for path in paths}) not in known[key]:
                break
        else:
            yield pair


def _key(values: Mapping[str, Any]) -> str:
    """One text per point; a field of real numbers holds 1 as 1.0."""
    return canonical_json(
        {path: float(value) if type(value) is int else value for path, value in values.items()}
    )


def _with_levels(pair: Pair, plan: Plan, reference_plan: Plan) -> Pair:
    """Say where a pair stands: factors by their levels, other axes by their values."""
    design = plan.sweep.design
    levels = pair.at if design is None else design.coordinates(pair.at)
    pooled = [*_pooled(plan, pair.source), *_pooled(reference_plan, pair.reference)]
    return replace(pair, levels=levels, pooled=tuple(dict.fromkeys(pooled)))


def _pooled(plan: Plan, settings: Iterable[int]) -> Iterator[str]:
    """The axes on which settings differ."""
    seen: dict[str, Any] = {}
    for i in settings:
        for path, value in plan.settings[i].values.items():
            if seen.setdefault(path, value) != value:
                yield path


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
