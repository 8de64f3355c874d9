"""Effects over the rows of a sweep: what puts a preference there, and how much."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from sweep_engine.atlas.contrasts import Contrast, Levels, model_of
from sweep_engine.atlas.granulated import Granulated, granulated
from sweep_engine.atlas.meta_regression import Fit, critical_value, meta_regression
from sweep_engine.atlas.rows import TEST_ERROR, Asked, Row, asked_of, read_rows
from sweep_engine.atlas.shares import Share, shares
from sweep_engine.atlas.splits import OPTIMISER, TASK, Split, kinds_of_factors, splits
from sweep_engine.atlas.standardised import UNKNOWN, Response, equally_known
from sweep_engine.atlas.universality import Universality, universality
from sweep_engine.densities import Study
from sweep_engine.densities.estimate import to_json
from sweep_engine.densities.multiplicity import each_of
from sweep_engine.designs import Term, term_text
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.numbers import format_ends
from sweep_engine.shown import ShortTable, Shown

CONFIDENCE = 0.95
MEAN = "all rows"
MIN_TASKS = 3
"""Tasks from which they are a random effect; fewer are a factor like any other."""

MIN_TASKS_BALANCE = 5
ALL_ZERO = "its lower bound is 0 in every row, so nothing is known of what factors do to it"
DATA_NATS, OPTIMISER_NATS = "nats of the data", "nats of the optimiser"


@dataclass(frozen=True)
class Effect:
    """Hold what a change of levels does to a response.

    Attributes:
        term: The factors; none for the mean over all rows.
        words: What is compared.
        value: In the response's unit.
        stderr: Its standard error, the differences between rows included.
        low: Lower end of the interval that holds at once with those of all effects of all
            responses.
        high: Upper end.
        aliased_with: Effects that rows cannot tell from this one: it may be any of them.
        tasks: The same effect on each task by itself; None where there are not several.
    """

    term: Term
    words: str
    value: float
    stderr: float
    low: float
    high: float
    aliased_with: tuple[Term, ...] = ()
    tasks: Universality | None = None

    @property
    def is_shown(self) -> bool:
        """Say whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0

    @property
    def name(self) -> str:
        """The factors and what is compared."""
        return f"{term_text(self.term)}: {self.words}" if self.term else self.words


@dataclass(frozen=True)
class ResponseEffects:
    """The effects on one response.

    Attributes:
        response: Its name: a property, or `nats of the optimiser`.
        unit: `nats`, or `sd` of the prior given a fit.
        num_rows: Rows that have it.
        mean: Over all rows.
        effects: Main effects first.
        heterogeneity: Standard deviation of rows beyond errors and effects, τ.
        task_deviation: Standard deviation of tasks, ω; NaN where tasks are no random effect.
        shares: Of the variance between rows, by factor.
        balance: What classes that are equally many do, against all of one class; None where
            there are too few tasks.
        left_out: Interactions that are not fitted, and why.
    """

    response: str
    unit: str
    num_rows: int
    mean: Effect
    effects: tuple[Effect, ...]
    heterogeneity: float
    task_deviation: float
    shares: tuple[Share, ...]
    balance: Effect | None
    left_out: tuple[str, ...]

    @property
    def main_effects(self) -> tuple[Effect, ...]:
        """The effects of one factor each."""
        return tuple(each for each in self.effects if len(each.term) == 1)


