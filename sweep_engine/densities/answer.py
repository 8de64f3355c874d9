"""The answer to a comparison at one setting, made from its estimates: a sentence and a verdict.

One verdict a pair. It is that of the estimate that decides: the first of the pair's estimates
that has a rule (`Quantity.verdict`), which the estimator's list of quantities fixes before any
draw is seen. The others describe; none of them can turn the verdict, so nothing is gained by
making many. A direction is named where the verdict is `differ` and the interval of the shift
lies on one side of 0.

All pairs of a sweep are judged together. With N of them, each has the share 5% / N of the chance
of a false `differ`: an interval that decides is read at the confidence 1 - 5% / N, and the tests
that decide share theirs by Holm's rule. So the chance of any false `differ` is at most 5%.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from typing import Any

from sweep_engine.densities.estimate import Estimate, to_json
from sweep_engine.densities.estimator import Part, Quantity, Verdict
from sweep_engine.densities.registry import QUANTITIES
from sweep_engine.densities.stored.compared import Compared
from sweep_engine.densities.stored.pairing import Pair
from sweep_engine.densities.stored.study import Study
from sweep_engine.densities.subject import Subject
from sweep_engine.numbers import format_beside, format_bound, format_interval
from sweep_engine.shown import ShortTable, Shown
from sweep_engine.spec.wording import point_text

FEW = 20
"""Effective draws of a side below which a difference of one standard deviation may go unseen."""


class Judgement(Enum):
    """Name what a comparison at one setting comes to."""

    DIFFER = "differ"
    NOT_SHOWN = "no difference shown"
    TOO_FEW = "too few draws"
    DESCRIBED = "described only"
    REFUSED = "not compared"


OPEN = (Judgement.TOO_FEW, Judgement.REFUSED)
"""Of what is left open, the reason is said where there are no numbers."""


@dataclass(frozen=True)
class Ruling:
    """A judgement with its reason.

    Attributes:
        judgement: What it comes to.
        reason: Which estimate decided, and by which numbers; or why nothing was compared.
    """

    judgement: Judgement
    reason: str


HEADER = ("setting", "source", "reference", "shift, or size", "nats", "verdict")
"""The columns of a table of answers; the second and third are medians."""


@dataclass(frozen=True)
class Answer(Shown):
    """Hold what the estimates of one pair say together.

    Attributes:
        pair: What was compared, and at which setting.
        subject: The same in words.
        ruling: The verdict.
        compared: All estimates of the pair.
        left_out: Estimators that could not be used, each with its reason.
        study: Where the source's runs are.
        other: Where the reference's runs are, if elsewhere.
    """

    pair: Pair
    subject: Subject
    ruling: Ruling
    compared: tuple[Compared, ...] = ()
    left_out: tuple[str, ...] = ()
    study: Study | None = field(default=None, repr=False, compare=False)
    other: Study | None = field(default=None, repr=False, compare=False)

    @property
    def judgement(self) -> Judgement:
        """The verdict."""
        return self.ruling.judgement

    @property
    def setting(self) -> str:
        """Write the levels and axis values, also those that the comparison itself asks for."""
        asked = self.pair.comparison.at or {}
        others = {path: value for path, value in asked.items() if path not in self.pair.at}
        return point_text({**others, **self.pair.coordinates})

    @property
    def medians(self) -> tuple[Estimate, ...]:
        """The medians of source and reference; none where the observable is no single column."""
        return tuple(self._all(Part.CENTRES))

    @property
    def shift(self) -> Estimate | None:
        """Find how far the source lies above the reference."""
        return next(iter(self._all(Part.SHIFT)), None)

    @property
    def size(self) -> Estimate | None:
        """Find how different the two laws are, in any direction."""
        return next(iter(self._all(Part.SIZE)), None)

    @property
    def nats(self) -> Estimate | None:
        """Find how different they are in nats."""
        return next(iter(self._all(Part.NATS)), None)

    def _all(self, part: Part) -> list[Estimate]:
        estimates = [each.at_once().estimate for each in self.compared]
        return [each for each in estimates if QUANTITIES[each.name].part is part]

    @property
    def direction(self) -> str:
        """`smaller` or `larger`; empty where the sources' order is not shown."""
        if self.judgement is not Judgement.DIFFER or self.shift is None:
            return ""
        return "larger" if self.shift.low > 0 else "smaller" if self.shift.high < 0 else ""

    @property
    def sentence(self) -> str:
        """The answer, with its setting, direction and size."""
        where = f"at {label}, " if (label := self.setting) else ""
        numbers = "; ".join(self._numbers())
        text = f"{where}{self.lead}" + (f": {numbers}" if numbers else "")
        return f"{text[0].upper()}{text[1:]}."

    @property
    def lead(self) -> str:
        """The answer without its setting and its numbers."""
        subject, judgement = self.subject, self.judgement
        both = f"{subject.networks} and of {subject.reference}"
        if judgement is Judgement.DESCRIBED:
            return f"{subject.networks}"
        if judgement is Judgement.DIFFER:
            if self.direction:
                return subject.have(self.direction)
            return f"{both} differ in {subject.observable}" + self._no_direction()
        return {
            Judgement.NOT_SHOWN: f"no difference is shown between {both} in {subject.observable}",
            Judgement.TOO_FEW: f"too few draws to tell {both} apart in {subject.observable}",
            Judgement.REFUSED: f"{both} were not compared in {subject.observable}",
        }[judgement]

    def _no_direction(self) -> str:
        if self.shift is None:
            return ""
        if math.isinf(self.shift.low) and math.isinf(self.shift.high):
            return ", with too few draws for an interval of the shift"
        return ", with no shift of their medians shown"

    def _numbers(self) -> list[str]:
        if not self.compared:
            return [self.ruling.reason]
        if self.judgement is Judgement.DESCRIBED:
            return [described(self._first)]
        known = [", ".join(filter(None, (self._medians_text(), clause_of(self.shift))))]
        if self.judgement is Judgement.DIFFER:
            size = clause_of(self.size) or (f"{self.nats_text} nats" if self.nats else "")
            known.append(size)
        if known := [text for text in known if text]:
            return known
        return [self.ruling.reason] if self.judgement in OPEN else [described(self._first)]

    @property
    def _first(self) -> Estimate:
        """The estimate that the estimator lists first."""
        return self.compared[0].at_once().estimate

    def _medians_text(self) -> str:
        texts = self.median_texts
        return f"median {' against '.join(texts)}{self.subject.unit_after}" if texts else ""

    @property
    def median_texts(self) -> tuple[str, ...]:
        """Both medians, with as many decimals as the interval of the shift supports."""
        if not self.medians or self.shift is None:
            return ()
        values = [each.value for each in self.medians]
        return tuple(format_beside(values, self.shift.low, self.shift.high))

    @property
    def shift_text(self) -> str:
        """The shift with its interval; without one, the size in words."""
        return clause_of(self.shift).removeprefix("shift ") or clause_of(self.size)

    @property
    def nats_text(self) -> str:
        """The nats with their interval, or the bound that they are; empty where there are none."""
        nats = self.nats
        if nats is None:
            return ""
        if QUANTITIES[nats.name].is_lower_bound:
            return f"≥ {max(nats.low, 0.0):.2g}" if nats.low > 0 else "no bound above 0"
        return format_interval(nats.value, nats.low, nats.high)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why this verdict, what a reader must know of the estimates, and what was left out."""
        said = [text for each in self.compared for text in each.estimate.warnings]
        left_out = [f"left out: {line}" for line in self.left_out]
        return tuple(dict.fromkeys((self.ruling.reason, *said, *left_out)))

    def cells(self) -> tuple[str, ...]:
        """Give the row of a table whose header is `HEADER`."""
        medians = self.median_texts or ("", "")
        return (self.setting, *medians, self.shift_text, self.nats_text, self.judgement.value)

    def short_table(self) -> ShortTable:
        """Say the answer, its numbers and its remarks."""
        sides = f"median {self.subject.source}", f"median {self.subject.reference}"
        names = (HEADER[0], *sides, *HEADER[3:])
        known = [(name, cell) for name, cell in zip(names, self.cells(), strict=True) if cell]
        header, cells = zip(*known, strict=True)
        return ShortTable(self.sentence, header, [cells], self.remarks)

    def plot(self) -> Any:
        """Draw both laws, and return matplotlib's figure; None where there is no such picture."""
        # By name: figures stand above in the layers, and need plotting libraries.
        return import_module("sweep_engine.report.drawn").draw(self)

    def to_dict(self) -> dict[str, Any]:
        """Give the answer as strict JSON; its estimates are listed elsewhere."""
        shift, nats = self.shift, self.nats
        return {
            **self.pair.comparison.model_dump(mode="json"),
            "at": self.pair.at,
            "sentence": self.sentence,
            "verdict": self.judgement.value,
            "direction": self.direction,
            "medians": [to_json(each.value) for each in self.medians],
            "shift": None if shift is None else shift.to_dict(),
            "nats": None if nats is None else nats.to_dict(),
            "remarks": list(self.remarks),
        }


