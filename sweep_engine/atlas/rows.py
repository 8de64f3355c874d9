"""The rows of a sweep, and what was found at each: nats, shifts, superiority, balance."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sweep_engine.atlas.held import held
from sweep_engine.atlas.standardised import UNKNOWN, Response, mean_of, shift, superiority
from sweep_engine.comparability import split_columns
from sweep_engine.densities import Draws, Estimate, Pair, Study, pairs
from sweep_engine.densities.decomposition.decomposition import Decomposition
from sweep_engine.densities.decomposition.kl_bound import look_at_kl_bound
from sweep_engine.densities.dependence import design_effect
from sweep_engine.densities.stored.sides import Side, sides_of
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec import Comparison
from sweep_engine.spec.sweep import ALL
from sweep_engine.spec.wording import value_text
from sweep_engine.tasks import load_task

CONFIDENCE = 0.95
TEST_ERROR = "test_error"
NORMAL = 1.959963984540054
"""Standard errors from the middle of the normal law to the end of its 95 % interval."""


@dataclass(frozen=True)
class Row:
    """A row of a design: a source against its own prior given a fit.

    Attributes:
        levels: The level of every factor.
        pair: Which settings.
        data: Nats that the data explain, -ln P(fit) of the prior.
        optimiser: Nats that the optimiser adds: a lower bound.
        ceiling: What that bound cannot exceed with so many draws of the prior.
        source: Draws of the source, by property.
        reference: Draws of the prior given a fit, by property.
        balance: Entropy of the training labels over its largest value: 1 where classes are
            equally many; NaN where there are no classes.
        notes: What could not be read, and why.
    """

    levels: Mapping[str, str]
    pair: Pair
    data: Response
    optimiser: Response
    ceiling: float
    source: Mapping[str, Draws]
    reference: Mapping[str, Draws]
    balance: float = math.nan
    notes: tuple[str, ...] = ()

    @cached_property
    def shifts(self) -> dict[str, Response]:
        """By property: (mean of the source - mean of the prior) / sd of the prior, given a fit."""
        return {name: self._of(shift, name) for name in self.source}

    @cached_property
    def superiorities(self) -> dict[str, Response]:
        """By property: the probability that the source's is the smaller one."""
        return {name: self._of(superiority, name) for name in self.source}

    @cached_property
    def means(self) -> dict[str, Response]:
        """By property: the source's mean."""
        return {name: mean_of(draws) for name, draws in self.source.items() if len(draws.finite)}

    def _of(self, statistic: Callable[[Draws, Draws], Response], name: str) -> Response:
        source, reference = self.source[name], self.reference.get(name)
        if reference is None or min(len(source.finite), len(reference.finite)) < 2:
            return UNKNOWN
        return statistic(source, reference)


@dataclass(frozen=True)
class Asked:
    """Say what the effects are of.

    Attributes:
        source: The source, such as `sgd`.
        reference: Its prior.
        properties: Columns whose shifts are looked at.
        nats: In which observable the optimiser's nats are measured; None if they are not.
    """

    source: str
    reference: str
    properties: tuple[str, ...]
    nats: str | None


def asked_of(study: Study) -> list[Asked]:
    """List what a sweep's comparisons by row (`by: all`, `given: fit`) ask for, source by source.

    One in `function`, or with the estimator `decomposition`, says in what nats are measured.
    """
    found: dict[tuple[str, str], Asked] = {}
    for each in study.sweep.compare:
        if each.by != ALL or each.given != "fit" or each.is_within_one:
            continue
        key = (each.source, each.reference)
        asked = found.get(key, Asked(*key, (), None))
        if not each.is_of_columns or each.estimator == Decomposition.name:
            asked = replace(asked, nats=each.observable)
        elif len(split_columns(each.observable)) == 1:
            properties = dict.fromkeys((*asked.properties, each.observable))
            asked = replace(asked, properties=tuple(properties))
        found[key] = asked
    return list(found.values())


