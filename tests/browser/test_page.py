"""The page in a real browser, headless and cut off from every network."""

import json
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
from matplotlib.image import imread

from sweep_engine.report.figure import (
    Axis,
    Bars,
    Figure,
    Heatmap,
    Line,
    Panel,
    Points,
    Quantiles,
    Role,
    Rule,
    Steps,
)
from sweep_engine.report.page import LedgerRow, Page, Row, Section, Table, write_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
# The page needs a real browser, which the set-up does not install; pytest lists the skips.
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH to open the page in")

EVIL = "</script><script>document.title = 'owned'</script>"


@dataclass(frozen=True)
class Visit:
    """What the browser showed, said and asked for."""

    image: np.ndarray
    console: list[str]
    requests: list[str]


def visit(address, folder, *options, size=(1200, 3000)):
    """Open an address, wait until its scripts have run, and look."""
    image, log = folder / "image.png", folder / "net.json"
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={size[0]},{size[1]}",
        "--virtual-time-budget=10000",
        "--enable-logging=stderr",
        f"--log-net-log={log}",
        f"--screenshot={image}",
        *options,
        address,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Visit(imread(image)[..., :3], console, page_requests(log))


def page_requests(log):
    """Addresses that a page asked for; the browser's own requests have no origin."""
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    return [
        event["url"]
        for event in events
        if event.get("url", "").startswith("http")
        and event.get("initiator", "not an origin") != "not an origin"
    ]


def document(address, *options):
    """The document after its scripts have run."""
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--virtual-time-budget=10000", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += [*options, address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    x = np.linspace(0.1, 1, 20)
    axes = Axis("x <b>"), Axis("y")
    log_axes = Axis("learning rate", "log"), Axis("sharpness", "log")
    drift = Axis("drift", "symlog")
    panels = (
        Panel(EVIL, *axes, (Points(x, x, EVIL), Line(x, x, "exact")), equal_aspect=True),
        Panel("", *axes, (Steps(np.linspace(0, 1, 21), x, "sgd", low=x / 2, high=2 * x),)),
        Panel("", *axes, (Heatmap(np.arange(4), np.arange(3), np.eye(2, 3), "n", log=True),)),
        Panel("", *axes, (Bars(("a", "b"), x[:2], x[:2], x[2:4], "sgd"), Rule(1, "horizontal"))),
        Panel("", *log_axes, (Quantiles(x, np.outer(x, np.arange(1, 6)), "q", Role.NULL),)),
        Panel("", drift, drift, (Points(100 * x, -x, "sgd"),)),
    )
    rows = tuple(Row("sgd", "box", EVIL, f"{i}", "KL", 1.0, 0.9, 1.1) for i in range(8))
    table = Table("Statuses", ("a rather long name of a column",) * 9, (("1",) * 9,))
    figure = Figure("figure", EVIL, EVIL, panels, columns=3)
    path = tmp_path_factory.mktemp("page") / "report.html"
    errors = (("PAC-Bayes bound, a_long_name_of_a_source", "0.8825 (0.8817 to 0.8833)"),)
    ledger = LedgerRow(
        "sgd", EVIL, "learning_rate = 0.05", "functions", "13.490 (13.466 to 13.515)",
        "0.59 (0.49 to 0.70)", "14.08 (13.94 to 14.24)", errors, EVIL, ("a remark",) * 2,
    )  # fmt: skip
    sections = (Section("s", "", (figure,)),)
    write_page(
        path, Page("A title", "Why?", rows, sections, (table,), (), "In nats.", (ledger,) * 3)
    )
    return path


def test_the_page_is_silent_offline_and_drawn(page, tmp_path):
    seen = visit(page.as_uri(), tmp_path)
    assert seen.console == []
    assert seen.requests == []
    assert len(np.unique(seen.image.reshape(-1, 3), axis=0)) > 200
    assert seen.image[5, 5].mean() > 0.9


def test_a_page_that_loads_and_complains_would_be_caught(tmp_path):
    path = tmp_path / "bad.html"
    path.write_text("<img src='https://example.com/x.png'><script>undefined.x</script>")
    seen = visit(path.as_uri(), tmp_path)
    assert "https://example.com/x.png" in seen.requests
    assert any("TypeError" in line for line in seen.console)


def test_figures_follow_the_dark_scheme(page, tmp_path):
    seen = visit(page.as_uri(), tmp_path, "--blink-settings=preferredColorScheme=0")
    assert seen.console == []
    assert seen.image.mean() < 0.25
    assert (seen.image.max(axis=2) > 0.8).mean() > 0.002


def test_every_panel_is_drawn_and_no_text_runs(page):
    html = document(page.as_uri())
    assert html.count('class="main-svg"') >= 6
    assert "<title>A title</title>" in html
    assert html.count('aria-pressed="true"') == 6


def test_a_narrow_window_never_scrolls_sideways(page, tmp_path):
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<iframe src='{page.as_uri()}' style='width:390px;height:900px'></iframe><p></p>"
        "<script>onload = () => { const root = frames[0].document.documentElement;"
        "document.querySelector('p').textContent ="
        "`widths ${root.clientWidth} ${root.scrollWidth} "
        "${getComputedStyle(root.querySelector('.panels')).gridTemplateColumns};` }</script>"
    )
    html = document(frame.as_uri(), "--allow-file-access-from-files")
    inner, scroll, *columns = html.split("widths ")[1].split(";")[0].split()
    assert int(scroll) <= int(inner) <= 390
    assert len(columns) == 1


def test_the_filter_hides_rows(page, tmp_path):
    copy = tmp_path / "filter.html"
    script = (
        "<script>filter = document.getElementById('filter'); filter.value = 'SGD 3';"
        "filter.dispatchEvent(new Event('input'))</script></body>"
    )
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    assert "1 of 8 rows" in document(copy.as_uri())
