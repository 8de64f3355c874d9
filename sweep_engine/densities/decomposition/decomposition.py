"""The ledger of a pair, from what is stored: P(fit), the KL given a fit, the test errors."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial

from sweep_engine.densities.columns.mean import mean
from sweep_engine.densities.decomposition.nats import (
    data_nats,
    optimiser_nats,
    pac_bayes_bound,
    total_nats,
)
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.functions.function_space import divergence_lower_bounds
from sweep_engine.densities.registry import kl_lower_bound
from sweep_engine.densities.stored.sides import Side, counted, observed
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.sources import GuessAndCheck, Prior, Splitting
from sweep_engine.tasks import load_task

Level = Callable[[float], Estimate]
"""From a confidence to an estimate whose interval is at it."""


def has_ledger(source: Side, reference: Side) -> bool:
    """Whether the reference is a law over networks, and both sides are given a fit."""
    spec = reference.chosen[0].spec
    law = isinstance(spec, Prior | GuessAndCheck | Splitting)
    whole = source.comparison.where is None and source.comparison.match is None
    whole = whole and not reference.study.data_seeds(reference.settings)
    measures_fit = not (isinstance(spec, Splitting) and spec.functions)
    return law and whole and measures_fit and source.comparison.given == "fit"


def ledger_of(source: Side, reference: Side) -> Callable[[float], list[Estimate]]:
    """The ledger of a pair: its two entries, their sum, and the PAC-Bayes bound.

    The draws are looked at once; what is returned takes a confidence.
    """
    if not has_ledger(source, reference):
        raise IncomparableSources(
            "the ledger is of networks that fit (`given: fit`, without `where` or `match`) "
            "against a law: prior, guess_and_check or splitting"
        )
    kl = cache(partial(_kl, source, reference))
    return lambda confidence: _entries(source, reference, kl, confidence)


def _entries(
    source: Side, reference: Side, kl: Callable[[], Level], confidence: float
) -> list[Estimate]:
    each = (1 + confidence) / 2
    data, wide = (
        data_nats(reference.study.ln_fit_probability(reference.chosen, level))
        for level in (confidence, each)
    )
    try:
        optimiser, wide_optimiser = (
            optimiser_nats(kl()(level), source.comparison.observable)
            for level in (confidence, each)
        )
        entries = [data, optimiser, total_nats(wide, wide_optimiser, confidence)]
    except InsufficientSamples as error:
        alone = total_nats(wide, None, confidence)
        entries = [data, replace(alone, warnings=(*alone.warnings, str(error)))]
    return [*entries, *_bound(source, reference, wide)]


def _kl(source: Side, reference: Side) -> Level:
    seed = source.study.sweep.seed
    if source.comparison.observable == "function":
        cells = counted(source, reference)[0][1]
        return lambda level: divergence_lower_bounds(cells, seed=seed, confidence=level)[-1]
    draws, notes = observed(source, reference)
    kl = kl_lower_bound(*draws, seed)

    def noted(confidence: float) -> Estimate:
        found = kl(confidence)
        return replace(found, warnings=(*notes, *found.warnings))

    return noted


def _bound(source: Side, reference: Side, data: Estimate) -> list[Estimate]:
    """The PAC-Bayes bound, beside the measured test error of both sides.

    It is there where the training set is a random sample and the acceptance rule its error.
    """
    settings = reference.chosen
    setting, rule = settings[0], settings[0].accept.train_error
    task = setting.task
    drawn = isinstance(getattr(task, "train", None), int)
    clean = not isinstance(task, Custom) and getattr(task, "poison", None) is None
    if len(settings) > 1 or rule is None or not (drawn and clean):
        return []
    sweep = reference.study.sweep
    examples = len(load_task(task, sweep.seed, sweep.folder).train)
    return [pac_bayes_bound(data, examples, rule), *_test_errors(source, reference)]


def _test_errors(source: Side, reference: Side) -> Iterator[Estimate]:
    for name, side in (("source", source), ("reference", reference)):
        try:
            draws = side.draws(["test_error"])
            yield mean(draws, name=f"test_error_{name}", seed=side.study.sweep.seed)
        except (IncomparableSources, InsufficientSamples):
            continue  # there is no test set, or no row was kept
