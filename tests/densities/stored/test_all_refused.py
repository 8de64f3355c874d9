"""`compare` ends with 1 where nothing that it was asked for could be made, and with 0 elsewhere."""

import json

import pytest

import sweep_engine as se
from sweep_engine.densities import Estimator, Study, registry, seconds_to_answer
from sweep_engine.densities.columns.ks import KolmogorovSmirnov
from sweep_engine.densities.effort import ROWS_A_SECOND
from sweep_engine.densities.points.classifier import ClassifierTest
from sweep_engine.densities.points.flow import Flow
from sweep_engine.spec.sweep import OWN_ESTIMATORS
from sweep_engine.store import LocalFiles, record_failure
from tests.shell import call

LAW = {"kind": "gaussian", "std": 1.0}
REFUSED = {"source": "few", "reference": "many", "observable": "function"}
MADE = {"source": "many", "reference": "many", "observable": "function"}
SWEEP = {
    "name": "refused",
    "task": {"kind": "boolean", "bits": 2, "target": "x1", "train": 2},
    "model": {"kind": "linear"},
    "accept": {"train_error": 0.5},
    "observables": ["norms"],
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


def test_where_nothing_fits_there_is_nothing_to_compare(tmp_path):
    """Keep how rarely the prior fits, which is known all the same, and write the page."""
    spec, out = tmp_path / "sweep.yaml", tmp_path / "out"
    changes = {"task": {"kind": "boolean", "bits": 2, "target": "x1 ^ x2", "train": 4}}
    sources = {"one": {"kind": "prior", "law": LAW, "draws": 120}}
    sources["two"] = sources["one"] | {"kind": "guess_and_check"}
    asked = [
        {"source": "one", "reference": "two", "observable": observable, "given": "fit"}
        for observable in ("l2_norm", "function")
    ]
    changes |= {"accept": {"train_error": 0.0}, "sources": sources, "compare": asked}
    spec.write_text(json.dumps(SWEEP | changes))
    assert call("run", spec, "--out", out).code == 0
    ended = call("compare", out, "--json")
    said = json.loads(ended.out)
    assert ended.code == 1
    assert {row["name"] for row in said["estimates"]} >= {"decomposition_data"}
    assert {row["num_source"] for row in said["estimates"]} == {0}
    ended = call("compare", out)
    assert ended.code == 1
    assert "no network of one or two fits: there are no functions to count" in ended.out
    assert "ks needs at least 1 independent draws" in ended.out
    assert call("report", out).code == 0


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


def undo_one(out):
    """Take a shard back, as if it had failed."""
    (shard, *_) = se.open_results(out).ledger.shards
    (out / "ledger" / f"{shard}.json").unlink()
    record_failure(LocalFiles(out), shard, 3, "out of luck")


def test_a_run_that_lacks_draws_says_so_and_succeeds(run_with):
    out = run_with(REFUSED)
    undo_one(out)
    ended = call("run", out.parent / "sweep.yaml", "--out", out)
    assert ended.code == 0
    (sentence,) = [line for line in ended.out.splitlines() if line.startswith("1. ")]
    assert "oo few draws to tell networks of few and of many apart" in sentence
    assert "needs at least 100" in sentence
    assert not ended.err.count("no comparison")


def test_a_run_whose_estimator_is_not_known_here_says_so_and_succeeds(run_with, monkeypatch):
    """As on a machine of a cluster; a sweep file cannot name one, so it is retried."""
    monkeypatch.setattr(registry, "_OWN", {})
    se.add_estimator(type("Own", (KolmogorovSmirnov,), {"name": "own"})())
    asked = {"source": "few", "reference": "many", "observable": "l2_norm", "estimator": "own"}
    out = run_with()
    try:
        se.run(se.Sweep(**SWEEP, compare=[asked]), out)
    finally:
        OWN_ESTIMATORS.discard("own")
    undo_one(out)
    assert "L2 norm: no run is stored" in call("retry", out).out
    registry._OWN.clear()
    undo_one(out)
    ended = call("retry", out)
    assert ended.code == 0
    assert "'own' is an estimator of a user's own" in ended.out


def test_a_column_of_runs_of_which_none_is_kept(run_with):
    """No table knows the column then."""
    asked = {"source": "few", "reference": "many", "observable": "l2_norm"}
    ended = call("compare", run_with(asked))
    assert ended.code == 1
    assert "l2_norm: no run is stored: `keep`" in ended.err


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"observable": "function"}, Estimator.seconds),
        ({"observable": "l2_norm"}, 2 * Estimator.seconds),
        ({"observable": "l2_norm, train_loss, train_error"}, ClassifierTest.seconds),
        ({"observable": "l2_norm, train_loss", "estimator": "flow"}, Flow.seconds),
    ],
    ids=["functions", "one column", "a classifier is asked", "flow"],
)
def test_how_long_an_answer_takes_is_known_before(run_with, changes, seconds):
    """Its estimators' time, and that of reading what both sides have: no run is kept here."""
    study = Study.open(run_with(REFUSED | changes))
    num_rows = study.results.tallies().num_rows if changes["observable"] == "function" else 0
    assert num_rows or not study.results.runs().num_rows
    assert seconds_to_answer(study) == pytest.approx(seconds + num_rows / ROWS_A_SECOND)
