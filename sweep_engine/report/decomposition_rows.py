"""The KL decomposition in words: a row of the page for each pair."""

from collections.abc import Iterator, Sequence

import numpy as np

from sweep_engine.densities import Estimate, Study
from sweep_engine.densities.decomposition.nats import DATA, OPTIMISER, TOTAL
from sweep_engine.densities.registry import QUANTITIES
from sweep_engine.numbers import format_bound, format_interval
from sweep_engine.report.decomposition import Decomposed, error_labels
from sweep_engine.report.page.contents import DecompositionRow
from sweep_engine.report.places import place_of_pair

WORDS = (
    "How surprising is it to land where the source landed, for one who draws networks from the "
    "prior? Fitting the training set costs −ln P(fit) nats, whoever does it: that is what the "
    "data explain. What the source prefers among the networks that fit comes on top: that is what "
    "the optimiser adds, KL(source ‖ prior given fit). Their sum is KL(source ‖ prior). A nat more "
    "is a factor e = 2.7 in odds."
)


def decomposition_rows(
    study: Study, decomposed: Sequence[Decomposed]
) -> Iterator[DecompositionRow]:
    """Put the estimates into words, one row a pair."""
    for each in decomposed:
        comparison = each.pair.comparison
        yield DecompositionRow(
            source=comparison.source,
            reference=comparison.reference,
            setting=each.pair.label(),
            observable=each.observable,
            data=_words(each.estimates[DATA.name]),
            optimiser=_words(each.estimates.get(OPTIMISER.name)),
            total=_words(each.estimates[TOTAL.name]),
            errors=_errors(each),
            meaning=_meaning(each),
            warnings=_warnings(each),
            place=place_of_pair(study, each.pair),
        )


def _words(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not measured"
    if QUANTITIES[estimate.name].is_lower_bound:
        return format_bound(estimate.value, estimate.low)
    return format_interval(estimate.value, estimate.low, estimate.high)


def _errors(each: Decomposed) -> tuple[tuple[str, str], ...]:
    estimates, labels = each.estimates, error_labels(each.pair).items()
    return tuple((label, _words(estimates[name])) for name, label in labels if name in estimates)


def _meaning(each: Decomposed) -> str:
    data, optimiser = each.estimates[DATA.name], each.estimates.get(OPTIMISER.name)
    if optimiser is None:
        return "Too few networks that fit to say what the optimiser adds."
    if optimiser.low <= 0:
        return (
            "No preference of the optimiser is shown in this observable: the data explain all "
            "that is seen in it."
        )
    total = data.value + optimiser.low
    if not np.isfinite(total) or total <= 0:
        return f"The optimiser adds at least {optimiser.low:.2g} nats."
    share = optimiser.low / total
    part = f"{share:.0%}" if share > 0.01 else "under 1%"
    return f"The optimiser adds at least {optimiser.low:.2g} nats, {part} of the sum."


def _warnings(each: Decomposed) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.estimates[TOTAL.name].warnings))
