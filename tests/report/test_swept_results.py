"""Figures of a small sweep that was run: what they pool and take apart, which runs they show."""

import base64
import json
import re
from collections import Counter

import duckdb
import numpy as np
import pyarrow.compute as pc
import pytest

import sweep_engine as se
from sweep_engine.densities import Study, compare_all
from sweep_engine.numbers import format_bound
from sweep_engine.report.build import _sections, write_report
from sweep_engine.report.drawing.axes import scale_of
from sweep_engine.report.figures import runs as run_figures_module
from sweep_engine.report.figures.along import _longest_axis, along_figures
from sweep_engine.report.figures.curves import curve_figures
from sweep_engine.report.figures.plane import plane_figures
from sweep_engine.report.figures.runs import run_figures
from sweep_engine.report.figures.swept import swept_figures

RATE, STD = "sources.gd.optimizer.learning_rate", "sources.gd.init.std"
RATES, STDS = (0.05, 0.1, 0.2), (0.5, 1.0)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    sweep = se.Sweep(
        name="small",
        task={"kind": "factorisation", "target": 1.0},
        model={"kind": "scalar_factorisation"},
        accept={"max_residual": 0.05},
        sources={
            "gd": {
                "kind": "train",
                "init": {"kind": "gaussian", "std": 1.0},
                "optimizer": {"kind": "sgd", "learning_rate": 0.1},
                "batch_size": "full",
                "stop": {"max_steps": 64},
                "runs": 64,
            },
            "box": {"kind": "prior", "law": {"kind": "box", "half_width": 3.0}, "draws": 128},
        },
        axes={RATE: list(RATES), STD: list(STDS)},
        observables=[
            "norms",
            "balance",
            {"kind": "coordinates", "method": "random", "canonical": False},
        ],
        compare=[
            {"source": "gd", "reference": "box", "observable": "l2_norm", "by": RATE},
            {"source": "gd", "reference": "box", "observable": "balance_c", "by": RATE},
        ],
    )
    out = tmp_path_factory.mktemp("results") / "small"
    se.run(sweep, out)
    return out


@pytest.fixture(scope="module")
def html(results):
    write_report(results)
    return (results / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def study(results):
    return Study.open(results)


def rows(results, **at):
    table = se.open_results(results).runs()
    keep = np.array(table["source"].to_pylist()) == "gd"
    for path, value in at.items():
        keep &= table[path].to_numpy() == value
    return table.filter(keep)


def test_quantiles_are_pooled_as_a_whole_and_by_themselves_in_details(results, study):
    along_rate, _ = swept_figures(study)
    assert along_rate.name == "along_sources_gd_optimizer_learning_rate"
    panel = next(panel for panel in along_rate.panels if panel.title == "l2_norm")
    (whole,) = panel.marks
    assert panel.place.over == (STD,)
    pooled = rows(results, **{RATE: 0.1})["l2_norm"].to_numpy()
    np.testing.assert_allclose(whole.values[1], np.quantile(pooled, [0.05, 0.25, 0.5, 0.75, 0.95]))
    assert [dict(detail.at) for detail in panel.details] == [{STD: "0.5"}, {STD: "1.0"}]
    alone = rows(results, **{RATE: 0.2, STD: 1.0})["l2_norm"].to_numpy()
    (mark,) = panel.details[1].marks
    assert mark.values[2, 2] == pytest.approx(np.median(alone))
    nearest = np.abs(mark.x[:, None] - panel.along.x).argmin(axis=1)
    np.testing.assert_array_equal(nearest, [0, 1, 2], "moved aside, not to another value")
    assert panel.along.values == ("0.05", "0.1", "0.2")


def test_what_is_compared_is_drawn_along_the_axis_first(study):
    """Then what is always of interest, once."""
    along_rate, _ = swept_figures(study)
    assert [panel.title for panel in along_rate.panels] == ["l2_norm", "balance_c", "steps"]


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1e-3, 1, np.nan], "log"), ([1, 50], "linear"), ([-1, 1e3], "linear"), ([np.nan], "linear")],
)
def test_wide_positive_values_are_drawn_on_a_logarithmic_axis(values, scale):
    assert scale_of(np.array(values)) == scale


