import numpy as np
import pytest

from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role, shade
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import (
    MAX_POINTS,
    Band,
    Bars,
    Heatmap,
    Line,
    Points,
    Quantiles,
    Rule,
    Steps,
)

X = np.arange(1.0, 4.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Points(X, X[:2]), r"Points: expected 1-D arrays of equal length.*x \(3,\), y"),
        (lambda: Points(X, X, hover=("one",)), "hover"),
        (lambda: Points(X, X, y_low=X), "both ends"),
        (lambda: Points(X, X, x_low=X + 1, x_high=X), "low <= high"),
        (lambda: Line(X, X[None]), "Line"),
        (lambda: Band(X, X, X - 1), "low <= high"),
        (lambda: Steps(X, X), "Steps"),
        (lambda: Heatmap(X, X, np.ones((2, 3))), r"expected values \(2, 2\), got \(2, 3\)"),
        (lambda: Heatmap(X, X, -np.ones((2, 2)), log=True), "no positive value"),
        (lambda: Bars(("a",), X), "Bars"),
        (lambda: Quantiles(X, np.ones((3, 4))), r"expected values \(3, 5\), got \(3, 4\)"),
        (lambda: Quantiles(X[:1], np.array([[5, 4, 3, 2, 1]])), "ascending"),
        (lambda: Rule(np.nan, "vertical"), "finite"),
        (lambda: DrawnAxis("x", limits=(1, 1)), "low < high"),
        (lambda: DrawnAxis("x", "log", limits=(0, 1)), "positive"),
        (lambda: DrawnAxis("x", "symlog", linear_width=0), "linear_width"),
        (lambda: panel(Bars(("a",), X[:1]), Bars(("b",), X[:1])), "equal categories"),
        (lambda: Figure("../a", "", "", (panel(),)), "letters, digits"),
        (lambda: Figure("a", "", "", ()), "at least one panel"),
        (lambda: Figure("a", "", "", (panel(),), columns=0), "columns >= 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def panel(*marks):
    return Panel("p", DrawnAxis("x"), DrawnAxis("y"), marks)


def test_a_large_scatter_is_thinned_to_a_fixed_choice_and_says_so():
    x = np.arange(65_536.0)
    points = Points(x, -x, "box", hover=tuple(map(str, range(x.size))), y_low=-x - 1, y_high=-x)
    first, second = (points.drawable(DrawnAxis("x"), DrawnAxis("y")) for _ in range(2))
    assert first.label == "box (5,000 of 65,536 shown)"
    assert len(first.x) == MAX_POINTS
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.y_low, -first.x - 1)
    assert first.hover == tuple(str(int(value)) for value in first.x)


def test_points_without_a_place_are_counted():
    points = Points(np.array([0.0, 1, 2, np.nan, np.inf]), np.ones(5), "sgd")
    assert points.drawable(DrawnAxis("x", "log"), DrawnAxis("y")).label == "sgd (2 of 5 shown)"
    assert (
        points.drawable(DrawnAxis("x", limits=(0, 1)), DrawnAxis("y")).label == "sgd (2 of 5 shown)"
    )
    unnamed = Points(points.x, points.y)
    assert unnamed.drawable(DrawnAxis("x"), DrawnAxis("y")).label == "3 of 5 shown"


def test_points_that_all_have_a_place_are_left_alone():
    points = Points(X, X, "sgd")
    assert points.drawable(DrawnAxis("x", "log"), DrawnAxis("y")) is points


def test_ends_without_a_place_reach_the_outskirts():
    low, high = np.array([0.0, np.nan, 1, 1]), np.array([2, 2, 3, np.inf])
    for axis, ends in ((DrawnAxis("y", "log"), (0.5, 6)), (DrawnAxis("y"), (0, 3))):
        shown_low, shown_high = axis.ends(low, high, X)
        np.testing.assert_array_equal(shown_low, [ends[0], np.nan, 1, 1])
        np.testing.assert_array_equal(shown_high, [2, 2, 3, ends[1]])


def test_symlog_ticks_mirror_each_other():
    ticks, texts = DrawnAxis("x", "symlog", linear_width=0.01).symlog_ticks
    np.testing.assert_array_equal(ticks, -np.array(ticks)[::-1])
    assert texts[ticks.index(0.0)] == "0"
    assert {"−0.01", "100", "10⁴", "−10⁵"} <= set(texts)


def test_bars_stand_side_by_side():
    bars = Bars(("a", "b"), X[:2], label="one"), Bars(("a", "b"), X[:2], label="two")
    (left, width), (right, _) = (panel(*bars).bar_slots(mark) for mark in bars)
    np.testing.assert_allclose(right - left, width)
    np.testing.assert_allclose((left + right) / 2, [0, 1], atol=1e-12)


def test_every_role_has_its_own_colour_on_both_grounds():
    shades = [shade(colour) for colour in (*Role, *range(2, 8))]
    assert len({colour.light for colour in shades}) == len(shades)
    assert len({colour.dark for colour in shades}) == len(shades)
