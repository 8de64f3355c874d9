"""A preference split into what the architecture, the initialisation and the optimiser put there.

Of each property, with μ a mean given a fit, s the standard deviation of the base row's prior, and
the base row that of the same task with the base levels of the prior's factors:

    μ_sgd - μ_base = (μ_arch - μ_base) + (μ_init - μ_base) + interaction + (μ_sgd - μ_prior),

all over s. The parts add up exactly; the interaction is what both changes do together beyond each
by itself, μ_prior - μ_arch - μ_init + μ_base.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sweep_engine.atlas.rows import Row
from sweep_engine.atlas.standardised import Response, standardised
from sweep_engine.densities import Draws, Study

TASK, ARCHITECTURE, INITIALISATION, OPTIMISER = (
    "task", "architecture", "initialisation", "optimiser",
)  # fmt: skip
INTERACTION = "interaction"
BOTH = f"{ARCHITECTURE} and {INITIALISATION}"
TOTAL = "total"

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Split:
    """The parts of one property's shift at one row, in standard deviations of the base's prior.

    Attributes:
        row: Whose.
        prop: The property.
        parts: Shifts by what makes them; they add up to the total.
        total: From the base row's prior to this row's source.
    """

    row: Row
    prop: str
    parts: Mapping[str, Response]
    total: Response


def kinds_of_factors(study: Study, rows: Sequence[Row]) -> dict[str, str]:
    """Say of each factor where it acts: task, architecture, initialisation or optimiser.

    A factor that changes the model is the architecture's, whatever else it changes; one that
    changes the prior's source alone, or with the same start of the trained source, is the
    initialisation's; one that the prior does not know is the optimiser's.
    """
    design = study.sweep.design
    touched = {path for row in rows for i in row.pair.reference
               for path in study.plan.settings[i].values}  # fmt: skip
    factors = dict.fromkeys(name for row in rows for name in row.levels)
    paths = {
        name: set(design.paths_of(name)) if design and name in design.levels else {name}
        for name in factors
    }
    return {name: _kind(each, touched) for name, each in paths.items()}


def _kind(paths: set[str], touched: set[str]) -> str:
    heads = {path.split(".")[0] for path in paths}
    if heads & {"task", "accept"}:
        return TASK
    if "model" in heads:
        return ARCHITECTURE
    return INITIALISATION if paths & touched else OPTIMISER


def splits(
    rows: Sequence[Row], kinds: Mapping[str, str], base: Mapping[str, str], prop: str
) -> Iterator[Split]:
    """Split a property's shift at every row whose task has the base row's prior.

    Args:
        rows: Of a sweep.
        kinds: Of its factors.
        base: The base level of every factor.
        prop: The property.
    """
    priors: dict[Key, Draws] = {}
    for row in rows:
        if prop in row.reference and len(row.reference[prop].finite) > 1:
            priors[_key(row.levels, kinds)] = row.reference[prop]
    for row in rows:
        if prop not in row.source or len(row.source[prop].finite) < 2:
            continue
        samples = {
            name: priors.get(_key(dict(row.levels) | _changed(kinds, base, back), kinds))
            for name, back in _PLACES.items()
        }
        if samples["base"] is None or samples["prior"] is None:
            continue
        yield _split(row, prop, samples, row.source[prop])


_PLACES = {
    "base": (ARCHITECTURE, INITIALISATION),
    "arch": (INITIALISATION,),
    "init": (ARCHITECTURE,),
    "prior": (),
}
"""The priors of a split, each by the kinds of factors that are at their base level."""


def _changed(
    kinds: Mapping[str, str], base: Mapping[str, str], back: tuple[str, ...]
) -> dict[str, str]:
    return {name: base[name] for name, kind in kinds.items() if kind in back}


def _key(levels: Mapping[str, str], kinds: Mapping[str, str]) -> Key:
    return tuple(sorted((name, at) for name, at in levels.items() if kinds[name] != OPTIMISER))


def _split(row: Row, prop: str, samples: Mapping[str, Draws | None], source: Draws) -> Split:
    known = {name: draws for name, draws in samples.items() if draws is not None}
    combined: dict[str, dict[str, float]]
    if len(known) == len(samples):
        combined = {
            ARCHITECTURE: {"arch": 1.0, "base": -1.0},
            INITIALISATION: {"init": 1.0, "base": -1.0},
            INTERACTION: {"prior": 1.0, "arch": -1.0, "init": -1.0, "base": 1.0},
        }
    else:  # a fraction lacks the rows that would tell them apart
        combined = {BOTH: {"prior": 1.0, "base": -1.0}}
    combined[OPTIMISER] = {"source": 1.0, "prior": -1.0}
    combined[TOTAL] = {"source": 1.0, "base": -1.0}
    found = {name: _response(each, {**known, "source": source}) for name, each in combined.items()}
    total = found.pop(TOTAL)
    return Split(row, prop, found, total)


def _response(combined: Mapping[str, float], samples: Mapping[str, Draws]) -> Response:
    """Standardise; draws that are one sample, such as the base's own prior, count once."""
    names = {id(draws): name for name, draws in reversed(list(samples.items()))}
    coefficients: dict[str, float] = {}
    for name, c in combined.items():
        one = names[id(samples[name])]
        coefficients[one] = coefficients.get(one, 0.0) + c
    value, errors = standardised(coefficients, samples, names[id(samples["base"])])
    return Response(value, math.hypot(*errors.values()))
