"""The section of a report on a design: which factor puts which preference there."""

from collections.abc import Iterator, Sequence

from sweep_engine.atlas import Effect, Effects, ResponseEffects, effects
from sweep_engine.atlas.analysis import DATA_NATS, OPTIMISER_NATS
from sweep_engine.atlas.rows import Row
from sweep_engine.atlas.shares import REST
from sweep_engine.atlas.splits import Split
from sweep_engine.atlas.standardised import UNKNOWN, Response
from sweep_engine.atlas.universality import TASK_DEPENDENT
from sweep_engine.densities import Answer, Study
from sweep_engine.densities.subject import column_words
from sweep_engine.designs import Term, term_text
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.numbers import format_beside, format_ends
from sweep_engine.report.answers import anchored
from sweep_engine.report.figures.atlas import atlas_figures
from sweep_engine.report.page.contents import Cell, Link, Section, Table
from sweep_engine.report.places import place_of_pair

MAX_ALIASES = 12
MAX_NOTES = 6


def atlas_sections(study: Study, answers: Sequence[Answer]) -> Iterator[Section]:
    """Give the section of every source that is compared with its prior row by row.

    Args:
        study: The results.
        answers: To the sweep's comparisons, which rows link to.
    """
    if study.sweep.design is None:
        return
    try:
        found = effects(study)
    except (IncomparableSources, InsufficientSamples) as error:
        yield Section("What puts it there", f"The effects cannot be estimated: {error}")
        return
    for each in found:
        if each.responses:
            title = f"What puts it there: {each.asked.source} against {each.asked.reference}"
            figures = tuple(atlas_figures(study, each))
            yield Section(
                title=title,
                text="\n\n".join(_words(each)),
                figures=figures,
                tables=(_rows(study, each, answers),),
                answer=_answer(each),
            )


def _answer(found: Effects) -> str:
    """Say in a sentence which factors are shown to move what, each by its largest effect."""
    largest: dict[Term, tuple[Effect, ResponseEffects]] = {}
    for response in found.responses:
        for effect in response.main_effects:
            known = largest.get(effect.term)
            if effect.is_shown and (known is None or abs(effect.value) > abs(known[0].value)):
                largest[effect.term] = effect, response
    if not largest:
        return f"Over {len(found.rows)} rows no factor is shown to move any response."
    texts = [
        f"{effect.name} ({response.response} {_number(effect.value)} {response.unit})"
        for effect, response in sorted(largest.values(), key=lambda both: -abs(both[0].value))
    ]
    factors = {effect.term for response in found.responses for effect in response.main_effects}
    return (
        f"Over {len(found.rows)} rows {len(texts)} of {len(factors)} factors are shown to move "
        f"something, each most: {'; '.join(texts)}."
    )


def _rows(study: Study, found: Effects, answers: Sequence[Answer]) -> Table:
    """List every row's levels and responses; a response links to the row's own comparison."""
    anchors = {
        (answer.pair.source, answer.pair.reference, answer.pair.comparison.observable): anchor
        for group in anchored(answers)
        for anchor, answer in group.items()
    }

    def linked(row: Row, response: Response, observable: str | None) -> Cell:
        text = _with_error(response)
        anchor = anchors.get((row.pair.source, row.pair.reference, observable or ""))
        return (Link(text, anchor),) if anchor else text

    factors, properties = list(found.rows[0].levels), found.asked.properties
    header = (*factors, DATA_NATS, f"{OPTIMISER_NATS}, at least", *map(column_words, properties))
    rows = [
        (
            *(row.levels[name] for name in factors),
            _with_error(row.data),
            linked(row, row.optimiser, found.asked.nats),
            *(linked(row, row.shifts.get(name, UNKNOWN), name) for name in properties),
        )
        for row in found.rows
    ]
    places = tuple(place_of_pair(study, row.pair) for row in found.rows)
    title = (
        "Every row: its levels, and its responses ± standard error, each a link to its comparison"
    )
    return Table(title, header, tuple(rows), places)


def _with_error(found: Response) -> str:
    if not found.is_known:
        return "–"
    if found.value == 0:
        return "0"
    ends = found.value - found.stderr, found.value + found.stderr
    return " ± ".join(format_beside([found.value, found.stderr], *ends))


