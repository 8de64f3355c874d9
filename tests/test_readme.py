"""What the pages show is so: sweep files load, queries and Python run as they stand, links lead."""

import json
import re
import runpy
from pathlib import Path

import duckdb
import pytest
import yaml

from sweep_engine import load
from sweep_engine.errors import SpecError
from sweep_engine.planning import plan
from sweep_engine.store import open_results
from tests.examples import BOOLEAN

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [
    README,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "cluster/README.md")),
    *ROOT.glob("sweep_engine/examples/*.md"),
    *ROOT.glob("tests/**/README.md"),
]


def blocks(language):
    text = "".join(page.read_text() for page in PAGES)
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, f"no page has a block of {language}"
    return found


def links(page):
    """Every relative link of a page, as (file, heading)."""
    urls = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    inside = [url for url in urls if not url.startswith("http")]
    return [(page.parent / url.split("#")[0], url.partition("#")[2]) for url in inside]


def headings(page):
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target, heading in links(page):
        there = page if target == page.parent else target
        assert there.exists(), f"{page}: {target}"
        assert not heading or heading in headings(there), f"{page}: #{heading}"


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 200


def load_text(text, folder):
    path = folder / "sweep.yaml"
    path.write_text(text)
    return load(path)


def complete(text):
    """A whole sweep file as it is; a fragment takes its place in a small one."""
    shown = yaml.safe_load(text)
    return text if {"task", "sources"} <= shown.keys() else json.dumps(BOOLEAN | shown)


@pytest.mark.parametrize("text", blocks("yaml"), ids=lambda text: text.split(":")[0])
def test_sweep_files_and_fragments_load_and_are_planned(text, tmp_path):
    planned = plan(load_text(complete(text), tmp_path))
    assert {shard.source for shard in planned.shards} == planned.sweep.sources.keys()


@pytest.mark.parametrize("text", blocks("yaml"), ids=lambda text: text.split(":")[0])
def test_a_fragment_that_is_wrong_would_be_seen(text, tmp_path):
    with pytest.raises(SpecError):
        load_text(complete(text.replace("kind: ", "kind: no_", 1)), tmp_path)


QUERIES = [query for text in blocks("sql") for query in text.split(";") if query.strip()]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: re.search(r"DIR/(\w+)", query)[1])
def test_queries_find_all_sources(query, boolean_results):
    """In all rows: which of the functions that were found once are among the first is chance."""
    whole = re.sub(r"LIMIT \d+", "", query.replace("DIR", str(boolean_results)))
    rows = duckdb.sql(whole).fetchall()
    assert {row[0] for row in rows} >= {"sgd", "guess"}


@pytest.mark.parametrize(
    "text", blocks("python"), ids=lambda text: re.search(r"import (\w+)", text)[1]
)
def test_python_runs(text, boolean_results, tmp_path, monkeypatch, capsys):
    """As it stands, but for fewer steps."""
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "readme.py"
    briefly = text.replace('"runs": 256', '"runs": 256, "stop": {"max_steps": 100}')
    script.write_text(briefly.replace("DIR", str(boolean_results)))
    names = runpy.run_path(str(script))
    if "sweep" in names:
        assert open_results("results/circle").runs(["l2_norm"]).num_rows == 512
        assert capsys.readouterr().out.splitlines()[2].startswith("ks_distance ")


def test_own_objects(tmp_path, monkeypatch, capsys):
    """As they stand, but for fewer steps."""
    monkeypatch.chdir(tmp_path)
    example = ROOT / "sweep_engine" / "examples" / "own_objects.py"
    (tmp_path / "briefly.py").write_text(example.read_text().replace("1000", "10"))
    runpy.run_path(str(tmp_path / "briefly.py"), run_name="__main__")
    assert open_results("results/own_objects").runs(["largest_weight"]).num_rows == 768
    assert capsys.readouterr().out.count("ks_distance ") == 2
    page = Path("results/own_objects/report.html").read_text()
    assert page.count("where the highest tenth of the reference lies") == 2
