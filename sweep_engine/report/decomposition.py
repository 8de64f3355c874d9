"""The ledger on the page: what the data explain and what the optimiser adds, in nats."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sweep_engine.densities import Compared, Estimate, Pair, Study
from sweep_engine.densities.decomposition.nats import DATA, OPTIMISER, PAC_BAYES, TOTAL
from sweep_engine.report.drawing.axes import Axis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Along, Figure, Panel, Place
from sweep_engine.report.drawing.marks import Band, Line, Mark, Points
from sweep_engine.report.figures.functions import figure_name
from sweep_engine.report.numbers import format_interval
from sweep_engine.report.page.page import LedgerRow
from sweep_engine.report.places import place_of_pair, value_text

NAMES = (DATA, OPTIMISER, TOTAL, PAC_BAYES, "test_error_source", "test_error_reference")

WORDS = (
    "How surprising is it to land where the source landed, for one who draws networks from the "
    "prior? Fitting the training set costs −ln P(fit) nats, whoever does it: that is what the "
    "data explain. What the source prefers among the networks that fit comes on top: that is what "
    "the optimiser adds, KL(source ‖ prior given fit). Their sum is KL(source ‖ prior). A nat more "
    "is a factor e = 2.7 in odds."
)


@dataclass(frozen=True)
class Entry:
    """The ledger's estimates of one pair, by name."""

    pair: Pair
    found: dict[str, Estimate]


def entries(compared: Sequence[Compared]) -> list[Entry]:
    """Collect the ledger's estimates, one entry for each pair that has them."""
    rows: list[Entry] = []
    for one in compared:
        if one.estimate.name == DATA:
            rows.append(Entry(one.pair, {}))
        if one.estimate.name in NAMES and rows and rows[-1].pair == one.pair:
            rows[-1].found[one.estimate.name] = one.estimate
    return rows


def ledger_rows(study: Study, found: Sequence[Entry]) -> Iterator[LedgerRow]:
    """Put the ledger's estimates into words, one row a pair."""
    for entry in found:
        asked = entry.pair.comparison
        yield LedgerRow(
            source=asked.source,
            reference=asked.reference,
            setting=entry.pair.label(),
            observable="functions" if asked.observable == "function" else asked.observable,
            data=_words(entry.found[DATA]),
            optimiser=_words(entry.found.get(OPTIMISER)),
            total=_words(entry.found[TOTAL]),
            errors=_errors(entry),
            meaning=_meaning(entry.found),
            warnings=_warnings(entry.found),
            place=place_of_pair(study, entry.pair),
        )


def _words(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not measured"
    if np.isnan(estimate.value):
        return f"at least {format_interval(estimate.low)}"
    return format_interval(estimate.value, estimate.low, estimate.high)


def _error_labels(pair: Pair) -> dict[str, str]:
    source, reference = pair.comparison.source, pair.comparison.reference
    return {
        PAC_BAYES: f"PAC-Bayes bound, {reference}",
        "test_error_reference": f"test error, {reference}",
        "test_error_source": f"test error, {source}",
    }


def _errors(entry: Entry) -> tuple[tuple[str, str], ...]:
    found = entry.found
    labels = _error_labels(entry.pair).items()
    return tuple((label, _words(found[name])) for name, label in labels if name in found)


def _meaning(found: dict[str, Estimate]) -> str:
    data, optimiser = found[DATA], found.get(OPTIMISER)
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


def _warnings(found: dict[str, Estimate]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found[TOTAL].warnings))


# Along an axis


def ledger_figures(study: Study, found: Sequence[Entry]) -> Iterator[Figure]:
    """Draw the ledger along every numeric axis on which it has several points."""
    groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in found:
        asked = entry.pair.comparison
        groups[asked.source, asked.reference, asked.observable].append(entry)
    for group in groups.values():
        for path in group[0].pair.at:
            values = [entry.pair.at.get(path) for entry in group]
            others = {str({k: v for k, v in e.pair.at.items() if k != path}) for e in group}
            numeric = all(isinstance(v, int | float) for v in values)
            if numeric and len(set(values)) > 1 and len(others) == 1:
                yield _along(study, path, sorted(group, key=lambda entry: entry.pair.at[path]))


def _along(study: Study, path: str, group: Sequence[Entry]) -> Figure:
    asked, name = group[0].pair.comparison, path.split(".")[-1]
    axis = Axis("training examples" if path == "task.train" else name)
    nats = [
        mark
        for key, label, colour in (
            (DATA, "the data explain", Role.REFERENCE),
            (OPTIMISER, "the optimiser adds, at least", Role.SOURCE),
        )
        for mark in _marks(path, group, key, label, colour)
    ]
    colours = (Role.EXACT, Role.REFERENCE, Role.SOURCE)
    errors = [
        mark
        for (key, label), colour in zip(_error_labels(group[0].pair).items(), colours, strict=True)
        for mark in _marks(path, group, key, label, colour)
    ]
    whole = place_of_pair(study, *(entry.pair for entry in group))
    place = Place(whole.at, tuple(other for other in whole.over if other != path))
    values = [entry.pair.at[path] for entry in group]
    along = Along(path, tuple(map(value_text, values)), np.array(values, float))
    panels = [
        Panel(title, axis, Axis(label), tuple(marks), place=place, along=along)
        for title, label, marks in (
            ("What it costs to land there", "nats", nats),
            ("What that promises", "error", errors),
        )
        if marks
    ]
    observable = "functions" if asked.observable == "function" else asked.observable
    return Figure(
        name=figure_name(f"ledger along {name} {asked.observable}", Pair(asked, {}, (), ())),
        title=f"The ledger along {name}: {asked.source} and {asked.reference}, {observable}",
        caption="Bands are 95% intervals that hold at once. The bound is on the error, over the "
        "population that the training set was drawn from, of the prior given a fit; it holds with "
        "95% confidence. The test error is over inputs that are not in the training set.",
        panels=tuple(panels),
        query='SELECT "at", name, value, low_simultaneous, high_simultaneous '
        f"FROM 'comparisons.parquet' WHERE source = '{asked.source}' AND "
        f"reference = '{asked.reference}' AND "
        "(name LIKE 'ledger%' OR name LIKE 'test_error%' OR name = 'pac_bayes_bound')",
    )


def _marks(
    path: str, group: Sequence[Entry], name: str, label: str, colour: Role
) -> Iterator[Mark]:
    chosen = [(e.pair.at[path], e.found[name]) for e in group if name in e.found]
    if not chosen:
        return
    at = np.array([x for x, _ in chosen], float)
    value, low, high = (
        np.array([getattr(one, end) for _, one in chosen], float)
        for end in ("value", "low", "high")
    )
    shown = np.isfinite(value)
    yield Band(at[shown], low[shown], high[shown], colour=colour)
    yield Line(at[shown], value[shown], colour=colour)
    yield Points(at[shown], value[shown], label=label, colour=colour, opacity=1.0)