def described(estimate: Estimate) -> str:
    """Say an estimate by its name and its numbers."""
    quantity = QUANTITIES[estimate.name]
    unit = "" if estimate.unit == "1" else f" {estimate.unit}"
    if quantity.is_lower_bound:
        numbers = format_bound(estimate.value, estimate.low)
    else:
        numbers = format_interval(estimate.value, estimate.low, estimate.high)
    return f"{estimate.name.replace('_', ' ')} {numbers}{unit}"


def clause_of(estimate: Estimate | None) -> str:
    """Say what an estimate adds to the sentence of an answer; nothing without one."""
    if estimate is None:
        return ""
    clause = QUANTITIES[estimate.name].clause
    return described(estimate) if clause is None else clause(estimate)


def deciding(estimates: Sequence[Estimate]) -> int | None:
    """Find the estimate that decides: the first that has a rule."""
    rules = (QUANTITIES[each.name].verdict for each in estimates)
    return next((i for i, rule in enumerate(rules) if rule is not Verdict.NONE), None)


def rule(estimate: Estimate, p_adjusted: float | None, level: float) -> Ruling:
    """Judge a pair by the estimate that decides.

    Args:
        estimate: With the interval by which it is judged.
        p_adjusted: Its p-value, adjusted for all tests that decide.
        level: Below which that shows a difference.
    """
    quantity = QUANTITIES[estimate.name]
    differ = quantity.differ(estimate, p_adjusted, level)
    few = min(estimate.n_eff_source, estimate.n_eff_reference)
    numbers = _deciding_numbers(quantity, estimate, p_adjusted)
    if differ:
        return Ruling(Judgement.DIFFER, f"the verdict is by {numbers}")
    if few < FEW:
        reason = (
            f"the verdict is by {numbers}; below {FEW} effective draws a side ({few:.3g} here), "
            "even a large difference may go unseen"
        )
        return Ruling(Judgement.TOO_FEW, reason)
    return Ruling(Judgement.NOT_SHOWN, f"the verdict is by {numbers}")


def _deciding_numbers(quantity: Quantity, estimate: Estimate, p_adjusted: float | None) -> str:
    name = quantity.name
    if quantity.verdict is Verdict.TEST and p_adjusted is not None:
        p = "below 1e-10" if p_adjusted < 1e-10 else f"{p_adjusted:.2g}"
        return f"{name}: p = {p}, adjusted for all comparisons here".replace("= below", "below")
    high = math.inf if quantity.is_lower_bound else estimate.high
    return (
        f"{name}, at the {estimate.confidence:.5g} confidence that allows for all comparisons "
        f"here: {format_interval(estimate.value, estimate.low, high)}"
    )
