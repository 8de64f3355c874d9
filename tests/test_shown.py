"""What the Python interface prints: short tables with the numbers, in text and in notebooks."""

from xml.etree import ElementTree

import pytest

import sweep_engine as se
from sweep_engine.densities import Estimate
from sweep_engine.shown import ShortTable, Shown
from sweep_engine.spec import Comparison
from sweep_engine.spec.sweep import Match

SWEEP = se.Sweep.model_validate(
    {
        "name": "shown",
        "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
        "model": {"kind": "mlp", "widths": [4]},
        "sources": {
            "init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 30, "keep": 20},
            "other": {"kind": "prior", "law": {"kind": "box"}, "draws": 1000},
        },
        "axes": {"sources.other.law.half_width": [1.0, 2.0]},
        "execution": {"lanes": 8},
    }
)

ESTIMATE = Estimate(
    name="ks_distance", value=0.25, low=0.125, high=0.375, num_source=1000, n_eff_source=1000.0,
    num_reference=500, n_eff_reference=500.0, unit="1", method="DKW", p_value=0.0123,
    warnings=("few draws < 1,000 & old",),
)  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("shown")
    se.run(SWEEP, out)
    return se.open_results(out)


def rows(shown: Shown) -> list[list[str]]:
    """The cells, as a browser would find them."""
    page = ElementTree.fromstring(f"<body>{shown._repr_html_()}</body>")
    return [[cell.text or "" for cell in row] for row in page.iter("tr")]


def test_a_plan_says_how_many_runs_each_source_has():
    plan = se.plan(SWEEP)
    assert rows(plan) == [
        ["source", "settings", "buckets", "shards", "runs at most"],
        ["init", "1", "1", "1", "30"],
        ["other", "2", "1", "1", "2,000"],
    ]
    assert str(plan).splitlines()[0] == "plan of shown"


def test_results_say_how_many_rows_each_source_has(results):
    table = rows(results)
    assert table[0][:2] == ["source", "rows of params"]
    runs = table[0].index("rows of runs")
    assert [row[runs] for row in table[1:]] == ["20", "2,000"]
    assert len(results.runs()) == 2020


def test_an_estimate_says_its_value_its_interval_and_its_warnings():
    header, cells = rows(ESTIMATE)
    said = dict(zip(header, cells, strict=True))
    assert said["estimate"] == "ks_distance"
    assert said["95% interval"] == "0.125 to 0.375"
    assert (said["p"], said["of the reference"]) == ("0.012", "500")
    assert "null" not in said, "it has none"
    assert "warning: few draws < 1,000 & old" in str(ESTIMATE)
    assert repr(ESTIMATE).startswith("Estimate(name='ks_distance'"), "which code can read"


def test_a_comparison_says_what_the_file_would():
    comparison = Comparison(
        source="sgd", reference="init", observable="l2_norm", match=Match(column="train_loss")
    )
    assert [row[0] for row in rows(comparison)] == [
        "key", "source", "reference", "observable", "match",
    ]  # fmt: skip
    assert Comparison.model_validate(comparison.model_dump()) == comparison


def test_columns_stand_below_one_another():
    table = ShortTable("", ("name", "n"), [("a", "1,000"), ("long name", "7")], ("a note",))
    assert table.to_text().splitlines() == [
        "name           n",
        "a          1,000",
        "long name      7",
        "a note",
    ]


def test_markup_in_a_cell_is_text():
    assert "<script>" not in ShortTable("<script>", ("<script>",), [("<script>",)]).to_html()
