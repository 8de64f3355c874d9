"""The names of figures, which are those of their files."""

from sweep_engine.densities import Pair


def figure_name(kind: str, pair: Pair) -> str:
    """Name a figure's file: letters, digits and underscores only."""
    values = [str(value) for value in pair.at.values()]
    words = [kind, pair.comparison.source, pair.comparison.reference, *values]
    text = "".join(c if c.isalnum() else "_" for c in "_".join(words).lower())
    return "_".join(part for part in text.split("_") if part)[:120]
