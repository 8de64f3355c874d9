"""Which source starts from which: the lines of descent, and what is wrong with them."""

from collections.abc import Iterator

from sweep_engine.spec.sources import (
    GuessAndCheck,
    Prior,
    Snapshot,
    SourceSpec,
    Train,
    num_rows,
    num_runs,
    reference_of,
    unit_size,
)
from sweep_engine.spec.starts import FromSource, FunctionsFrom, Reference
from sweep_engine.spec.sweep import Sweep
from sweep_engine.spec.wording import nearest


def parent_of(sweep: Sweep, source: str) -> str | None:
    """The source whose stored results a source needs."""
    found = reference_of(sweep.sources[source])
    return found[1].source if found else None


def lineage(sweep: Sweep, source: str) -> list[str]:
    """A source, the one it starts from, the one that starts from, and so on.

    It ends at a name that no source has, or before one that is there already.
    """
    line = [source]
    while line[-1] in sweep.sources:
        parent = parent_of(sweep, line[-1])
        if parent is None or parent in line:
            break
        line.append(parent)
    return line


def parents_first(sweep: Sweep) -> list[str]:
    """List the sources, each behind the one that it starts from."""
    return list(dict.fromkeys(s for name in sweep.sources for s in reversed(lineage(sweep, name))))


def parent_problems(sweep: Sweep) -> Iterator[str]:
    """List what is wrong with the starts from other sources, with its place."""
    for name, source in sweep.sources.items():
        if found := reference_of(source):
            field, reference = found
            if message := _parent_problem(sweep, name, reference):
                yield sweep.problem(("sources", name, *field, "from"), message)


def _parent_problem(sweep: Sweep, name: str, reference: Reference) -> str | None:
    parent = reference.source
    if parent not in sweep.sources:
        return f"no source named {parent!r}{nearest(parent, sweep.sources)}"
    if _in_circle(sweep, name):
        return f"sources that start from one another: {' <- '.join(lineage(sweep, name))}"
    if isinstance(reference, FunctionsFrom):
        return None
    if sweep.store.params != "all":
        return f"it starts from stored parameters: set store.params to all ({sweep.store.params})"
    return _number_problem(sweep, name, parent)


def _in_circle(sweep: Sweep, name: str) -> bool:
    last = lineage(sweep, name)[-1]
    return last in sweep.sources and parent_of(sweep, last) is not None


def _number_problem(sweep: Sweep, name: str, parent: str) -> str | None:
    wanted, there = num_starts(sweep, name), num_stored(sweep, parent)
    if there is None:
        return (
            f"how many rows {parent} has is not known before it has run: "
            "give a prior `keep: all` or the first N, and guess_and_check `accepted`"
        )
    if wanted > there:
        return f"{wanted:,} runs cannot start from the {there:,} of {parent}"
    return None


def num_stored(sweep: Sweep, source: str) -> int | None:
    """How many rows a source has in a setting; None where that depends on the draws."""
    spec = sweep.sources[source]
    if isinstance(spec, Snapshot) and spec.runs is None:
        return num_stored(sweep, spec.source)
    return num_rows(spec)


def num_starts(sweep: Sweep, source: str) -> int:
    """How many rows of its parent a source needs: one a run, or a unit of dependent draws."""
    spec = sweep.sources[source]
    if isinstance(spec, Snapshot) and spec.runs is None:
        return 0
    return num_runs(spec) // unit_size(spec)


def state_problem(reference: Reference, parent: SourceSpec) -> str | None:
    """Say why a setting cannot have the state that it is to start from, if it cannot."""
    if not isinstance(reference, FromSource | Snapshot) or reference.at == "final":
        return None
    at, name = reference.at, reference.source
    if not isinstance(parent, Train):
        return f"{at!r} is for trained runs; of {name} there is the final state alone"
    if at == "first_fit":
        if parent.stop.fit or parent.stop.extra_steps:
            return None
        return f"{name} does not keep its first fit: give its stop `extra_steps`, or `fit: true`"
    if at in (parent.stop.snapshots or ()):
        return None
    return f"{name} does not keep step {at}: add it to sources.{name}.stop.snapshots"


def is_ordered_by_fit(parent: SourceSpec) -> bool:
    """Whether only fits are rows, so that the i-th row is not the draw of index i."""
    return isinstance(parent, GuessAndCheck) or (isinstance(parent, Prior) and parent.keep == "fit")
