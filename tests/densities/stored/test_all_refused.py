"""`compare` ends with 1 where nothing that it was asked for could be made, and with 0 elsewhere."""

import json

import pytest

from tests.shell import call

LAW = {"kind": "gaussian", "std": 1.0}
REFUSED = {"source": "few", "reference": "many", "observable": "function"}
MADE = {"source": "many", "reference": "many", "observable": "function"}
SWEEP = {
    "name": "refused",
    "task": {"kind": "boolean", "bits": 2, "target": "x1", "train": 2},
    "model": {"kind": "linear"},
    "accept": {"train_error": 0.5},
    "sources": {
        "few": {"kind": "prior", "law": LAW, "draws": 20, "keep": "none"},
        "many": {"kind": "prior", "law": LAW, "draws": 400, "keep": "none"},
    },
}


@pytest.fixture(scope="module")
def run_with(tmp_path_factory):
    """Runs the sweep, which is done at once where it has been before, with other comparisons."""
    folder = tmp_path_factory.mktemp("refused")

    def run(*comparisons):
        spec = folder / "sweep.yaml"
        spec.write_text(json.dumps(SWEEP | {"compare": comparisons}))
        assert call("run", spec, "--out", folder / "out").code == 0
        return folder / "out"

    return run


def test_all_that_was_asked_for_was_refused(run_with):
    ended = call("compare", run_with(REFUSED))
    assert ended.code == 1
    assert "no comparison could be made" in ended.err
    assert "few against many, function: a comparison of functions needs at least 100" in ended.err


def test_programs_are_told_too(run_with):
    ended = call("compare", run_with(REFUSED), "--json")
    said = json.loads(ended.out)
    assert (ended.code, said["estimates"], len(said["refused"])) == (1, [], 1)


def test_some_were_refused(run_with):
    ended = call("compare", run_with(REFUSED, MADE), "--json")
    said = json.loads(ended.out)
    assert (ended.code, len(said["refused"])) == (0, 1)
    assert {row["source"] for row in said["estimates"]} == {"many"}


def test_nothing_was_asked_for(run_with):
    ended = call("compare", run_with())
    assert ended.code == 0
    assert "the sweep file lists no comparison" in ended.out
