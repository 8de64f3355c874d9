"""The page in a real browser, headless and cut off from every network."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from sweep_engine.report.page.render import write_page
from tests.browser.pages import every_mark, linked


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, every_mark())
    return path.as_uri()


def picture(browser):
    return imread(io.BytesIO(browser.screenshot()))[..., :3]


def test_the_page_is_silent_offline_and_drawn(browser, address):
    browser.open(address)
    image = picture(browser)
    assert browser.console == []
    assert browser.requests == []
    assert len(np.unique((255 * image).astype(int) @ [1 << 16, 1 << 8, 1])) > 200
    assert image[5, 5].mean() > 0.9


def test_a_page_that_loads_and_complains_would_be_caught(browser, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text("<img src='https://example.com/x.png'><script>undefined.x</script>")
    browser.open(path.as_uri())
    assert "https://example.com/x.png" in browser.requests
    assert any("TypeError" in line for line in browser.console)


def test_figures_follow_the_dark_scheme(browser, address):
    browser.open(address, dark=True)
    image = picture(browser)
    assert browser.console == []
    assert image.mean() < 0.25
    assert (image.max(axis=2) > 0.8).mean() > 0.002


def test_every_panel_is_drawn_and_no_text_runs(browser, address):
    browser.open(address)
    assert browser.run("document.querySelectorAll('.plot .main-svg').length") >= 6
    assert browser.run("document.title") == "A title"
    assert browser.run("document.querySelectorAll('[aria-pressed=true]').length") == 6


def test_a_narrow_window_never_scrolls_sideways(browser, address):
    browser.open(address, width=390)
    inner, scroll, columns = browser.run(
        "(root => [root.clientWidth, root.scrollWidth,"
        " getComputedStyle(root.querySelector('.panels')).gridTemplateColumns])"
        "(document.documentElement)"
    )
    assert scroll <= inner <= 390
    assert len(columns.split()) == 1


LOOK = """(() => {
  const plots = [...document.querySelectorAll('.plot')].filter((plot) => plot.clientWidth);
  const sizes = plots.map((plot) => [plot, plot.querySelector('.main-svg')]
    .map((part) => [part.clientWidth, part.clientHeight]));
  return {
    folded: document.querySelectorAll('details:not([open])').length,
    ground: getComputedStyle(document.body).backgroundColor,
    width: document.body.clientWidth,
    sizes,
    ink: plots[0].layout.font.color,
  };
})()"""


def test_paper_shows_all_in_light_colours_and_nothing_runs_over(browser, address):
    """And the screen is as before, once it is printed."""
    browser.open(address, dark=True)
    screen = browser.run(LOOK)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    paper = browser.run(LOOK)
    assert (paper["folded"], paper["width"]) == (0, 688)
    assert paper["ground"] == "rgb(255, 255, 255)"
    assert paper["ink"] != screen["ink"]
    assert all(place == drawn for place, drawn in paper["sizes"])
    assert max(place[0] for place, _ in paper["sizes"]) < 688
    browser.run("dispatchEvent(new Event('afterprint'))")
    browser.run("new Promise((done) => setTimeout(done, 500))")  # plotly resizes a little later
    assert browser.run(LOOK) == screen
    assert screen["folded"] > 0
    assert screen["ground"] == "rgb(17, 22, 27)"


def test_words_hide_rows(browser, address):
    browser.open(address)
    browser.run(
        "(box => { box.value = 'SGD 3'; box.dispatchEvent(new Event('input')); })"
        "(document.getElementById('filter'))"
    )
    assert browser.run("document.getElementById('filter-count').textContent") == "1 of 8 rows"


def test_without_scripts_the_tables_stand_and_the_files_are_named(browser, address):
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(address)
        html = browser.document()
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
    assert "<noscript><p>The page draws its figures with JavaScript" in html, "it is no mere text"
    assert "figure.png" in html
    assert "13.490 (13.466 to 13.515)" in html


@pytest.mark.parametrize("num_rows", [2, 40])
def test_a_link_to_a_row_unfolds_it_and_goes_there(browser, tmp_path, num_rows):
    path = tmp_path / "linked.html"
    write_page(path, linked(num_rows))
    browser.open(path.as_uri())
    browser.run("document.documentElement.style.scrollBehavior = 'auto'")  # at once
    row = f"document.getElementById('answer-1-{num_rows}')"
    is_shown = f"{row}.checkVisibility()"
    assert browser.run(is_shown) == (num_rows == 2)
    browser.run(f"document.querySelector('a[href=\"#answer-1-{num_rows}\"]').click()")
    assert browser.run(is_shown)
    top, height = browser.run(f"[{row}.getBoundingClientRect().top, innerHeight]")
    assert -1 <= top < height
    assert browser.console == []
