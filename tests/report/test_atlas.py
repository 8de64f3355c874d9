"""A design's effects on the page and on the command line, of one small stored sweep."""

import json
from dataclasses import replace

import numpy as np
import pytest

import sweep_engine as se
from sweep_engine.atlas import effects
from sweep_engine.atlas.held import held
from sweep_engine.atlas.rows import asked_of
from sweep_engine.densities import Study, answer_all, pairs
from sweep_engine.densities.stored.sides import Side
from sweep_engine.report.answers import answer_groups
from sweep_engine.report.atlas import atlas_sections
from sweep_engine.report.drawing.marks import Heatmap, Line
from sweep_engine.report.drawing.matplotlib_files import draw_files
from sweep_engine.report.page.contents import Page
from sweep_engine.report.page.render import render_page
from sweep_engine.spec import Sweep
from tests.shell import call

TARGETS = {"dictator": "x1", "either": "x1 | x2", "mixed": "x1 | (x2 & x3)"}
START, LAW = "sources.sgd.init.weight_std", "sources.prior.law.weight_std"
BY_ROW = {"source": "sgd", "reference": "prior", "given": "fit", "by": "all"}
SWEEP = {
    "name": "rows",
    "task": {"kind": "boolean", "bits": 5, "train": 8},
    "model": {"kind": "mlp", "widths": [8]},
    "sources": {
        "sgd": {
            "kind": "train",
            "init": {"kind": "fan_in"},
            "optimizer": {"kind": "sgd", "learning_rate": 0.1},
            "batch_size": 2,
            "stop": {"max_steps": 1000},
            "runs": 128,
        },
        "prior": {"kind": "guess_and_check", "law": {"kind": "fan_in"}, "accepted": 128},
    },
    "design": {
        "kind": "full",
        "base": {"start": "narrow"},
        "factors": {
            "target": {name: {"task.target": target} for name, target in TARGETS.items()},
            "start": {"narrow": {START: 0.7, LAW: 0.7}, "wide": {START: 2.0, LAW: 2.0}},
            "sources.sgd.optimizer.learning_rate": [0.03, 0.3],
        },
    },
    "observables": ["norms", "function", "complexity"],
    "compare": [
        BY_ROW | {"observable": name}
        for name in ("function", "complexity_lz", "l2_norm", "test_error")
    ],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows") / "out"
    se.run(Sweep.model_validate(SWEEP), folder)
    return folder


@pytest.fixture(scope="module")
def study(results):
    return Study.open(results)


@pytest.fixture(scope="module")
def answers(study):
    return answer_all(study)


@pytest.fixture(scope="module")
def section(study, answers):
    (section,) = atlas_sections(study, answers)
    return section


@pytest.fixture(scope="module")
def found(results):
    (found,) = effects(results)
    return found


def test_every_row_has_both_laws_and_its_parts_add_up(found):
    assert len(found.rows) == 12
    assert {response.num_rows for response in found.responses} == {6, 12}  # priors: 6
    for row in found.rows:
        assert row.data.is_known
        assert row.optimiser.value <= row.ceiling
        assert 0 < row.balance <= 1
    assert len(found.splits) == 3 * 12
    for each in found.splits:
        assert sum(part.value for part in each.parts.values()) == pytest.approx(each.total.value)
        shift = each.row.shifts[each.prop].value
        if each.row.levels["start"] == "narrow":  # the base's own prior is the unit of both
            assert each.parts["optimiser"].value == pytest.approx(shift)
    by_name = {response.response: response for response in found.responses}
    norm = {effect.name: effect for effect in by_name["l2_norm"].effects}
    assert norm["start: wide - narrow"].value < 0  # wide starts hardly move while they learn
    assert by_name["l2_norm"].mean.tasks.num_agree == 3


def test_rows_from_memory_are_those_of_the_files(study):
    (asked,) = asked_of(study)
    quick = held(study, [asked.source, asked.reference], asked.properties)
    pair = pairs(study.plan, study.sweep.compare[0])[3]
    for side in (Side(study, "sgd", pair.source, pair.comparison),
                 Side(study, "prior", pair.reference, pair.comparison)):  # fmt: skip
        other = replace(side, study=quick)
        for column in asked.properties:
            one, two = side.draws([column]), other.draws([column])
            assert np.array_equal(one.values, two.values)
            assert np.array_equal(one.weights, two.weights)
        for one, two in zip(side.counts(), other.counts(), strict=True):
            assert sorted(one.tolist()) == sorted(two.tolist())
        assert study.fit_probability(side.chosen) == quick.fit_probability(side.chosen)
    assert quick.results.runs(["steps"]).num_rows == study.results.runs(["steps"]).num_rows


def test_the_section_has_its_figures_and_words(study, answers, section, found):
    assert [figure.name.split("_")[1] for figure in section.figures] == [
        "map", "intervals", "shares", "split",
    ]  # fmt: skip
    assert "of 3 tasks, I²" in section.text
    assert "cannot exceed" in section.text
    assert section.answer.startswith("Over 12 rows ")
    assert "start: wide - narrow (l2_norm −" in section.answer
    drawn, strokes = section.figures[0].panels[0].marks
    assert isinstance(drawn, Heatmap)
    assert drawn.is_signed
    assert isinstance(strokes, Line)
    hidden = sum(
        not effect.is_shown
        for response in found.responses
        if response.unit == "sd"
        for effect in response.main_effects
    )
    assert np.isnan(strokes.x).sum() == 3 * hidden  # three strokes a cell whose interval holds 0
    for figure in section.figures:
        assert draw_files(figure)[f"{figure.name}.png"]
    groups = tuple(answer_groups(study, answers))
    page = render_page(Page(title="t", question="q", sections=(section,), answers=groups))
    assert f'<p class="lead">{section.answer} <a href="#section-1">What puts it there' in page


def test_every_row_links_to_its_own_comparisons(study, answers, section, found):
    (table,) = section.tables
    by_anchor = {row.anchor: row for group in answer_groups(study, answers) for row in group.rows}
    seen = []
    for place, cells in zip(table.places, table.rows, strict=True):
        assert cells[table.header.index("start")] in {"narrow", "wide"}
        links = [link for cell in cells if not isinstance(cell, str) for link in cell]
        assert len(links) == 4
        assert all(by_anchor[link.anchor].place == place for link in links)
        seen += [link.anchor for link in links]
    assert sorted(seen) == sorted(by_anchor)  # each comparison of each row, once
    cell = table.rows[0][table.header.index("nats of the data")]
    value, error = map(float, cell.split(" ± "))
    assert value == pytest.approx(found.rows[0].data.value, rel=0.05)
    assert error == pytest.approx(found.rows[0].data.stderr, rel=0.05)


def test_compare_prints_the_effects(results):
    text = call("compare", results).out
    assert "effects: sgd against prior, given fit" in text
    assert "start: wide - narrow" in text
    assert "rate" in text


def test_effects_are_strict_json(found):
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert len(told["rows"]) == 12
    assert {"levels", "data", "optimiser", "shifts", "superiority"} <= told["rows"][0].keys()
    assert [each["response"] for each in told["responses"]] == [
        each.response for each in found.responses
    ]
