"""The first screen of a real report: sentences and table say what the estimates say."""

import re
import shutil

import pytest

from sweep_engine.densities import Judgement, Study, answer_all, by_comparison
from sweep_engine.execution import run
from sweep_engine.report import write_report
from sweep_engine.report.page.render import write_page
from sweep_engine.spec import Sweep
from tests.browser.axe import faults
from tests.browser.pages import every_mark, sweep
from tests.examples import BOOLEAN

COMPARE = [
    {"source": "sgd", "reference": "guess", "observable": "l2_norm", "given": "fit"},
    {"source": "sgd", "reference": "init", "observable": "complexity_lz"},
    {"source": "sgd", "reference": "guess", "observable": "function", "given": "fit"},
    {"source": "sgd", "reference": "init", "observable": "l2_norm", "at": {"task.target": "x1"}},
]


@pytest.fixture(scope="module")
def report(boolean_results, tmp_path_factory):
    """Where the report is, and the answers that it is of."""
    out = shutil.copytree(boolean_results, tmp_path_factory.mktemp("answer") / "out")
    assert run(Sweep.model_validate(BOOLEAN | {"compare": COMPARE}), out).is_complete
    write_report(out)
    return out, by_comparison(answer_all(Study.open(out)))


@pytest.fixture(params=["light", "dark"])
def opened(report, browser, request):
    out, groups = report
    browser.open((out / "report.html").as_uri(), height=1000, dark=request.param == "dark")
    assert browser.console == []
    assert browser.requests == []
    return browser, groups


def text_of(browser, selector):
    return browser.run(
        f"[...document.querySelectorAll('{selector}')].map(part => part.innerText.trim())"
    )


def test_the_first_screen_answers_every_comparison(opened):
    browser, groups = opened
    sentences = text_of(browser, ".sentences li")
    assert len(sentences) == len(COMPARE)
    for sentence, answers in zip(sentences, groups, strict=True):
        directions = {each.direction for each in answers if each.direction}
        assert directions == {word for word in ("smaller", "larger") if word in sentence}
        for side in answers[0].pair.comparison.source, answers[0].pair.comparison.reference:
            assert side in sentence
    bottoms = browser.run(
        "['.sentences', '#answer figure .plot .main-svg', '#answers thead']"
        ".map(name => document.querySelector(name).getBoundingClientRect().bottom)"
    )
    assert max(bottoms) < 1000, "sentences, picture and table begin on the first screen"


def test_sentence_table_and_estimates_have_the_same_numbers(opened):
    browser, groups = opened
    rows = browser.run(
        "[...document.querySelectorAll('#answers > tbody > tr')].map(row =>"
        " [...row.querySelectorAll('td')].map(cell => cell.firstChild.textContent.trim()))"
    )
    answers = [each for group in groups for each in group]
    assert len(rows) == len(answers)
    verdicts = text_of(browser, "#answers .verdict strong")
    for cells, verdict, answer in zip(rows, verdicts, answers, strict=True):
        assert verdict == answer.judgement.value
        if not answer.medians:
            continue
        said = [float(text.replace("−", "-")) for text in cells[1:3]]
        assert said == pytest.approx([each.value for each in answer.medians], rel=0.02)
        shift, low, high = map(float, re.findall(r"-?[\d.]+", cells[3].replace("−", "-")))
        step = 0.5 * max(abs(high - low), 1e-6)
        assert shift == pytest.approx(said[0] - said[1], abs=step)
        if answer.judgement is Judgement.DIFFER and answer.direction:
            assert (shift > 0) == (answer.direction == "larger")
    alone = groups[-1][0]
    assert all(text in alone.sentence for text in (*alone.median_texts, alone.shift_text))
    assert alone.sentence == text_of(browser, ".sentences li")[-1]


def test_no_serious_fault_of_accessibility(opened):
    browser, _ = opened
    browser.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert faults(browser) == []


@pytest.mark.parametrize("page", [every_mark, sweep])
def test_no_serious_fault_whatever_a_page_shows(browser, tmp_path, page):
    write_page(tmp_path / "report.html", page())
    for dark in (False, True):
        browser.open((tmp_path / "report.html").as_uri(), dark=dark)
        assert faults(browser) == []


def test_a_fault_would_be_found(browser, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(
        "<html lang=en><title>t</title><p style='color:#ccc'>pale</p><img src='data:,'>"
    )
    browser.open(path.as_uri())
    assert {line.split(":")[0] for line in faults(browser)} >= {"color-contrast", "image-alt"}
