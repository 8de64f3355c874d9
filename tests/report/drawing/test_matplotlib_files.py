from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Line, Points
from sweep_engine.report.drawing.matplotlib_files import save


@pytest.fixture
def two_panels(every_mark):
    return replace(every_mark, panels=every_mark.panels[:2])


def test_every_mark_is_seen_on_every_scale(mark_figure, tmp_path):
    png, svg = save(mark_figure, tmp_path)
    assert (png.name, svg.name) == ("name.png", "name.svg")
    colours = (255 * imread(png)).astype(int) @ [1 << 24, 1 << 16, 1 << 8, 1]
    assert np.unique(colours).size > 50
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")


def test_the_same_figure_gives_the_same_bytes(every_mark, tmp_path):
    first, second = (save(every_mark, tmp_path / folder) for folder in ("one", "two"))
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_threads_do_not_disturb_one_another(two_panels, tmp_path):
    alone = save(two_panels, tmp_path / "alone")[1].read_bytes()
    with ThreadPoolExecutor(2) as pool:
        folders = [tmp_path / str(i) for i in range(2)]
        files = list(pool.map(lambda folder: save(two_panels, folder)[1], folders))
    assert [file.read_bytes() for file in files] == [alone, alone]


def test_the_style_of_the_process_is_left_as_it_was(two_panels, tmp_path):
    before = mpl.rcParams["font.size"], mpl.rcParams["svg.hashsalt"]
    save(two_panels, tmp_path)
    assert (mpl.rcParams["font.size"], mpl.rcParams["svg.hashsalt"]) == before


def test_a_dollar_sign_is_a_dollar_sign(tmp_path):
    line = Line(np.arange(2), np.arange(2), "$x")
    panel = Panel(
        "$\\frac$", DrawnAxis("$", categories=("$a", "$b")), DrawnAxis("costs $"), (line,)
    )
    assert save(Figure("money", "a $ b $ c", "", (panel,)), tmp_path)[0].exists()


def test_the_number_of_points_left_out_is_printed(tmp_path):
    points = Points(np.array([1, np.nan]), np.ones(2), "sgd")
    labelled = Points(np.ones(1), np.ones(1), "sgd (1 of 2 shown)")
    axes = DrawnAxis("x", limits=(0, 2)), DrawnAxis("y", limits=(0, 2))
    saved = [
        save(Figure(name, "", "", (Panel("", *axes, (mark,)),)), tmp_path)[1].read_bytes()
        for name, mark in (("a", points), ("b", labelled))
    ]
    assert saved[0] == saved[1]
