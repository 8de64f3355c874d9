"""Which settings a figure draws by themselves, and which as one."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sweep_engine.densities import Study
from sweep_engine.report.drawing.colours import Colour
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.report.places import texts_of, words_of
from sweep_engine.spec import Setting

MAX_GROUPS = 8
"""Settings that are drawn each by itself; of more all runs of a source are one group."""


class Group(NamedTuple):
    """What is drawn as one.

    Attributes:
        label: In the legend.
        colour: Its own.
        settings: Their ids.
    """

    label: str
    colour: Colour
    settings: frozenset[int]


def groups_of(study: Study, settings: Sequence[Setting]) -> list[Group]:
    """Say what is drawn as one: every setting by itself, or, of many, those of a source."""
    if len(settings) <= MAX_GROUPS:
        return [
            Group(words_of(each.source, texts_of(each)), rank, frozenset({each.id}))
            for rank, each in enumerate(settings)
        ]
    pooled: dict[str, set[int]] = defaultdict(set)
    for each in settings:
        pooled[each.source].add(each.id)
    colours = source_colours(study.sweep)
    return [Group(name, colours[name], frozenset(ids)) for name, ids in pooled.items()]
