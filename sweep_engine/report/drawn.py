"""The picture of one answer, for notebooks and scripts."""

from typing import TYPE_CHECKING

from sweep_engine.densities import Answer
from sweep_engine.report.drawing.matplotlib_files import draw_sheet
from sweep_engine.report.figures.answers import answer_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Sheet


def draw(answer: Answer) -> "Sheet | None":
    """Draw both laws of an answer; None where its observable has no such picture.

    Args:
        answer: As `sweep_engine.compare` gives it with its estimate.
    """
    if answer.study is None:
        return None
    figure = answer_figure(answer.study, [answer])
    return None if figure is None else draw_sheet(figure)
