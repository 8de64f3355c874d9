"""The filter over swept axes, and how a dot names its run."""

import pytest

from sweep_engine.report.page.render import write_page
from tests.browser.pages import FIRST_RUN, RATE, RATES, STD, STDS, TARGET, TARGETS, sweep


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "report.html"
    write_page(path, sweep())
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    browser.open(address)
    yield browser
    assert browser.console == []
    assert browser.requests == []


def tick(page, path, value):
    page.run(
        f"[...document.querySelectorAll('[data-path=\"{path}\"] input')]"
        f".find(input => input.value === '{value}').click()"
    )


def shown(page):
    """What is seen of each figure: hidden, or the points, names and remark of its plot."""
    return page.run(
        "Object.fromEntries([...document.querySelectorAll('figure')].map(figure => {"
        "  const plot = figure.querySelector('.plot');"
        "  const points = (plot._fullData ?? [])"
        "    .map(({x, z}) => z ? z[0][0] : [...x].filter(isFinite));"
        "  const remark = [...figure.querySelectorAll('.pooled')].find(part => !part.hidden);"
        "  const names = [...figure.querySelectorAll('.legend button')].map(b => b.textContent);"
        "  return [figure.id.slice(7), figure.hidden ? 'hidden'"
        "    : {points, names, remark: remark?.textContent ?? ''}];"
        "}))"
    )


def rows(page, table):
    return page.run(
        f"[...document.querySelectorAll('{table} tbody tr')].filter(row => !row.hidden).length"
    )


def test_nothing_is_hidden_at_first(page):
    seen = shown(page)
    assert "hidden" not in seen.values()
    assert all(figure["remark"] == "" for figure in seen.values())
    assert rows(page, "#summary") == 4
    assert page.run("document.getElementById('filters-count').textContent") == "all 12 settings"


def test_one_value_changes_every_figure_and_table_that_depends_on_it(page):
    before = shown(page)
    tick(page, RATE, "0.2")
    after = shown(page)
    assert page.run("document.getElementById('filters-count').textContent") == "4 of 12 settings"
    assert [name for name in after if after[name] == before[name]] == ["at_0.2"]
    assert after["at_0.1"] == after["at_0.4"] == "hidden"
    assert len(after["dots"]["points"][0]) == 4 + 1, "runs of init are on no axis"
    assert round(10 ** after["cells"]["points"][0]) == 5 * 5
    assert {x for trace in after["along"]["points"] for x in trace} == {0.2}
    assert after["along"]["names"] == ["all"], "the targets are still pooled"
    assert after["pooled"]["points"] == before["pooled"]["points"]
    assert "Pools several values of learning_rate" in after["pooled"]["remark"]
    assert (rows(page, "#summary"), rows(page, "#diagnostics")) == (2, 1)
    remarks = "[...document.querySelectorAll('#summary .pooled')].map(part => part.hidden)"
    assert page.run(remarks) == [False]


def test_what_is_pooled_is_taken_apart(page):
    tick(page, TARGET, TARGETS[1])
    along = shown(page)["along"]
    assert along["names"] == [f"sgd, {TARGETS[1]}"]
    assert along["remark"] == ""


def test_a_long_axis_is_a_range(page):
    page.run(
        f"(([from, to]) => {{ from.selectedIndex = 8; to.selectedIndex = {len(STDS) - 1};"
        " to.dispatchEvent(new Event('change', {bubbles: true})); })"
        f"(document.querySelectorAll('[data-path=\"{STD}\"] select'))"
    )
    assert page.run("document.getElementById('filters-count').textContent") == "6 of 12 settings"


def test_keys_alone_reach_the_filter_and_clear_it(page):
    assert page.run(
        "[...document.querySelectorAll('#filters input, #filters select')]"
        ".every(control => control.labels.length === 1)"
    )
    page.run("document.querySelector('#filters summary').focus()")
    page.press("Tab", "Tab", " ")
    assert page.run("document.activeElement.value") == RATES[1]
    assert page.run("document.getElementById('filters-count').textContent") == "4 of 12 settings"
    page.run("document.querySelector('#filters button').focus()")
    page.press("Enter")
    page.run("new Promise(done => setTimeout(done))")
    assert page.run("document.getElementById('filters-count').textContent") == "all 12 settings"


def test_the_view_stands_in_the_address(page, address):
    tick(page, TARGET, TARGETS[1])
    tick(page, RATE, "0.4")
    sent = page.run("location.href")
    expected = shown(page)
    page.open(sent)
    assert shown(page) == expected
    page.run("document.querySelector('nav a').click()")
    page.run("new Promise(done => setTimeout(done, 50))")
    assert page.run("location.href") == sent
    assert shown(page) == expected


def test_the_pointer_finds_a_run_and_its_setting(page):
    page.run("document.getElementById('figure-dots').scrollIntoView({behavior: 'instant'})")
    x, y = page.run(
        "(dot => [dot.x + dot.width / 2, dot.y + dot.height / 2])"
        "(document.querySelectorAll('#figure-dots .point')[3].getBoundingClientRect())"
    )
    page.point(x, y)
    page.run("new Promise(done => setTimeout(done, 200))")
    label = page.run("document.querySelector('#figure-dots .hovertext').textContent")
    for words in (f"run {FIRST_RUN + 3}", "target = x1 & <x2>", "std = 2.25", "test_error 0.375"):
        assert words in label
    page.point(x, y, click=True)
    readout = page.run("document.querySelector('#figure-dots .readout').textContent")
    assert readout.endswith(f"sweep-engine show DIR {FIRST_RUN + 3}")
    assert "learning_rate = 0.1" in readout


def test_arrow_keys_go_from_run_to_run(page):
    tick(page, RATE, "0.2")
    page.run("document.querySelector('#figure-dots .plot').focus()")
    page.press("ArrowRight", "ArrowRight")
    readout = page.run("document.querySelector('#figure-dots .readout').textContent")
    assert readout.endswith(f"show DIR {FIRST_RUN + 5}"), "the second of the runs that are left"
    assert page.run("document.querySelectorAll('#figure-dots .hovertext').length") == 1


def test_a_cell_says_how_many_runs_of_which_settings(page):
    page.run("document.querySelector('#figure-cells .plot').focus()")
    page.press("ArrowRight")
    readout = page.run("document.querySelector('#figure-cells .readout').textContent")
    assert readout.startswith("65 runs · 5: sgd, learning_rate = 0.1, target = x1, std = 0.25")
    assert "and 10 more settings" in readout
    assert readout.endswith(f"sweep-engine show DIR {FIRST_RUN}")


def test_the_filter_fits_a_telephone(browser, address):
    browser.open(address, width=390)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    browser.run("document.querySelector('#filters summary').click()")
    assert browser.run("document.documentElement.scrollWidth") <= 390
