"""Comparisons of a stored sweep: those that it asks for, or one that a person asks for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from sweep_engine.densities.answer import Answer, Judgement, Ruling, deciding, rule
from sweep_engine.densities.decomposition.decomposition import can_be_decomposed
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.estimator import (
    LEVEL,
    Estimator,
    Noted,
    Reading,
    Takes,
    Verdict,
)
from sweep_engine.densities.multiplicity import each_of, holm
from sweep_engine.densities.registry import (
    DECOMPOSITION,
    ENSEMBLE,
    FUNCTIONS,
    MEANS,
    MEDIANS,
    PAIRS,
    QUANTITIES,
    SUITED,
    add_estimator,
    estimator_of,
    is_estimator,
)
from sweep_engine.densities.stored.compared import Compared
from sweep_engine.densities.stored.pairing import Pair, pairs
from sweep_engine.densities.stored.sides import Side, counted, observed, sides_of
from sweep_engine.densities.stored.study import Study
from sweep_engine.densities.subject import Subject
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec import Comparison
from sweep_engine.spec.renamed import ESTIMATOR
from sweep_engine.spec.sweep import NETWORKS

CONFIDENCE = 0.95

DESCRIBED = Ruling(Judgement.DESCRIBED, "none of its estimates has a rule for a verdict")

Look = Callable[[], Reading]
Refused = InsufficientSamples | IncomparableSources


def compare(
    results: Path | str | Study,
    source: str,
    reference: str,
    observable: str,
    *,
    given: str = "all",
    at: dict[str, Any] | None = None,
    by: str | tuple[str, ...] | None = None,
    over: str | None = None,
    where: dict[str, tuple[float, float]] | None = None,
    match: dict[str, Any] | None = None,
    estimator: str | Estimator[Any] | None = None,
    quantity: str | None = None,
    reference_results: Path | str | Study | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Estimate one divergence between two sources, of one sweep or of two.

    Args:
        results: An output directory.
        source: Name of a source.
        reference: What it is compared with.
        observable: `function`, a column of `runs`, or several joined by commas.
        given: `fit`: only networks that pass the acceptance rule.
        at: Axis values that pick one of several settings.
        by: Axes that only one side has: pick one of their values with `at`.
        over: `task.seed`: the mean over data sets, with a bootstrap over them.
        where: Column: (low, high), of the runs that are looked at.
        match: `column` and `bins`: weigh the reference so that the column's bins agree.
        estimator: As in the sweep file, such as `mmd` or `decomposition`; or the name of an
            estimate that is made when it is left out; or an `Estimator` of your own, or the name
            of one that `add_estimator` was given.
        quantity: Which of the estimator's estimates, such as `decomposition_total`; left out,
            the first: total variation for functions, the Kolmogorov-Smirnov distance for a column.
        reference_results: The output directory of the reference, if it is another one.
        confidence: Of the interval.

    Returns:
        The estimate. Its `sentence` says the answer in words, its `answer` has the verdict, both
        medians, what else was estimated and which estimators were left out for too few draws;
        `plot()` draws both laws.

    Raises:
        IncomparableSources: the comparison means nothing, or `at` does not pick one setting.
        InsufficientSamples: too few draws for all that is asked for; says how many are needed.
    """
    study = results if isinstance(results, Study) else Study.open(results)
    other = _opened(reference_results)
    if isinstance(estimator, Estimator):
        add_estimator(estimator)
        estimator = estimator.name
    asked = None if estimator is None else _current_name(estimator)
    family = asked if asked is not None and is_estimator(asked) else None
    comparison = Comparison.model_validate(
        {
            "source": source,
            "reference": reference,
            "observable": observable,
            "given": given,
            "by": by,
            "over": over,
            "where": where,
            "match": match,
            "estimator": family,
        }
    )
    paired = pairs_of(study, comparison, other)
    chosen = [pair for pair in paired if (at or {}).items() <= pair.at.items()]
    if len(chosen) != 1:
        raise IncomparableSources(
            f"{len(chosen)} settings are paired here: pick one with `at`, from "
            f"{[pair.at for pair in paired]}"
        )
    name = quantity or (None if family else asked)
    looked = look_at_pair(study, chosen[0], other)
    estimate = _named(looked.at(confidence), name, looked.left_out)
    (answer,) = judged([_estimated(study, chosen[0], other, looked, 1, 1)])
    return replace(estimate, answer=answer)


