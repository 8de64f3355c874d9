"""Which colour a source has: the same on every figure of a report."""

from itertools import count

from sweep_engine.report.drawing.colours import Colour, Role
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import SourceRole


def source_colours(sweep: Sweep) -> dict[str, Colour]:
    """Give the first trained source and the first conditioned prior the two main colours."""
    spare = count(2)
    main = {
        _first(sweep, SourceRole.TRAINED): Role.SOURCE,
        _first(sweep, SourceRole.CONDITIONED): Role.REFERENCE,
    }
    return {name: main[name] if name in main else next(spare) for name in sweep.sources}


def _first(sweep: Sweep, role: SourceRole) -> str | None:
    return next((name for name, spec in sweep.sources.items() if spec.role is role), None)
