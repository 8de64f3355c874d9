"""A design as `plan` prints it: its rows, and what they cannot tell apart."""

from collections.abc import Iterator
from typing import Any

from sweep_engine.designs import Structure, structure, term_text
from sweep_engine.shown import ShortTable
from sweep_engine.spec.design import Design

MAX_LISTED = 40


def structure_of(design: Design) -> Structure:
    """Find what a design's rows tell apart."""
    return structure(design.coded(), {name: len(each) for name, each in design.levels.items()})


def as_table(design: Design) -> ShortTable:
    """List the rows; below them, what they do not tell apart."""
    header = ("row", *(name.split(".")[-1] for name in design.names))
    rows = [(str(i + 1), *row) for i, row in enumerate(design.table or ())]
    return ShortTable(f"design: {len(rows):,} rows", header, rows, tuple(_notes(design)))


def _notes(design: Design) -> Iterator[str]:
    found = structure_of(design)
    yield (
        f"{found.num_rows:,} rows tell {found.rank} of {found.num_effects} effects apart (the "
        "mean, main effects and two-way interactions)."
    )
    if found.words:
        yield "I = " + " = ".join(" × ".join(word) for word in found.words[:MAX_LISTED])
    full = [each for each in found.aliases if each.is_full]
    close = [each for each in found.aliases if not each.is_full]
    if full:
        yield "Cannot be told apart:"
        yield from _listed(full)
    if close:
        yield "Told apart poorly, with their largest correlation:"
        yield from _listed(sorted(close, key=lambda each: -each.correlation))
    if not found.aliases:
        yield "No main effect or two-way interaction is mixed up with another."


def _listed(aliases: Any) -> Iterator[str]:
    yield from (f"  {each}" for each in aliases[:MAX_LISTED])
    if len(aliases) > MAX_LISTED:
        yield f"  and {len(aliases) - MAX_LISTED:,} more"


def as_data(design: Design) -> dict[str, Any]:
    """Give the same as plain data."""
    found = structure_of(design)
    return {
        "factors": list(design.names),
        "rows": [list(row) for row in design.table or ()],
        "rank": found.rank,
        "effects": found.num_effects,
        "words": [list(word) for word in found.words],
        "aliases": [
            {
                "one": term_text(each.one),
                "other": term_text(each.other),
                "correlation": each.correlation,
            }
            for each in found.aliases
        ],
    }