def read_rows(study: Study, asked: Asked) -> list[Row]:
    """Read every row that has draws of both sides.

    Raises:
        IncomparableSources: the sources or columns cannot be compared.
    """
    observable = asked.nats or next(iter(asked.properties), "train_loss")
    comparison = Comparison(
        source=asked.source,
        reference=asked.reference,
        observable=observable,
        given="fit",
        by=ALL,
    )
    columns = (*asked.properties, *split_columns(observable), TEST_ERROR)
    study = held(study, [asked.source, asked.reference], columns)
    reader = _Reader()
    return [_row(study, asked, pair, reader) for pair in pairs(study.plan, comparison)]


def _row(study: Study, asked: Asked, pair: Pair, reader: "_Reader") -> Row:
    sides = sides_of(study, pair)
    read = [reader.read(side, asked.properties) for side in sides]
    notes = [note for _, found in read for note in found]
    data, optimiser, ceiling = UNKNOWN, UNKNOWN, math.nan
    try:
        data = _data_nats(study.ln_fit_probability(sides[1].chosen))
        if asked.nats is not None:
            (bound,) = look_at_kl_bound(*sides, study.sweep.seed).at(CONFIDENCE)
            optimiser = _optimiser_nats(bound)
            ceiling = math.log(max(1.0, bound.n_eff_reference))
    except (InsufficientSamples, IncomparableSources) as error:
        notes.append(str(error))
    return Row(
        levels=levels_of(study, pair),
        pair=pair,
        data=data,
        optimiser=optimiser,
        ceiling=ceiling,
        source=read[0][0],
        reference=read[1][0],
        balance=_balance(study, pair),
        notes=tuple(f"{pair.label()}: {note}" for note in notes),
    )


def levels_of(study: Study, pair: Pair) -> dict[str, str]:
    """Name the level of every factor, and the value of every axis that is none."""
    design = study.sweep.design
    found = pair.at if design is None else design.coordinates(pair.at)
    return {name: value_text(value) for name, value in found.items()}


def _data_nats(ln_p_fit: Estimate) -> Response:
    """Take the standard error that a normal law with this 95 % interval has."""
    return Response(-ln_p_fit.value, (ln_p_fit.high - ln_p_fit.low) / (2 * NORMAL))


def _optimiser_nats(bound: Estimate) -> Response:
    """Take the lower half of the interval for the error, and no less than that of one draw."""
    least = 1 / max(1.0, min(bound.n_eff_source, bound.n_eff_reference))
    return Response(bound.value, max(least, (bound.value - bound.low) / NORMAL))


def _balance(study: Study, pair: Pair) -> float:
    task = load_task(study.plan.settings[pair.source[0]].task, study.sweep.seed, study.sweep.folder)
    labels = np.asarray(task.train.y)
    if not np.issubdtype(labels.dtype, np.integer):
        return math.nan
    counts = np.unique(labels, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum() / math.log(max(2, task.loss.num_labels or 2)))


class _Reader:
    """Reads the columns of one side, once for rows that share it."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], tuple[dict[str, Draws], list[str]]] = {}

    def read(self, side: Side, columns: Sequence[str]) -> tuple[dict[str, Draws], list[str]]:
        """Read columns; those that have no value on this side are left out, with a note."""
        if side.settings not in self._known:
            self._known[side.settings] = self._columns(side, columns)
        return self._known[side.settings]

    def _columns(self, side: Side, columns: Sequence[str]) -> tuple[dict[str, Draws], list[str]]:
        wanted = tuple(dict.fromkeys((*columns, TEST_ERROR)))
        try:
            return dict(_split(side.draws(wanted), wanted)), []
        except (IncomparableSources, InsufficientSamples):
            pass  # one of them has no value here: each by itself
        found: dict[str, Draws] = {}
        notes: list[str] = []
        for name in wanted:
            try:
                found |= dict(_split(side.draws([name]), [name]))
            except (IncomparableSources, InsufficientSamples) as error:
                notes += [] if name == TEST_ERROR and name not in columns else [str(error)]
        return found, notes


def _split(draws: Draws, columns: Sequence[str]) -> Iterator[tuple[str, Draws]]:
    """Give each column with a design effect of its own."""
    values = draws.values.reshape(len(draws), len(columns))
    for name, column in zip(columns, values.T, strict=True):
        effect = 1.0
        if draws.units is not None and len(draws):
            effect = design_effect(column[:, None], draws.units)
        yield name, replace(draws, values=column, design_effect=effect)
