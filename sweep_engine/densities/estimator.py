"""The contract of an estimator: it looks at two samples once, and is read at any confidence.

Beside the interval of one setting stands the one that holds together with those of all others,
so every estimate is read at two confidences at least; what is drawn, fitted or permuted is not
done twice.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.trust import Trust
from sweep_engine.errors import IncomparableSources

LEVEL = 0.05
"""Chance of any false `differ` among all comparisons that are judged together."""

Sample = TypeVar("Sample", contravariant=True)


class Reading(Protocol):
    """What an estimator saw of two samples."""

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Read the estimates, each interval at this confidence by itself."""


class Takes(Enum):
    """The data that an estimator takes of each side, in words."""

    ONE_COLUMN = "one column"
    ONE_OR_TWO_COLUMNS = "one column or two"
    TWO_COLUMNS = "two columns"
    TWO_COLUMNS_OR_MORE = "two columns or more"
    COLUMNS = "any number of columns"
    FUNCTIONS = "counts of functions"
    SIDES = "all that is stored of a source"

    def check(self, estimator: str, draws: Draws) -> None:
        """Refuse draws of too few or too many columns.

        Raises:
            IncomparableSources: The estimator does not take so many.
        """
        least, most = _DIMENSIONS[self]
        if not least <= draws.dimension <= most:
            raise IncomparableSources(f"{estimator} is for {self.value}, got {draws.dimension}")


_DIMENSIONS: dict[Takes, tuple[int, float]] = {
    Takes.ONE_COLUMN: (1, 1),
    Takes.ONE_OR_TWO_COLUMNS: (1, 2),
    Takes.TWO_COLUMNS: (2, 2),
    Takes.TWO_COLUMNS_OR_MORE: (2, math.inf),
    Takes.COLUMNS: (1, math.inf),
}


class Table(Enum):
    """The table of a report that lists an estimate."""

    HEADLINES = "headlines"
    DECOMPOSITION = "decomposition"
    OTHERS = "others"


class Verdict(Enum):
    """The rule by which a report says that two sources differ."""

    TEST = "the p-value, adjusted for all tests that are made together, is below 5 %"
    INTERVAL = "the interval lies on one side of 0"
    NONE = "no verdict: the sentence says all"


class Part(Enum):
    """The place of an estimate in the sentence that answers a comparison."""

    CENTRES = "where each side lies: of the source first"
    SHIFT = "how far the source lies above the reference, which tells the direction"
    SIZE = "how different the two laws are, in any direction"
    NATS = "how different they are, in nats"
    NONE = "not in the sentence"


@dataclass(frozen=True)
class Quantity:
    """What a report says of the estimates of one name.

    Attributes:
        name: As in `Estimate`.
        says: The sentence for a newcomer, from the estimate.
        table: Where it is listed.
        verdict: The rule of what is added to the sentence.
        is_lower_bound: The truth may be more than the value, so the interval is open upwards: it
            ends at the largest value that there can be, 1, ln 2 or infinity.
        part: Its place in the sentence that answers a comparison.
        clause: What the estimate adds to that sentence; left out, its name and its numbers.
    """

    name: str
    says: Callable[[Estimate], str]
    table: Table = Table.OTHERS
    verdict: Verdict = Verdict.NONE
    is_lower_bound: bool = False
    part: Part = Part.NONE
    clause: Callable[[Estimate], str] | None = None

    def meaning(self, estimate: Estimate, p_adjusted: float | None = None) -> str:
        """Say what an estimate means, and whether it shows a difference by itself.

        Example:
            >>> shift = Quantity("shift", "It moved by {0.value:g}.".format,
            ...                  verdict=Verdict.INTERVAL)
            >>> shift.meaning(Estimate(name="shift", value=2.0, low=1.0, high=3.0, num_source=9,
            ...                        n_eff_source=9.0, unit="1", method="example"))
            'It moved by 2. By itself it shows a difference.'

        Args:
            estimate: Of this name.
            p_adjusted: Its p-value, adjusted for all tests of the report.
        """
        differ = self.differ(estimate, p_adjusted)
        if differ is None:
            return self.says(estimate)
        words = "By itself it shows a difference." if differ else "By itself it shows none."
        return f"{self.says(estimate)} {words}"

    def differ(
        self, estimate: Estimate, p_adjusted: float | None, level: float = LEVEL
    ) -> bool | None:
        """Judge an estimate by its rule; None where there is none, or no p-value.

        Args:
            estimate: Of this name; the confidence of its interval is the caller's choice.
            p_adjusted: Its p-value, adjusted for all tests that are judged together.
            level: Below which that p-value shows a difference.
        """
        if self.verdict is Verdict.TEST and p_adjusted is not None:
            return p_adjusted < level
        if self.verdict is Verdict.INTERVAL:
            return estimate.low > 0 or estimate.high < 0
        return None


class Estimator(ABC, Generic[Sample]):
    """One way to compare two samples.

    A class says of itself what others must know; one that lacks a part cannot be loaded.

    Attributes:
        name: Under which `registry` lists it.
        takes: The data that it looks at.
        trust: The fewest draws, and where its intervals were seen to hold.
        quantities: All that it can estimate, with the words of a report.
        seconds: About what one pair takes beyond reading its rows, on one core.
    """

    name: ClassVar[str]
    takes: ClassVar[Takes]
    trust: ClassVar[Trust]
    quantities: ClassVar[tuple[Quantity, ...]]
    seconds: ClassVar[float] = 0.1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        lacking = [part for part in Estimator.__annotations__ if not hasattr(cls, part)]
        if lacking:
            raise TypeError(f"estimator {cls.__name__} lacks {', '.join(lacking)}")

    def parts(self, source: Sample) -> "tuple[Estimator[Sample], ...]":
        """List the estimators that it consists of, each of which may lack draws by itself."""
        return (self,)

    @abstractmethod
    def look(self, source: Sample, reference: Sample, seed: int) -> Reading:
        """Look at two samples.

        Args:
            source: Of the source.
            reference: Of what it is compared with, of the same columns; the same object where
                a source is looked at by itself.
            seed: Of whatever randomness is used.

        Raises:
            InsufficientSamples: Too few draws; says how many are needed.
            IncomparableSources: The estimator cannot use such data.
        """


@dataclass(frozen=True)
class Readings:
    """Several readings as one."""

    parts: tuple[Reading, ...]

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Read all, in order."""
        return tuple(estimate for part in self.parts for estimate in part.at(confidence))


@dataclass(frozen=True)
class Noted:
    """A reading with notes about the samples, which every estimate carries as warnings."""

    reading: Reading
    notes: tuple[str, ...]

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Read, and put the notes before each estimate's own warnings."""
        return tuple(
            replace(estimate, warnings=(*self.notes, *estimate.warnings))
            for estimate in self.reading.at(confidence)
        )