def _opened(results: Path | str | Study | None) -> Study | None:
    return results if isinstance(results, Study | None) else Study.open(results)


def _named(estimates: Sequence[Estimate], name: str | None, left_out: Sequence[str]) -> Estimate:
    by_name = {estimate.name: estimate for estimate in estimates}
    name = next(iter(by_name)) if name is None else _current_name(name)
    if name not in by_name:
        lacking = f"; left out: {'; '.join(left_out)}" if left_out else ""
        raise IncomparableSources(f"no estimator {name!r} (there are {list(by_name)}){lacking}")
    return by_name[name]


def _current_name(name: str) -> str:
    """Give an estimator or an estimate of it its name of today: `ledger_total` had another."""
    if name == ESTIMATOR.old or name.startswith(f"{ESTIMATOR.old}_"):
        return ESTIMATOR.new + name.removeprefix(ESTIMATOR.old)
    return name


def pairs_of(study: Study, comparison: Comparison, other: Study | None = None) -> list[Pair]:
    """Pair settings of stored sweeps: see `pairs`."""
    if other is None:
        return pairs(study.plan, comparison, stored=(study.observed, None))
    return pairs(study.plan, comparison, other.plan, (study.observed, other.observed))


def compare_all(study: Study, other: Study | None = None) -> tuple[list[Compared], list[str]]:
    """Make every estimate that the sweep asks for.

    Args:
        study: The sweep, with its results.
        other: Where the references are, if elsewhere.

    Returns:
        The estimates, and a line for each comparison or estimator that has too few draws, or draws
        that it cannot use.
    """
    answers = answer_all(study, other)
    return [each for answer in answers for each in answer.compared], refusals(answers)


def answer_all(study: Study, other: Study | None = None) -> list[Answer]:
    """Answer every comparison that the sweep asks for, at each of its settings.

    Args:
        study: The sweep, with its results.
        other: Where the references are, if elsewhere.
    """
    paired = [pairs_of(study, comparison, other) for comparison in study.sweep.compare]
    total = sum(map(len, paired))
    return judged(
        [_looked(study, pair, other, len(each), total) for each in paired for pair in each]
    )


def refusals(answers: Sequence[Answer]) -> list[str]:
    """List what was not estimated, and why: whole pairs, or single estimators of one."""
    lines = []
    for answer in answers:
        comparison = answer.pair.comparison
        where = " ".join(filter(None, (comparison.observable, answer.pair.label())))
        title = f"{comparison.source} against {comparison.reference}, {where}"
        reasons = answer.left_out if answer.compared else (answer.ruling.reason,)
        lines += [f"{title}: {reason}" for reason in reasons]
    return lines


