"""Figures in function space: panels of one scale, as wide as others, and none without data."""

import numpy as np
import pytest

from sweep_engine.densities import Study, pairs
from sweep_engine.densities.comparing import look_at_pair
from sweep_engine.report.drawing.matplotlib_files import draw_sheet
from sweep_engine.report.figures.functions import function_figures
from sweep_engine.spec import Comparison

ASKED = Comparison(source="sgd", reference="guess", observable="function", given="fit")


@pytest.fixture(scope="module")
def figure_with(boolean_results):
    """Draws with so many of the estimates of one setting: all, or none."""
    study = Study.open(boolean_results)
    pair = pairs(study.plan, ASKED)[0]
    estimates = list(look_at_pair(study, pair).at(0.95))
    return lambda chosen: function_figures(study, pair, estimates[chosen])[0]


def test_probabilities_have_one_scale_that_ends_where_the_data_do(figure_with):
    scatter, rank, _ = figure_with(slice(None)).panels
    assert scatter.x.limits == scatter.y.limits == rank.y.limits
    low, high = rank.y.limits
    points = scatter.marks[-1]
    drawn = np.concatenate([points.x_high, points.y_high, *(line.y for line in rank.marks)])
    assert low < drawn[drawn > 0].min()
    assert high / 2 < drawn.max() < high


def test_the_divergences_have_a_row_of_their_own(figure_with):
    first, second, last = draw_sheet(figure_with(slice(None))).axes
    widths = [axes.get_subplotspec().colspan for axes in (first, second, last)]
    assert [list(each) for each in widths] == [[0], [1], [0, 1]]
    assert last.get_subplotspec().rowspan[0] == 1


def test_without_a_null_there_is_no_empty_panel(figure_with):
    figure = figure_with(slice(0))
    assert [panel.title for panel in figure.panels] == ["Every function", "By rank"]
    assert "null" not in figure.caption
    assert len(draw_sheet(figure).axes) == 2
