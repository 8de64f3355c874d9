"""The first screen of a page: a sentence a comparison, its rows, and the pictures."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sweep_engine.densities import Answer, Study, by_comparison, spans, summarise
from sweep_engine.densities.subject import column_words
from sweep_engine.report.drawing.figure import Figure
from sweep_engine.report.figures.answers import answer_figures
from sweep_engine.report.page.contents import AnswerGroup, AnswerRow
from sweep_engine.report.places import place_of_pair


def anchored(answers: Sequence[Answer]) -> list[dict[str, Answer]]:
    """Give each answer the id of its row on the page, those of one comparison together."""
    return [
        {f"answer-{i}-{j}": each for j, each in enumerate(group, 1)}
        for i, group in enumerate(by_comparison(answers), 1)
    ]


def answer_groups(study: Study, answers: Sequence[Answer]) -> list[AnswerGroup]:
    """Put answers into words, those of one comparison together."""
    return [_group(study, group) for group in anchored(answers)]


def _group(study: Study, by_anchor: Mapping[str, Answer]) -> AnswerGroup:
    answers = list(by_anchor.values())
    comparison = answers[0].pair.comparison
    verdicts = Counter(each.judgement.value for each in answers).most_common()
    given = f", networks{words}" if (words := answers[0].subject.given) else ""
    observable = ", ".join(map(column_words, comparison.observable.split(", ")))
    return AnswerGroup(
        sentence=summarise(answers),
        source=comparison.source,
        reference="" if comparison.is_within_one else comparison.reference,
        observable=f"{observable}{given}",
        verdicts=", ".join(f"{count} {verdict}" for verdict, count in verdicts),
        rows=tuple(_row(study, *each) for each in by_anchor.items()),
        spans=spans(answers) or ("", "", ""),
    )


def _row(study: Study, anchor: str, answer: Answer) -> AnswerRow:
    setting, source, reference, shift, nats, verdict = answer.cells()
    return AnswerRow(
        setting=setting,
        source_median=source,
        reference_median=reference,
        shift=shift,
        nats=nats,
        verdict=verdict,
        remarks=answer.remarks,
        place=place_of_pair(study, answer.pair),
        anchor=anchor,
    )


def pictures(study: Study, answers: Sequence[Answer]) -> tuple[Figure | None, tuple[Figure, ...]]:
    """Draw the first comparison that has a picture, and the others that go along an axis.

    Laws of further comparisons stand in sections of their own, with their ratios.
    """
    by_name = {figure.name: figure for figure in answer_figures(study, answers)}
    drawn = list(by_name.values())  # comparisons that differ in the estimator alone share theirs
    if not drawn:
        return None, ()
    return drawn[0], tuple(figure for figure in drawn[1:] if figure.panels[0].along is not None)
