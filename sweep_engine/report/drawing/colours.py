"""Colours of the figures, each as it appears on a light and on a dark ground."""

from enum import Enum
from typing import NamedTuple, TypeAlias


class Role(Enum):
    """What a mark stands for; its colour follows."""

    SOURCE = "source"
    REFERENCE = "reference"
    EXACT = "exact"
    NULL = "null"


Colour: TypeAlias = Role | int
"""A role, or the number of a source where there are more than two."""


class Shade(NamedTuple):
    """One colour, as it appears on a light and on a dark ground."""

    light: str
    dark: str


CATEGORICAL = (  # Okabe & Ito (2008), then two of Tol's: told apart by colour-blind readers
    Shade("#0072b2", "#4aa8e0"),
    Shade("#d55e00", "#f58a4b"),
    Shade("#009e73", "#2fc79d"),
    Shade("#cc79a7", "#e5a0c6"),
    Shade("#e69f00", "#f4c04d"),
    Shade("#56b4e9", "#a9dcf7"),
    Shade("#882255", "#c9689a"),
    Shade("#999933", "#c6c66a"),
)
ROLES = {
    Role.SOURCE: CATEGORICAL[0],
    Role.REFERENCE: CATEGORICAL[1],
    Role.EXACT: Shade("#111417", "#f4f6f8"),
    Role.NULL: Shade("#7b838a", "#98a1a9"),
}
SEQUENTIAL = (  # from few to many
    Shade("#e1ecf5", "#17293a"),
    Shade("#a6cbe4", "#1d4c74"),
    Shade("#559fcd", "#2f7fb8"),
    Shade("#1b6cae", "#79b8e3"),
    Shade("#0b3a75", "#dceefb"),
)
DIVERGING = (  # from below 0 to above it
    Shade("#b4560f", "#f0904d"),
    Shade("#eebd96", "#6d4022"),
    Shade("#f7f7f5", "#20262c"),
    Shade("#a6cbe4", "#1d4c74"),
    Shade("#1b6cae", "#79b8e3"),
)
INK = Shade("#2b3137", "#d6dce1")
GRID = Shade("#e3e7ea", "#2c343b")


def shade(colour: Colour) -> Shade:
    """Give a role's shade, or that of the i-th source (the palette repeats after eight)."""
    return ROLES[colour] if isinstance(colour, Role) else CATEGORICAL[colour % len(CATEGORICAL)]
