"""Which source starts from which: the lines of descent, and what is wrong with them."""

from collections.abc import Iterator

from sweep_engine.spec.starts import FunctionsFrom, ParentRef, parent_ref_of
from sweep_engine.spec.sweep import Sweep
from sweep_engine.spec.wording import nearest


def parent_of(sweep: Sweep, source: str) -> str | None:
    """The source whose stored results a source needs."""
    found = parent_ref_of(sweep.sources[source])
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
        if found := parent_ref_of(source):
            field, parent = found
            if message := _parent_problem(sweep, name, parent):
                yield sweep.problem(("sources", name, *field, "from"), message)


def _parent_problem(sweep: Sweep, name: str, ref: ParentRef) -> str | None:
    parent = ref.source
    if parent not in sweep.sources:
        return f"no source named {parent!r}{nearest(parent, sweep.sources)}"
    if _in_circle(sweep, name):
        return f"sources that start from one another: {' <- '.join(lineage(sweep, name))}"
    if isinstance(ref, FunctionsFrom):
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
    spec, parent = sweep.sources[source], parent_of(sweep, source)
    if spec.num_runs is None and parent is not None:
        return num_stored(sweep, parent)
    return spec.num_rows


def num_starts(sweep: Sweep, source: str) -> int:
    """How many rows of its parent a source needs: one a run, or a unit of dependent draws."""
    spec = sweep.sources[source]
    return 0 if spec.num_runs is None else spec.num_runs // spec.unit_size
