"""What README shows is so: its sweep files load, its queries and its Python run as they stand."""

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

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found, f"README has no block of {language}"
    return found


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
        assert open_results("results/circle").runs(["largest_weight"]).num_rows == 512
        assert capsys.readouterr().out.splitlines()[2].startswith("ks_distance ")