def _words(found: Effects) -> Iterator[str]:
    yield (
        f"{len(found.rows)} rows of factors; in each, {found.asked.source} is compared with its "
        f"own prior given a fit, {found.asked.reference}. A shift is a difference of means in "
        "standard deviations (sd) of that prior. An effect is what a change of levels does to it, "
        "averaged over the other factors, with an interval that holds at once for all effects of "
        "all responses (95%). The rows' own sampling errors are known, and what rows differ by "
        "beyond them is estimated. The table below the figures links to each row's own comparisons."
    )
    for response in found.responses:
        yield " ".join(_on(response, found))
    if found.notes:
        more = f" (and {len(found.notes) - MAX_NOTES} more)" if len(found.notes) > MAX_NOTES else ""
        yield f"Not estimated: {'; '.join(found.notes[:MAX_NOTES])}{more}."
    if found.splits:
        yield " ".join(_on_splits(found.splits))
    aliased = {
        f"{term_text(each.term)} may be {' or '.join(map(term_text, each.aliased_with))}"
        for response in found.responses
        for each in response.effects
        if each.aliased_with
    }
    if aliased:
        more = f" (and {len(aliased) - MAX_ALIASES} more)" if len(aliased) > MAX_ALIASES else ""
        yield (
            "These rows cannot tell some effects apart: "
            f"{'; '.join(sorted(aliased)[:MAX_ALIASES])}{more}."
        )


def _on(response: ResponseEffects, found: Effects) -> Iterator[str]:
    """Put the answer on one response into words made from its numbers."""
    unit, mean = response.unit, response.mean
    name = response.response
    if mean.is_shown:
        yield f"{name}: {_number(mean.value)} {unit} over all rows ({_interval(mean)})"
    else:
        yield f"{name}: the mean over all rows is not told from 0 ({_interval(mean)} {unit})"
    if mean.tasks is not None:
        yield f"({mean.tasks})."
        if mean.tasks.verdict == TASK_DEPENDENT:
            yield "The answer is task dependent."
    else:
        yield "."
    if name == OPTIMISER_NATS:
        ceilings = [row.ceiling for row in found.rows if row.ceiling == row.ceiling]
        if ceilings:
            above = sum(row.optimiser.value > 0 for row in found.rows)
            yield (
                f"It is a lower bound, which cannot exceed {min(ceilings):.2g} nats, and is above "
                f"0 in {above} of {len(ceilings)} rows."
            )
    yield from _on_factors(response)


def _on_factors(response: ResponseEffects) -> Iterator[str]:
    shown = sorted(
        (each for each in response.effects if each.is_shown), key=lambda each: -abs(each.value)
    )
    if shown:
        texts = [f"{each.name} {_number(each.value)} ({_interval(each)})" for each in shown[:4]]
        more = f", and {len(shown) - 4} more" if len(shown) > 4 else ""
        yield f"What moves it: {'; '.join(texts)}{more}."
    else:
        yield "No factor is shown to move it."
    best = max(response.shares, key=lambda each: each.value, default=None)
    if best is not None and best.value == best.value:
        owner = "interactions and what is not known" if best.factor == REST else best.factor
        yield (
            f"Most of the variance between rows is due to {owner}: {best.value:.0%} "
            f"({best.low:.0%} to {best.high:.0%})."
        )
    dependent = [
        each for each in response.main_effects
        if each.tasks is not None and each.tasks.verdict == TASK_DEPENDENT
    ]  # fmt: skip
    if dependent:
        yield f"Task dependent: {', '.join(each.name for each in dependent)}."


def _on_splits(splits: Sequence[Split]) -> Iterator[str]:
    for prop in dict.fromkeys(each.prop for each in splits):
        largest: dict[str, int] = {}
        mine = [each for each in splits if each.prop == prop]
        for each in mine:
            part = max(each.parts, key=lambda name: abs(each.parts[name].value))
            largest[part] = largest.get(part, 0) + 1
        counts = ", ".join(f"{part} in {count}" for part, count in largest.items())
        yield f"Of {prop}, the largest part of the shift from the base prior is {counts} rows."


def _number(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")


def _interval(effect: Effect) -> str:
    return format_ends(effect.low, effect.high)
