"""Observables of a network's symmetries."""

from jaxtyping import Array

from sweep_engine.columns import Column
from sweep_engine.models import canonicalise
from sweep_engine.observables.observable import Observable, Outcome


def _symmetry(outcome: Outcome) -> dict[str, Array]:
    form = canonicalise(outcome.network, outcome.theta)
    return {"log_orbit": form.log_orbit, "undecided_units": form.undecided}


SYMMETRY = Observable(
    columns=(
        Column("log_orbit", "float32", "nats", "ln of the points that permutations, signs make"),
        Column("undecided_units", "int32", "units", "equal or dead units that have no fixed place"),
    ),
    compute=_symmetry,
    needs=("dense",),
)