def test_curves_have_details_of_every_setting(study):
    (figure,) = curve_figures(study)
    (panel,) = figure.panels
    assert set(panel.place.over) == {RATE, STD}
    assert len(panel.details) == len(RATES) * len(STDS)


def test_dots_name_their_runs(results, study):
    (figure,) = run_figures(study)
    by_label = {mark.label: mark for mark in figure.panels[0].marks}
    table = rows(results)
    place = {run: i for i, run in enumerate(table["run_id"].to_pylist())}
    gd = by_label["gd"]
    order = [place[run] for run in gd.runs.run_id.tolist()]
    np.testing.assert_allclose(gd.x, table["l2_norm"].to_numpy()[order])
    np.testing.assert_array_equal(gd.runs.setting, gd.runs.run_id >> 32)


def test_many_runs_are_counted_in_cells_and_apart_by_setting(results, study, monkeypatch):
    monkeypatch.setattr(run_figures_module, "MAX_DOTS", 10)
    (figure,) = run_figures(study)
    panel = next(panel for panel in figure.panels if panel.title == "gd")
    (cells,) = panel.marks
    counts = cells.counts
    again = np.zeros_like(cells.values)
    np.add.at(again, (counts.row, counts.column), counts.count)
    np.testing.assert_array_equal(again, cells.values)
    finite = np.isfinite(rows(results)["l2_norm"].to_numpy())
    assert counts.count.sum() == finite.sum()
    np.testing.assert_array_equal(counts.run_id >> 32, counts.setting, "an example of its own")


def test_runs_counted_batch_by_batch_are_those_counted_one_by_one(study, monkeypatch):
    monkeypatch.setattr(run_figures_module, "MAX_DOTS", 10)
    (figure,) = run_figures(study)
    for panel in figure.panels:
        (cells,) = panel.marks
        names = re.search("source, (.*), (.*) FROM", figure.query).groups()
        stored = study.results.runs(
            ["run_id", "setting", *names], pc.field("source") == panel.title
        ).to_pydict()
        ends, found, first = (cells.x_edges, cells.y_edges), Counter(), {}
        for run, setting, *values in zip(*stored.values(), strict=True):
            if not all(value is not None and np.isfinite(value) for value in values):
                continue
            column, row = (
                min(max(int(np.sum(at >= edges)) - 1, 0), len(edges) - 2)
                for at, edges in zip(values, ends, strict=True)
            )
            found[row, column, setting] += 1
            first.setdefault((row, column, setting), run)
        counts = cells.counts
        places = list(zip(counts.row.tolist(), counts.column.tolist(), counts.setting.tolist(),
                          strict=True))  # fmt: skip
        assert places == sorted(found)
        assert counts.count.tolist() == [found[place] for place in places]
        assert counts.run_id.tolist() == [first[place] for place in places]


def test_two_pictures_of_theta_and_of_its_coordinates(results, study):
    theta, projected = plane_figures(study)
    assert theta.name == "two_pictures"
    assert projected.name == "two_pictures_theta_random"
    assert [panel.title[:4] for panel in projected.panels] == ["What", "What"]
    (gd,) = (m for m in theta.panels[1].marks if getattr(m, "runs", None) is not None)
    stored = se.open_results(results).params("gd")
    where = {
        run: tuple(at)
        for part in stored
        for run, at in zip(part.run_id.tolist(), part.theta.tolist(), strict=True)
    }
    assert [where[run] for run in gd.runs.run_id.tolist()] == list(zip(gd.x, gd.y, strict=True))
    table = rows(results)
    steps = dict(zip(table["run_id"].to_pylist(), table["steps"].to_pylist(), strict=True))
    assert [steps[run] for run in gd.runs.run_id.tolist()] == gd.runs.outcomes["steps"].tolist()