@dataclass(frozen=True)
class Effects(Shown):
    """Hold what the factors of a sweep do.

    Attributes:
        asked: The source, its prior, the properties.
        rows: What was found at each row.
        responses: Effects on nats, and on every property's shift.
        splits: Every property's shift, split by architecture, initialisation and optimiser.
        granulated: Rank correlation of every property with the test error, by property.
        notes: What a reader must know.
    """

    asked: Asked
    rows: tuple[Row, ...]
    responses: tuple[ResponseEffects, ...]
    splits: tuple[Split, ...]
    granulated: Mapping[str, Granulated] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give all but the draws as strict JSON."""
        told = _plain(replace(self, rows=(), splits=()))
        told["rows"] = [
            {
                "levels": dict(row.levels),
                "data": _plain(row.data),
                "optimiser": _plain(row.optimiser),
                "ceiling": to_json(row.ceiling),
                "balance": to_json(row.balance),
                "shifts": _plain(row.shifts),
                "superiority": _plain(row.superiorities),
            }
            for row in self.rows
        ]
        told["splits"] = [
            {
                "levels": dict(each.row.levels),
                "property": each.prop,
                "parts": _plain(each.parts),
                "total": _plain(each.total),
            }
            for each in self.splits
        ]
        return told

    def short_table(self) -> ShortTable:
        """List every effect with the interval that holds at once with all others."""
        rows = []
        for response in self.responses:
            for each in (response.mean, *response.effects):
                aliased = ", ".join(map(term_text, each.aliased_with))
                rows.append(
                    (
                        f"{response.response} ({response.unit})",
                        each.name,
                        f"{each.value:.3g}",
                        format_ends(each.low, each.high),
                        "yes" if each.is_shown else "",
                        _tasks_text(each.tasks),
                        aliased,
                    )
                )
        header = ("response", "effect", "value", "interval", "shown", "tasks", "or it is")
        title = f"effects: {self.asked.source} against {self.asked.reference}, given fit"
        return ShortTable(title, header, rows, (_CAPTION, *self.notes))


_CAPTION = (
    "Effects are differences between levels; intervals (95 %) hold at once for all effects of all "
    "responses. `sd`: standard deviations of the row's own prior given a fit."
)


def _tasks_text(found: Universality | None) -> str:
    if found is None:
        return ""
    return f"{found.num_agree}/{found.num_tasks}, I² {found.i_squared:.0%}: {found.verdict}"


def _plain(value: Any) -> Any:
    """Give dataclasses, mappings and sequences as JSON has them."""
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return to_json(value)


def effects(results: Path | str | Study) -> list[Effects]:
    """Estimate what the factors of a sweep do, from its comparisons by row.

    A comparison with `by: all` and `given: fit` asks for it: a column is a property whose shift is
    looked at; `function`, or the estimator `decomposition`, says in what nats are measured. There
    is one answer for each source with its prior.

    Args:
        results: An output directory.

    Raises:
        IncomparableSources: main effects cannot be told apart with the rows that there are.
    """
    study = results if isinstance(results, Study) else Study.open(results)
    with threadpool_limits(1):  # many small systems: threads would wait for one another
        return [_effects(study, asked) for asked in asked_of(study)]


def _effects(study: Study, asked: Asked) -> Effects:
    rows = read_rows(study, asked)
    kinds = kinds_of_factors(study, rows)
    design = study.sweep.design
    order = {name: tuple(each) for name, each in design.levels.items()} if design else {}
    met = Levels.of([row.levels for row in rows], order)
    base = {name: levels[0] for name, levels in met.names.items()} | {
        name: level for row in rows[:1] for name, level in row.levels.items()
        if name not in met.names
    }  # fmt: skip
    tasks = _task_factor(met, kinds)
    analysis = Analysis(order, tasks, study.sweep.seed)
    found, notes = [], [note for row in rows for note in row.notes]
    responses = _responses(rows, asked, kinds)
    for name, unit, chosen, values in responses:
        try:
            found.append(analysis.of(name, unit, chosen, values, len(responses)))
        except InsufficientSamples as error:
            is_open = name == OPTIMISER_NATS and all(row.optimiser.value == 0 for row in rows)
            notes.append(f"{name}: {ALL_ZERO if is_open else error}")
    return Effects(
        asked=asked,
        rows=tuple(rows),
        responses=tuple(found),
        splits=tuple(each for name in asked.properties for each in splits(rows, kinds, base, name)),
        granulated={name: _granulated(rows, met, name, study.sweep.seed)
                    for name in asked.properties if name != TEST_ERROR},
        notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


Responses = list[tuple[str, str, list[Row], list[Response]]]


def _responses(rows: Sequence[Row], asked: Asked, kinds: Mapping[str, str]) -> Responses:
    """List the responses; the data's nats are the prior's, which rows may share."""
    of_priors = {row.pair.reference: row for row in reversed(rows)}
    priors = [row for row in rows if of_priors[row.pair.reference] is row]
    blind = [_without(row, kinds) for row in priors]
    found: Responses = [(DATA_NATS, "nats", blind, [row.data for row in priors])]
    if asked.nats is not None:
        found.append((OPTIMISER_NATS, "nats", list(rows), _bounds(rows)))
    for name in asked.properties:
        shifts = [row.shifts.get(name, UNKNOWN) for row in rows]
        found.append((name, "sd", list(rows), shifts))
    return found


def _bounds(rows: Sequence[Row]) -> list[Response]:
    """Give lower bounds that tell something: where all are 0, the truth may be anything."""
    bounds = [row.optimiser for row in rows]
    tells = any(each.is_known and each.value > 0 for each in bounds)
    return equally_known(bounds) if tells else [UNKNOWN] * len(bounds)


def _without(row: Row, kinds: Mapping[str, str]) -> Row:
    """A row by the levels that its prior knows."""
    return replace(row, levels={k: v for k, v in row.levels.items() if kinds[k] != OPTIMISER})


def _task_factor(levels: Levels, kinds: Mapping[str, str]) -> str | None:
    """The factor whose levels are tasks, if there are enough of them for a random effect."""
    chosen = [
        name
        for name, each in levels.names.items()
        if kinds[name] == TASK and name.split(".")[-1] != "loss" and len(each) >= MIN_TASKS
    ]
    return chosen[0] if len(chosen) == 1 else None


@dataclass(frozen=True)
class Analysis:
    """Say how effects are estimated.

    Attributes:
        order: Of levels, by factor: the first is the one that others are compared with.
        tasks: The factor whose levels are tasks, a random effect; None: all factors are fixed.
        seed: Of quantiles and bootstraps.
    """

    order: Mapping[str, Sequence[str]]
    tasks: str | None
    seed: int

    def of(
        self,
        name: str,
        unit: str,
        rows: Sequence[Row],
        responses: Sequence[Response],
        num_responses: int = 1,
    ) -> ResponseEffects:
        """Estimate the effects on one response.

        Args:
            name: Of the response.
            unit: Of the response.
            rows: Where it was measured.
            responses: What it was, one a row.
            num_responses: That are looked at together: intervals hold at once over all.

        Raises:
            InsufficientSamples: too few rows have the response.
            IncomparableSources: main effects cannot be told apart.
        """
        kept = [i for i, each in enumerate(responses) if each.is_known]
        rows, responses = [rows[i] for i in kept], [responses[i] for i in kept]
        if len(rows) < 3:
            raise InsufficientSamples(f"{len(rows)} rows have it: at least 3 are needed")
        values = np.array([each.value for each in responses])
        levels = Levels.of([row.levels for row in rows], self.order)
        tasks = levels.codes.get(self.tasks) if self.tasks else None
        fixed = levels.without(self.tasks) if tasks is not None and self.tasks else levels
        model = model_of(fixed)
        covariance = _errors(rows, responses)
        matrix, balance = self._with_balance(model.matrix, rows, tasks)
        fit = meta_regression(values, covariance, matrix, tasks)
        mean = Contrast((), MEAN, np.eye(len(model.matrix[0]))[0])
        confidence = each_of(num_responses, CONFIDENCE)
        read = _read([mean, *model.contrasts], fit, confidence, self.seed)
        if tasks is not None:
            read[0] = _over_tasks(read[0], len(np.unique(tasks)) - 1, confidence)
        by_task = self._by_task(rows, responses, fixed, tasks)
        read = [_with_tasks(each, by_task.get((each.term, each.words))) for each in read]
        return ResponseEffects(
            response=name,
            unit=unit,
            num_rows=len(rows),
            mean=read[0],
            effects=tuple(read[1:]),
            heterogeneity=math.sqrt(fit.heterogeneity),
            task_deviation=math.nan if tasks is None else math.sqrt(fit.task_variance),
            shares=tuple(shares(values, np.diag(covariance), levels, self.seed)),
            balance=_balance_effect(fit, tasks) if balance else None,
            left_out=model.left_out,
        )

    def _with_balance(
        self, matrix: np.ndarray, rows: Sequence[Row], tasks: np.ndarray | None
    ) -> tuple[np.ndarray, bool]:
        """Add the class balance as the last column, where there are tasks enough to tell it."""
        balance = np.array([row.balance for row in rows])
        few = tasks is None or len(np.unique(tasks)) < MIN_TASKS_BALANCE
        if few or not np.isfinite(balance).all() or np.ptp(balance) < 1e-6:
            return matrix, False
        return np.column_stack([matrix, balance - balance.mean()]), True

    def _by_task(
        self,
        rows: Sequence[Row],
        responses: Sequence[Response],
        fixed: Levels,
        tasks: np.ndarray | None,
    ) -> dict[tuple[Term, str], Universality]:
        """Estimate the mean and the main effects on each task by itself."""
        if tasks is None:
            return {}
        found: dict[tuple[Term, str], list[Effect]] = defaultdict(list)
        for task in np.unique(tasks):
            at = np.flatnonzero(tasks == task).tolist()
            levels = Levels(fixed.names, {name: codes[at] for name, codes in fixed.codes.items()})
            try:
                model = model_of(levels, order=1)
                errors = _errors([rows[i] for i in at], [responses[i] for i in at])
                values = np.array([responses[i].value for i in at])
                fit = meta_regression(values, errors, model.matrix)
            except (InsufficientSamples, IncomparableSources):
                continue  # this task lacks rows
            mean = Contrast((), MEAN, np.eye(len(model.matrix[0]))[0])
            for each in _read([mean, *model.contrasts], fit, CONFIDENCE, self.seed):
                found[each.term, each.words].append(each)
        universal = {
            key: universality([e.value for e in each], [e.stderr for e in each])
            for key, each in found.items()
        }
        return {key: each for key, each in universal.items() if each is not None}


def _errors(rows: Sequence[Row], responses: Sequence[Response]) -> np.ndarray:
    """The covariance of rows' sampling errors: rows with one reference share its error."""
    own = np.array([each.own for each in responses])
    shared = np.array([each.shared for each in responses])
    references = [row.pair.reference for row in rows]
    numbers = {each: i for i, each in enumerate(dict.fromkeys(references))}
    group = np.array([numbers[each] for each in references])
    covariance = np.diag(own**2)
    covariance += np.outer(shared, shared) * (group[:, None] == group[None, :])
    return covariance


