"""Say what a comparison comes to over all its settings, in one sentence.

What goes from one number to another over the settings is said so: it is no interval of one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from sweep_engine.densities.answer import OPEN, Answer, Judgement, clause_of
from sweep_engine.numbers import format_range

MAX_LETTERS = 60
"""Of a setting that a sentence names; a table has those of many factors."""


def by_comparison(answers: Sequence[Answer]) -> list[list[Answer]]:
    """Group answers by their comparison, in order."""
    groups: dict[int, list[Answer]] = {}
    for each in answers:  # all settings of a comparison share its object
        groups.setdefault(id(each.pair.comparison), []).append(each)
    return list(groups.values())


def opening(answers: Sequence[Answer]) -> list[str]:
    """Say in a numbered sentence what each comparison comes to."""
    groups = by_comparison(answers)
    return [f"{i}. {summarise(group)}" for i, group in enumerate(groups, start=1)]


def summarise(answers: Sequence[Answer]) -> str:
    """Say in one sentence what a comparison comes to over all its settings.

    Args:
        answers: Of one comparison, at least one.
    """
    if len(answers) == 1:
        return answers[0].sentence
    findings = Counter((each.judgement, each.direction) for each in answers).most_common()
    leads: list[str] = []
    for finding, count in findings:
        group = [each for each in answers if (each.judgement, each.direction) == finding]
        words = _also(group[0]) if leads else group[0].lead
        one = count == 1 and group[0].setting
        leads.append(f"at {one or _some(count, len(answers))} {words}")
    text = "; ".join(leads) + _spans(answers)
    return f"{text[0].upper()}{text[1:]}."


def _some(count: int, total: int) -> str:
    if count == total:
        return "both settings" if total == 2 else f"all {total} settings"
    return f"{count} of {total} settings"


def _also(answer: Answer) -> str:
    """Say a finding after another of the same comparison."""
    if answer.direction:
        return f"they have {answer.direction} values"
    return {
        Judgement.DIFFER: "the two differ, without a direction that is shown",
        Judgement.NOT_SHOWN: "no difference is shown",
        Judgement.TOO_FEW: "there are too few draws",
        Judgement.DESCRIBED: "there is no verdict",
        Judgement.REFUSED: "nothing was compared",
    }[answer.judgement]


def spans(answers: Sequence[Answer]) -> tuple[str, str, str] | None:
    """Give the ranges of both medians and of the shift over the settings, as cells of a table.

    Args:
        answers: Of one comparison; None where none has medians.
    """
    ranges = _ranges(answers)
    if not ranges:
        return None
    source, reference, shift = (each.cell() for each in ranges)
    return source, reference, shift


@dataclass(frozen=True)
class _Range:
    """The least and the most of one number over the settings of a comparison, as texts."""

    texts: tuple[str, str]
    settings: tuple[str, str]

    @classmethod
    def of(cls, numbers: Sequence[tuple[float, float, float]], answers: Sequence[Answer]) -> Self:
        """Find the ends of values, each with the interval that tells its digits."""
        places = range(len(numbers))
        ends = [pick(places, key=lambda i: numbers[i][0]) for pick in (min, max)]
        least, most = format_range([numbers[i] for i in ends])
        first, last = (answers[i].setting for i in ends)
        return cls((least, most), (first, last))

    @property
    def is_one_number(self) -> bool:
        """Say whether all settings read alike."""
        return self.texts[0] == self.texts[1]

    def cell(self) -> str:
        """Write it for a table."""
        return self.texts[0] if self.is_one_number else f"{' to '.join(self.texts)}, by setting"

    @property
    def _are_short(self) -> bool:
        return all(0 < len(setting) <= MAX_LETTERS for setting in self.settings)

    def goes(self, where: bool = False) -> str:
        """Say it; with `where`, at which settings the ends are."""
        if self.is_one_number:
            return f"is {self.texts[0]}"
        least, most = (
            f"{text} ({setting})" if where and self._are_short else text
            for text, setting in zip(self.texts, self.settings, strict=True)
        )
        return f"goes from {least} to {most}"


def _with_medians(answers: Sequence[Answer]) -> list[Answer]:
    return [each for each in answers if each.median_texts]


def _ranges(answers: Sequence[Answer]) -> tuple[_Range, ...]:
    """Give the ranges of both medians and of the shift; none where there are no medians."""
    known = _with_medians(answers)
    shifts = [each.shift for each in known if each.shift is not None]
    if not shifts:
        return ()
    numbers = [[(each.medians[i].value, shift.low, shift.high)
                for each, shift in zip(known, shifts, strict=True)] for i in (0, 1)]  # fmt: skip
    numbers.append([(shift.value, shift.low, shift.high) for shift in shifts])
    return tuple(_Range.of(each, known) for each in numbers)


def _spans(answers: Sequence[Answer]) -> str:
    """Say that the numbers differ from setting to setting, and how far: no interval of one."""
    ranges = _ranges(answers)
    if not ranges:
        return _span_of_sizes(answers)
    source, reference, shift = ranges
    subject, num = answers[0].subject, len(_with_medians(answers))
    over = f"over the {num}" if num == len(answers) else f"over {num} of the {len(answers)}"
    unit = subject.unit_after
    return (
        f". {over.capitalize()} settings the median of {subject.source} {source.goes()}{unit} and "
        f"that of {subject.reference} {reference.goes()}{unit}; the shift {shift.goes(where=True)}"
    )


def _span_of_sizes(answers: Sequence[Answer]) -> str:
    sizes = [each.size or each.nats for each in answers]
    known = sorted((size for size in sizes if size), key=lambda size: size.low)
    if not known:
        return f": {answers[0].ruling.reason}" if answers[0].judgement in OPEN else ""
    least, most = clause_of(known[0]), clause_of(known[-1])
    if least == most:
        return f". {least.capitalize()}"
    return f". Where it is least, {least}; where it is most, {most}"
