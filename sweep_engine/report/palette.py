"""Which colour a source has: the same on every figure of a report."""

from sweep_engine.report.figure import Colour, Role
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import GuessAndCheck, Prior, Train


def source_colours(sweep: Sweep) -> dict[str, Colour]:
    """Give the first trained source and the first conditioned prior the two main colours."""
    colours: dict[str, Colour] = {}
    spare = iter(range(2, 100))
    for kind, role in ((Train, Role.SOURCE), (GuessAndCheck, Role.REFERENCE), (Prior, None)):
        for name, spec in sweep.sources.items():
            if isinstance(spec, kind):
                taken = role is None or role in colours.values()
                colours[name] = next(spare) if taken else role  # type: ignore[assignment]
    return colours