def _read(contrasts: Sequence[Contrast], fit: Fit, confidence: float, seed: int) -> list[Effect]:
    """Read contrasts off a fit, with intervals that hold at once."""
    matrix = np.array([each.row for each in contrasts])
    wide = np.zeros((len(matrix), len(fit.coefficients)))
    wide[:, : matrix.shape[1]] = matrix  # the class balance comes last, and is read by itself
    values = wide @ fit.coefficients
    deviations = np.sqrt(np.einsum("kp,pq,kq->k", wide, fit.covariance, wide))
    reach = critical_value(wide, fit, confidence, seed) * deviations
    return [
        Effect(c.term, c.words, float(v), float(s), float(v - r), float(v + r), c.aliased_with)
        for c, v, s, r in zip(contrasts, values, deviations, reach, strict=True)
    ]


def _over_tasks(mean: Effect, degrees: int, confidence: float) -> Effect:
    """Widen the mean's interval to that of as many independent draws as there are tasks."""
    reach = float(stats.t.ppf((1 + confidence) / 2, degrees)) * mean.stderr
    low, high = min(mean.low, mean.value - reach), max(mean.high, mean.value + reach)
    return replace(mean, low=low, high=high)


def _with_tasks(effect: Effect, tasks: Universality | None) -> Effect:
    return replace(effect, tasks=tasks)


def _balance_effect(fit: Fit, tasks: np.ndarray | None) -> Effect:
    """Read the balance by itself: it differs between tasks alone, which are its only draws."""
    assert tasks is not None
    value, stderr = float(fit.coefficients[-1]), math.sqrt(float(fit.covariance[-1, -1]))
    degrees = len(np.unique(tasks)) - 2
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * stderr
    return Effect(("class balance",), "1 - 0", value, stderr, value - reach, value + reach)


def _granulated(rows: Sequence[Row], levels: Levels, name: str, seed: int) -> Granulated:
    sides = []
    for column in (name, TEST_ERROR):
        found = [row.means.get(column, UNKNOWN) for row in rows]
        # A mean without an error is unknown: it must not count as one that is exact.
        sides.append([each if each.is_known else UNKNOWN for each in found])
    values, errors = (np.array([each.value for each in side]) for side in sides)
    of_values, of_errors = (np.array([each.stderr for each in side]) for side in sides)
    return granulated(values, errors, (of_values, of_errors), levels, seed)
