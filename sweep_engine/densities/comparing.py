"""Comparisons of a stored sweep: those that it asks for, or one that a person asks for."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sweep_engine.densities.decomposition.decomposition import Decomposition, can_be_decomposed
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.estimator import Estimator, Noted, Reading, Readings, Takes
from sweep_engine.densities.multiplicity import each_of, holm
from sweep_engine.densities.registry import ENSEMBLE, ESTIMATORS, FUNCTIONS, PAIRS, SUITED
from sweep_engine.densities.stored.compared import Compared
from sweep_engine.densities.stored.pairing import Pair, pairs
from sweep_engine.densities.stored.sides import Side, counted, observed, sides_of
from sweep_engine.densities.stored.study import Study
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec import Comparison
from sweep_engine.spec.renamed import ESTIMATOR
from sweep_engine.spec.sweep import NETWORKS

CONFIDENCE = 0.95


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
    estimator: str | None = None,
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
            estimate that is made when it is left out.
        quantity: Which of the estimator's estimates, such as `decomposition_total`; left out,
            the first: total variation for functions, the Kolmogorov-Smirnov distance for a column.
        reference_results: The output directory of the reference, if it is another one.
        confidence: Of the interval.

    Raises:
        IncomparableSources: the comparison means nothing, or `at` does not pick one setting.
        InsufficientSamples: too few draws; says how many are needed.
    """
    study = results if isinstance(results, Study) else Study.open(results)
    other = _opened(reference_results)
    estimator = None if estimator is None else _current_name(estimator)
    family = estimator if estimator in ESTIMATORS else None
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
    paired = pairs(study.plan, comparison, other.plan if other else None)
    chosen = [pair for pair in paired if (at or {}).items() <= pair.at.items()]
    if len(chosen) != 1:
        raise IncomparableSources(
            f"{len(chosen)} settings are paired here: pick one with `at`, from "
            f"{[pair.at for pair in paired]}"
        )
    name = quantity or (None if family else estimator)
    return _named(look_at_pair(study, chosen[0], other).at(confidence), name)


def _opened(results: Path | str | Study | None) -> Study | None:
    return results if isinstance(results, Study | None) else Study.open(results)


def _named(estimates: Sequence[Estimate], name: str | None) -> Estimate:
    by_name = {estimate.name: estimate for estimate in estimates}
    name = next(iter(by_name)) if name is None else _current_name(name)
    if name not in by_name:
        raise IncomparableSources(f"no estimator {name!r} (there are {list(by_name)})")
    return by_name[name]


def _current_name(name: str) -> str:
    """Give an estimator or an estimate of it its name of today: `ledger_total` had another."""
    if name == ESTIMATOR.old or name.startswith(f"{ESTIMATOR.old}_"):
        return ESTIMATOR.new + name.removeprefix(ESTIMATOR.old)
    return name


def compare_all(study: Study, other: Study | None = None) -> tuple[list[Compared], list[str]]:
    """Make every estimate that the sweep asks for.

    Args:
        study: The sweep, with its results.
        other: Where the references are, if elsewhere.

    Returns:
        The estimates, and a line for each comparison that has too few draws, or draws that its
        estimator cannot use.
    """
    compared: list[Compared] = []
    refused: list[str] = []
    for comparison in study.sweep.compare:
        paired = pairs(study.plan, comparison, other.plan if other else None)
        for pair in paired:
            try:
                compared += _together(pair, look_at_pair(study, pair, other), len(paired))
            except (InsufficientSamples, IncomparableSources) as error:
                where = " ".join(filter(None, (comparison.observable, pair.label())))
                refused.append(
                    f"{comparison.source} against {comparison.reference}, {where}: {error}"
                )
    return _adjusted(compared), refused


def _together(pair: Pair, reading: Reading, num_pairs: int) -> list[Compared]:
    """Estimates with intervals of their own, and with those that hold for all pairs at once."""
    alone = reading.at(CONFIDENCE)
    if num_pairs == 1:
        return [Compared(pair, estimate) for estimate in alone]
    at_once = reading.at(each_of(num_pairs, CONFIDENCE))
    return [
        Compared(pair, estimate, num_settings=num_pairs, simultaneous=(wide.low, wide.high))
        for estimate, wide in zip(alone, at_once, strict=True)
    ]


def _adjusted(compared: list[Compared]) -> list[Compared]:
    """Adjust the p-values of all tests that are made together."""
    tests = [i for i, each in enumerate(compared) if each.estimate.p_value is not None]
    raw = np.array([compared[i].estimate.p_value for i in tests], float)
    for i, p in zip(tests, holm(raw), strict=True):
        compared[i] = replace(compared[i], p_adjusted=float(p))
    return compared


def look_at_pair(study: Study, pair: Pair, other: Study | None = None) -> Reading:
    """Look at the draws of one pair, with every estimator that its comparison asks for.

    Raises:
        IncomparableSources: the observable is no column that both sources fill.
        InsufficientSamples: too few draws; or the reading raises it.
    """
    source, reference = sides_of(study, pair, other)
    chosen = _chosen(source, reference)
    return Readings(tuple(_look(estimator, source, reference) for estimator in chosen))


def _chosen(source: Side, reference: Side) -> tuple[Estimator[Any], ...]:
    """The estimator that is named, or those that suit the observable."""
    comparison = source.comparison
    if comparison.over is not None:
        return (ESTIMATORS["mean"],)
    if comparison.estimator is not None:
        return (ESTIMATORS[comparison.estimator],)
    if comparison.observable == NETWORKS:
        return (PAIRS, ENSEMBLE) if source == reference else (PAIRS,)
    if comparison.is_of_columns:
        return (SUITED,)
    decomposition = ESTIMATORS[Decomposition.name]
    return (FUNCTIONS, decomposition) if can_be_decomposed(source, reference) else (FUNCTIONS,)


def _look(estimator: Estimator[Any], source: Side, reference: Side) -> Reading:
    """Read what the estimator takes of both sides, and let it look."""
    seed = source.study.sweep.seed
    if estimator.takes is Takes.SIDES:
        return estimator.look(source, reference, seed)
    if estimator.takes is Takes.FUNCTIONS:
        (_, counts), notes = counted(source, reference)
        return Noted(estimator.look(counts.source, counts.reference, seed), notes)
    draws, notes = observed(source, reference)
    return Noted(estimator.look(*draws, seed), notes)
