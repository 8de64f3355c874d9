"""Topics of `explain`, each with its entry and the topics below it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Listed:
    """A line of a list that leads on to another entry."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """All that is known of one topic; a part that does not apply is empty.

    Attributes:
        path: What to ask for.
        title: What it is, in a few words.
        meaning: In sentences; a first line, and more below it.
        type: What may stand there, in words.
        default: What holds when it is left out, as YAML; `required` where it cannot be.
        unit: Of a column.
        sweepable: Whether an axis may go over it, and what that costs.
        kinds: The kinds that may stand there.
        fields: The keys below it, or the names that it lists.
        columns: The columns that an observable gives.
        example: YAML, part of a sweep file that loads.
        source: The paper that the method is from.
    """

    path: str
    title: str
    meaning: str
    type: str = ""
    default: str = ""
    unit: str = ""
    sweepable: str = ""
    kinds: tuple[Listed, ...] = ()
    fields: tuple[Listed, ...] = ()
    columns: tuple[Listed, ...] = ()
    example: str = ""
    source: str = ""


@dataclass(frozen=True)
class Topic:
    """Something that can be explained, made when it is asked for.

    Attributes:
        path: What to ask for.
        summary: One line, for lists.
        make: Makes its entry.
        below: Makes the topics below it, by the next step of the path.
    """

    path: str
    summary: str
    make: Callable[[], Entry]
    below: Callable[[], Mapping[str, "Topic"]] = dict

    @cached_property
    def entry(self) -> Entry:
        """The entry."""
        return self.make()

    @cached_property
    def children(self) -> Mapping[str, "Topic"]:
        """The topics below it."""
        return self.below()
