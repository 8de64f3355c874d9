"""Which colour a source has: the same on every figure of a report."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from sweep_engine.report.drawing.colours import Colour, Role
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import GuessAndCheck, Splitting, Train


def source_colours(sweep: Sweep) -> dict[str, Colour]:
    """Give the first trained source and the first conditioned prior the two main colours."""
    spare = count(2)
    main = {
        next(_named(sweep, Train), None): Role.SOURCE,
        next(_named(sweep, GuessAndCheck | Splitting), None): Role.REFERENCE,
    }
    return {name: main[name] if name in main else next(spare) for name in sweep.sources}


def _named(sweep: Sweep, kind: Any) -> Iterator[str]:
    return (name for name, spec in sweep.sources.items() if isinstance(spec, kind))