@dataclass(frozen=True)
class Looked:
    """Hold what the estimators of a pair saw, and which of them could not be used."""

    parts: tuple[Reading, ...]
    failed: Mapping[str, Refused]
    expects_verdict: bool = False

    @property
    def left_out(self) -> tuple[str, ...]:
        """Name what could not be used, each with its reason."""
        return tuple(f"{name}: {error}" for name, error in self.failed.items())

    def undecided(self, estimates: Sequence[Estimate]) -> Ruling:
        """Say why there is no verdict, where no estimate has a rule for one."""
        if self.failed:
            return _refusal(next(iter(self.failed.values())))
        if not self.expects_verdict:
            return DESCRIBED
        reasons = dict.fromkeys(text for each in estimates for text in each.warnings)
        first = [*reasons][:2]  # what is missing, and why; the others are of what is there
        return Ruling(Judgement.TOO_FEW, "; ".join(first) or "the estimate that decides is missing")

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Read all, in order."""
        return tuple(estimate for part in self.parts for estimate in part.at(confidence))


@dataclass(frozen=True)
class Estimated:
    """The estimates of a pair before it is judged.

    Attributes:
        answer: All but the ruling, which says why where there is no estimate.
        decides: The estimate that decides, with the interval by which it does; None without one.
    """

    answer: Answer
    decides: Estimate | None = None


def _looked(study: Study, pair: Pair, other: Study | None, num_pairs: int, total: int) -> Estimated:
    """Look at a pair, or say why that cannot be."""
    try:
        looked = look_at_pair(study, pair, other)
        return _estimated(study, pair, other, looked, num_pairs, total)
    except (InsufficientSamples, IncomparableSources) as error:
        ruling = _refusal(error)
        return Estimated(Answer(pair, _subject(study, pair), ruling, study=study, other=other))


def _estimated(
    study: Study, pair: Pair, other: Study | None, looked: Looked, num_pairs: int, total: int
) -> Estimated:
    """Read the estimates of a pair, and that by which it will be judged."""
    compared = _together(pair, looked, num_pairs)
    return Estimated(
        Answer(
            pair,
            _subject(study, pair),
            looked.undecided([each.estimate for each in compared]),
            tuple(compared),
            looked.left_out,
            study,
            other,
        ),
        _deciding(looked, [each.estimate for each in compared], total),
    )


def _subject(study: Study, pair: Pair) -> Subject:
    return Subject.of(pair.comparison, study.results.table("runs").schema)


def _refusal(error: Refused) -> Ruling:
    few = isinstance(error, InsufficientSamples)
    return Ruling(Judgement.TOO_FEW if few else Judgement.REFUSED, str(error))


def _deciding(looked: Looked, alone: Sequence[Estimate], total: int) -> Estimate | None:
    """Read the estimate that decides at the confidence which allows for all pairs."""
    place = deciding(alone)
    if place is None or QUANTITIES[alone[place].name].verdict is Verdict.TEST:
        return None if place is None else alone[place]
    return looked.at(each_of(total, 1 - LEVEL))[place]


def judged(estimated: Sequence[Estimated]) -> list[Answer]:
    """Judge all pairs together; `densities.answer` says how, and what the chance of error is."""
    answers = [each.answer for each in estimated]
    tests = [i for i, each in enumerate(estimated) if _is_test(each.decides)]
    num_intervals = sum(each.decides is not None for each in estimated) - len(tests)
    share = LEVEL * (1 - num_intervals / max(len(estimated), 1))
    raw = np.array([each.decides.p_value for each in estimated if _is_test(each.decides)], float)
    adjusted: dict[int, float] = dict(zip(tests, holm(raw).tolist(), strict=True))
    for i, each in enumerate(estimated):
        if each.decides is not None:
            ruling = rule(each.decides, adjusted.get(i), share)
            answers[i] = replace(answers[i], ruling=ruling)
    return _adjusted(answers)


def _is_test(estimate: Estimate | None) -> TypeGuard[Estimate]:
    return estimate is not None and QUANTITIES[estimate.name].verdict is Verdict.TEST


def _together(pair: Pair, reading: Reading, num_pairs: int) -> list[Compared]:
    """Estimates with intervals of their own, and with those that hold for all pairs at once."""
    alone = reading.at(CONFIDENCE)
    if num_pairs == 1:
        return [Compared(pair, estimate) for estimate in alone]
    at_once = reading.at(each_of(num_pairs, CONFIDENCE))
    return [
        Compared(pair, estimate, num_settings=num_pairs, wide=wide)
        for estimate, wide in zip(alone, at_once, strict=True)
    ]


def _adjusted(answers: Sequence[Answer]) -> list[Answer]:
    """Adjust the p-values of all tests that are made together."""
    tests = [each.estimate for answer in answers for each in answer.compared]
    raw = np.array([each.p_value for each in tests if each.p_value is not None], float)
    adjusted = iter(holm(raw).tolist())
    return [
        replace(
            answer,
            compared=tuple(
                each if each.estimate.p_value is None else replace(each, p_adjusted=next(adjusted))
                for each in answer.compared
            ),
        )
        for answer in answers
    ]


def look_at_pair(study: Study, pair: Pair, other: Study | None = None) -> Looked:
    """Look at the draws of one pair, with every estimator that its comparison asks for.

    One that lacks draws, or cannot use them, is left out and named. The medians of one column
    are looked at beside, whatever is asked for.

    Raises:
        IncomparableSources: the observable is no column that both sources fill.
        InsufficientSamples: too few draws for every estimator that is asked for.
    """
    sides = sides_of(study, pair, other)
    chosen = chosen_estimators(*sides)
    asked, beside = _looks(chosen, *sides)
    parts, failed = _tried(asked)
    if not parts:  # medians alone are not what was asked for
        raise next(iter(failed.values()))
    more, lacking = _tried(beside)
    return Looked((*parts, *more), failed | lacking, _expects_verdict(pair, chosen))


def _tried(looks: Mapping[str, Look]) -> tuple[list[Reading], dict[str, Refused]]:
    """Look with each, and keep why some could not."""
    parts: list[Reading] = []
    failed: dict[str, Refused] = {}
    for name, look in looks.items():
        try:
            parts.append(look())
        except (InsufficientSamples, IncomparableSources) as error:
            failed[name] = error
    return parts, failed


def _expects_verdict(pair: Pair, chosen: Sequence[Estimator[Any]]) -> bool:
    """Say whether an estimate that decides is missing where there is none."""
    rules = (quantity.verdict for each in chosen for quantity in each.quantities)
    return not pair.comparison.is_within_one and any(each is not Verdict.NONE for each in rules)


def _looks(
    chosen: Sequence[Estimator[Any]], source: Side, reference: Side
) -> tuple[dict[str, Look], dict[str, Look]]:
    """List what is to look at both sides: the estimators asked for, and those beside, by name."""
    seed = source.study.sweep.seed
    asked: dict[str, Look] = {}
    beside: dict[str, Look] = {}
    for estimator in chosen:
        if estimator.takes is Takes.SIDES:
            asked[estimator.name] = partial(estimator.look, source, reference, seed)
        elif estimator.takes is Takes.FUNCTIONS:
            asked[estimator.name] = partial(_look_at_functions, estimator, source, reference)
        else:
            draws, notes = observed(source, reference)
            parts = estimator.parts(draws[0])
            asked |= {each.name: partial(_noted, each, draws, notes, seed) for each in parts}
            by_itself = source == reference or source.comparison.over is not None
            more = () if by_itself else _beside(draws)
            beside = {
                each.name: partial(_noted, each, draws, notes, seed)
                for each in more
                if each.name not in asked
            }
    return asked, beside


def _beside(draws: tuple[Draws, Draws]) -> tuple[Estimator[Draws], ...]:
    """Choose what tells where both sides lie: medians, or the share of a column of 0 and 1."""
    if draws[0].dimension != 1:
        return ()
    values = np.concatenate([side.values for side in draws])
    return (MEANS,) if np.isin(values, (0.0, 1.0)).all() else (MEDIANS,)


def _noted(
    estimator: Estimator[Draws], draws: tuple[Draws, Draws], notes: tuple[str, ...], seed: int
) -> Reading:
    return Noted(estimator.look(*draws, seed), notes)


def _look_at_functions(estimator: Estimator[Any], source: Side, reference: Side) -> Reading:
    (_, counts), notes = counted(source, reference)
    return Noted(estimator.look(counts.source, counts.reference, source.study.sweep.seed), notes)


def chosen_estimators(source: Side, reference: Side) -> tuple[Estimator[Any], ...]:
    """List the estimator that is named, or those that suit the observable.

    Raises:
        IncomparableSources: The one that is named is a user's own and not known here.
    """
    comparison = source.comparison
    if comparison.over is not None:
        return (MEANS,)
    if comparison.estimator is not None:
        return (estimator_of(comparison.estimator),)
    if comparison.observable == NETWORKS:
        return (PAIRS, ENSEMBLE) if source == reference else (PAIRS,)
    if comparison.is_of_columns:
        return (SUITED,)
    return (FUNCTIONS, DECOMPOSITION) if can_be_decomposed(source, reference) else (FUNCTIONS,)
