"""What must agree between sources: networks that start from others, functions that are compared."""

from collections.abc import Iterator, Mapping

import numpy as np

from sweep_engine.planning import Plan
from sweep_engine.sources import Bucket
from sweep_engine.spec import Comparison
from sweep_engine.spec.starts import FunctionsFrom, parent_ref_of
from sweep_engine.tasks import Task


def disagreements(plan: Plan, buckets: Mapping[str, Bucket]) -> Iterator[str]:
    """List, with their places, what does not go together.

    Args:
        plan: The plan.
        buckets: Every bucket of it, by name.
    """
    yield from _descents(plan, buckets)
    yield from _shapes(plan, buckets)
    for i, comparison in enumerate(plan.sweep.compare):
        if comparison.observable == "function" and not _same_inputs(plan, buckets, comparison):
            message = "functions of the two sources' tasks are of different probe inputs or levels"
            yield plan.sweep.problem(("compare", i, "reference"), message)


def _descents(plan: Plan, buckets: Mapping[str, Bucket]) -> Iterator[str]:
    bucket_of = {i: name for name, ids in plan.buckets.items() for i in ids}
    for name, ids in plan.buckets.items():
        parents = {plan.settings[i].parent for i in ids} - {None}
        for parent in sorted({bucket_of[i] for i in parents if i is not None}):
            if message := _descent_problem(buckets[name], buckets[parent]):
                source = plan.settings[ids[0]].source
                yield plan.sweep.problem(("sources", source), message)


def _shapes(plan: Plan, buckets: Mapping[str, Bucket]) -> Iterator[str]:
    """Tasks of one's own whose networks would have other inputs or outputs than the others."""
    own = {name for name, source in plan.sweep.sources.items() if source.task is not None}
    common = {_shape(b.task) for b in buckets.values() if b.setting.source not in own}
    for bucket in buckets.values():
        source, shape = bucket.setting.source, _shape(bucket.task)
        if source in own and common and shape not in common:
            message = (
                f"inputs of shape {shape[0]} and {shape[1]} outputs; the sweep's task has "
                + (" or ".join(f"{inputs} and {outputs}" for inputs, outputs in sorted(common)))
            )
            yield plan.sweep.problem(("sources", source, "task"), message)


def _shape(task: Task) -> tuple[tuple[int, ...], int]:
    return task.input_shape, task.loss.num_outputs()


def _descent_problem(bucket: Bucket, parent: Bucket) -> str | None:
    """Say why networks of a bucket cannot start from those of another, if they cannot."""
    found, source = parent_ref_of(bucket.setting.spec), parent.setting.source
    if found is not None and isinstance(found[1], FunctionsFrom):
        if not parent.task.finite:
            return f"the functions of {source} are not known in full: its task is not Boolean"
        if not _same_probe_inputs(bucket.task, parent.task):
            return f"its task and that of {source} have different probe inputs"
    elif bucket.network.layout != parent.network.layout:
        wanted, there = bucket.network.layout.num_params, parent.network.layout.num_params
        return f"its networks have other parameters ({wanted}) than those of {source} ({there})"
    return None


def _same_inputs(plan: Plan, buckets: Mapping[str, Bucket], comparison: Comparison) -> bool:
    """Whether functions of two sources are of the same inputs, where a task is one's own."""
    names = (comparison.source, comparison.reference)
    if all(plan.sweep.sources[name].task is None for name in names):
        return True
    sides = [[b.task for b in buckets.values() if b.setting.source == name] for name in names]
    return all(any(_same_probe_inputs(a, b) for b in sides[1]) for a in sides[0])


def _same_probe_inputs(a: Task, b: Task) -> bool:
    """Whether functions are identified on the same inputs, in the same order, and read alike."""
    rules = [t.label_rule and (t.label_rule.num_labels, t.label_rule.edges) for t in (a, b)]
    return rules[0] == rules[1] and np.array_equal(
        a.inputs[a.probe_inputs], b.inputs[b.probe_inputs]
    )
