"""Every estimate of a sweep's comparisons, from stored tables: one door for all callers."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sweep_engine.densities.comparisons import Compared, Study
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.estimators import ESTIMATORS, default_estimators
from sweep_engine.densities.function_space import compare_functions
from sweep_engine.densities.multiplicity import holm
from sweep_engine.densities.pair_ledger import has_ledger, ledger_of
from sweep_engine.densities.pairing import Pair, pairs
from sweep_engine.densities.sides import Side, counted, observed, sides_of
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec import Comparison


def compare(
    results: Path | str | Study,
    source: str,
    reference: str,
    observable: str,
    *,
    given: str = "all",
    at: dict[str, Any] | None = None,
    by: str | None = None,
    where: dict[str, tuple[float, float]] | None = None,
    match: dict[str, Any] | None = None,
    estimator: str | None = None,
    quantity: str | None = None,
    reference_results: Path | str | Study | None = None,
) -> Estimate:
    """Estimate one divergence between two sources, of one sweep or of two.

    Args:
        results: An output directory.
        source: Name of a source.
        reference: What it is compared with.
        observable: `function`, a column of `runs`, or several joined by commas.
        given: `fit`: only networks that pass the acceptance rule.
        at: Axis values that pick one of several settings.
        by: An axis that only one side has: pick one of its values with `at`.
        where: Column: (low, high), of the runs that are looked at.
        match: `column` and `bins`: weigh the reference so that the column's bins agree.
        estimator: As in the sweep file, such as `mmd` or `ledger`; or the name of an estimate
            that is made when it is left out.
        quantity: Which of the estimator's estimates, such as `ledger_total`; left out, the
            first: total variation for functions, the Kolmogorov-Smirnov distance for a column.
        reference_results: The output directory of the reference, if it is another one.

    Raises:
        IncomparableSources: the comparison means nothing, or `at` does not pick one setting.
        InsufficientSamples: too few draws; says how many are needed.
    """
    study = results if isinstance(results, Study) else Study.open(results)
    other = _opened(reference_results)
    family = estimator if estimator in ESTIMATORS or estimator == "ledger" else None
    comparison = Comparison.model_validate(
        {
            "source": source,
            "reference": reference,
            "observable": observable,
            "given": given,
            "by": by,
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
    return _named(estimates_of(study, chosen[0], other), name)


def _opened(results: Path | str | Study | None) -> Study | None:
    return results if isinstance(results, Study | None) else Study.open(results)


def _named(found: Sequence[Estimate], name: str | None) -> Estimate:
    estimates = {estimate.name: estimate for estimate in found}
    name = name or next(iter(estimates))
    if name not in estimates:
        raise IncomparableSources(f"no estimator {name!r} (there are {list(estimates)})")
    return estimates[name]


def compare_all(study: Study, other: Study | None = None) -> tuple[list[Compared], list[str]]:
    """Make every estimate that the sweep asks for.

    Args:
        study: The sweep, with its results.
        other: Where the references are, if elsewhere.

    Returns:
        The estimates, and a line for each comparison that has too few draws, or draws that its
        estimator cannot use.
    """
    found, refused = [], []
    for comparison in study.sweep.compare:
        for pair in pairs(study.plan, comparison, other.plan if other else None):
            try:
                found += [Compared(pair, one) for one in estimates_of(study, pair, other)]
            except (InsufficientSamples, IncomparableSources) as error:
                refused.append(
                    f"{comparison.source} against {comparison.reference}, "
                    f"{comparison.observable} {pair.label()}: {error}"
                )
    return _adjusted(found), refused


def _adjusted(found: list[Compared]) -> list[Compared]:
    """Adjust the p-values of all tests that are made together."""
    tests = [i for i, one in enumerate(found) if one.estimate.p_value is not None]
    raw = np.array([found[i].estimate.p_value for i in tests], float)
    for i, p in zip(tests, holm(raw), strict=True):
        found[i] = replace(found[i], p_adjusted=float(p))
    return found


def estimates_of(study: Study, pair: Pair, other: Study | None = None) -> list[Estimate]:
    """Make all estimates of one pair.

    Raises:
        IncomparableSources: the observable is no column that both sources fill.
        InsufficientSamples: too few draws.
    """
    sides = sides_of(study, pair, other)
    asked = pair.comparison
    if asked.estimator == "ledger":
        return ledger_of(*sides)
    own = _observable_estimates(*sides)
    by_default = asked.estimator is None and asked.observable == "function"
    return [*own, *ledger_of(*sides)] if by_default and has_ledger(*sides) else own


def _observable_estimates(source: Side, reference: Side) -> list[Estimate]:
    asked, seed = source.comparison, source.study.sweep.seed
    if asked.observable == "function":
        cells, notes = counted(source, reference)
        return _noted(compare_functions(cells[1], seed=seed), notes)
    draws, notes = observed(source, reference)
    names = [asked.estimator] if asked.estimator else default_estimators(draws[0])
    found = [one for name in names if name for one in ESTIMATORS[name](*draws, seed)]
    return _noted(found, notes)


def _noted(found: Sequence[Estimate], notes: tuple[str, ...]) -> list[Estimate]:
    return [replace(one, warnings=(*notes, *one.warnings)) for one in found]