def test_every_figure_has_both_files_and_a_query_that_runs(results, html, study, monkeypatch):
    plots = json.loads(re.search(r'id="plots">(.*?)</script>', html).group(1))
    assert {f"{name}.{kind}" for name in plots for kind in ("png", "svg")} == {
        path.name for path in (results / "figures").iterdir()
    }
    monkeypatch.chdir(results)
    for section in _sections(study, [], []):
        for figure in section.figures:
            assert duckdb.sql(figure.query).fetchall(), figure.name


def test_the_page_knows_every_setting_and_what_each_panel_is_of(html):
    settings = json.loads(re.search(r'id="settings">(.*?)</script>', html).group(1))
    assert sum(bool(at) for _, at in settings.values()) == len(RATES) * len(STDS)
    plots = json.loads(re.search(r'id="plots">(.*?)</script>', html).group(1))
    (compared,) = (name for name in plots if name.startswith("l2_norm"))
    assert {plot["place"]["at"][RATE] for plot in plots[compared]} == set(map(str, RATES))
    assert all(plot["place"]["over"] == [STD] for plot in plots[compared])
    runs = next(trace for trace in plots["runs"][0]["data"] if trace["name"] == "gd")["meta"]
    assert all(isinstance(run, str) for run in runs["run"])
    assert set(map(str, runs["setting"])) <= set(settings)
    steps = np.frombuffer(base64.b64decode(runs["outcomes"]["steps"]["bdata"]))
    assert len(steps) == len(runs["run"])


def test_the_table_shows_intervals_that_hold_at_once(html, study):
    compared, _ = compare_all(study)
    named = (one for one in compared if one.estimate.name == "total_variation_lower_bound")
    one = next(one for one in named if one.pair.at[RATE] == 0.1)
    assert one.simultaneous is not None
    at_once = format_bound(one.estimate.value, one.simultaneous[0])
    alone = format_bound(one.estimate.value, one.estimate.low)
    text = html.replace("&#x2212;", "-")
    assert at_once in text
    assert alone not in text


def test_the_question_names_the_sources_and_what_they_are(html):
    text = " ".join(re.sub(r"<[^>]*>", " ", html[: html.index("<nav")]).split())
    assert "Where do the networks of gd land, compared with those of box?" in text
    assert "gd: trained by sgd from the law gaussian; box: drawn from the law box." in text


def test_a_divergence_is_drawn_along_the_axis_with_intervals_that_hold_at_once(study):
    compared, _ = compare_all(study)
    compared = [one for one in compared if one.pair.comparison.observable == "l2_norm"]
    (figure,) = along_figures(study, compared)
    (panel,) = figure.panels
    assert panel.along.values == ("0.05", "0.1", "0.2")
    assert panel.place.over == (STD,), "pooled, and said so"
    band, line, _, null = panel.marks
    ones = [one for one in compared if one.estimate.name == "total_variation_lower_bound"]
    ones.sort(key=lambda one: one.pair.at[RATE])
    np.testing.assert_array_equal(line.y, [one.estimate.value for one in ones])
    np.testing.assert_array_equal(null.y, [one.estimate.null_value for one in ones])
    np.testing.assert_array_equal(
        np.stack([band.low, band.high], 1), [[o.simultaneous[0], o.estimate.value] for o in ones]
    )


def test_an_axis_of_lists_is_no_axis_to_draw_along():
    widths, rates = [[40, 40], [20]], [0.1, 0.2, 0.4]
    at = [{"model.widths": w, "rate": r} for w in widths for r in rates]
    assert _longest_axis(at) == "rate"
    assert _longest_axis([{"model.widths": w} for w in widths]) is None
