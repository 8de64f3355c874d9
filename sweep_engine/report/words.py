"""What is asked, and what an estimate means, in words for a newcomer."""

import re
from collections.abc import Iterable, Sequence

from sweep_engine.densities import Compared, Estimate, format_p
from sweep_engine.densities.estimator import Table
from sweep_engine.densities.registry import QUANTITIES
from sweep_engine.numbers import format_interval
from sweep_engine.spec import Comparison, Sweep
from sweep_engine.spec.sources import Source

HEADLINES = tuple(
    name for name, quantity in QUANTITIES.items() if quantity.table is Table.HEADLINES
)
"""The estimates of the first table, the preferred ones first; a figure draws one of them."""

ABBREVIATIONS = re.compile(r"\b(kl|ks|tv|mmd|c2st|pac)\b")


def quantity(estimate: Estimate) -> str:
    """Name what is estimated, with its unit."""
    name = ABBREVIATIONS.sub(lambda word: word[0].upper(), estimate.name.replace("_", " "))
    return name if estimate.unit == "1" else f"{name} ({estimate.unit})"


def question(sweep: Sweep) -> str:
    """Ask what the sweep's comparisons ask, and say what its sources are."""
    if not sweep.compare:
        return "Where do these networks land?"
    known = [source_words(name, spec) for name, spec in sweep.sources.items()]
    return f"{_asked(sweep.compare)}\n\n{'; '.join(known)}."


READING = (
    "Shift: the source's median less the reference's, with an interval that holds for all settings "
    "of a comparison at once, at 95%; where there is no median, how much of one law would have to "
    "move. Nats: the KL divergence of the source from the reference; ≥ marks a lower bound. "
    "Verdict: one test a row, chosen before the data; the chance of any false “differ” "
    "among all rows is at most 5%. “No difference shown” is no proof that there is none. "
    "“Too few draws” means that a difference of a standard deviation could go unseen."
)
"""How to read the table of answers."""


def _asked(comparisons: Sequence[Comparison]) -> str:
    across = [each for each in comparisons if not each.is_within_one]
    if not across:
        sources = _listed(dict.fromkeys(each.source for each in comparisons))
        return f"What do the networks of {sources} have in common?"
    sources = _listed(dict.fromkeys(each.source for each in across))
    references = _listed(dict.fromkeys(each.reference for each in across))
    return f"Where do the networks of {sources} land, compared with those of {references}?"


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def source_words(name: str, spec: Source) -> str:
    """Say what the networks of a source are."""
    return f"{name}: {spec.sentence}"


def meaning(compared: Compared) -> str:
    """Say what an estimate means."""
    estimate = compared.estimate
    return QUANTITIES[estimate.name].meaning(estimate, compared.p_adjusted)


def shown_ends(estimate: Estimate, ends: tuple[float, float] | None = None) -> tuple[float, float]:
    """The ends of an interval as figures draw it: one that is open upwards, up to its value.

    Args:
        estimate: Of which it is.
        ends: Another interval of the same estimate; left out, its own.
    """
    low, high = ends or (estimate.low, estimate.high)
    return low, estimate.value if QUANTITIES[estimate.name].is_lower_bound else high


def table_of(estimate: Estimate) -> Table:
    """Name the table that lists an estimate."""
    return QUANTITIES[estimate.name].table


def null_words(compared: Compared) -> str:
    """The same-source null with its range, or the p-value of the test."""
    estimate = compared.estimate
    if compared.p_adjusted is not None:
        alone, among = format_p(estimate.p_value or 0.0), format_p(compared.p_adjusted)
        return f"p = {alone}, {among} among all tests here".replace("= <", "< ")
    if estimate.null_value is None or estimate.null_low is None or estimate.null_high is None:
        return ""
    return format_interval(estimate.null_value, estimate.null_low, estimate.null_high)
