"""A request that was not met is not called complete."""

import json

from sweep_engine.execution import run
from sweep_engine.execution.driver import chains
from sweep_engine.spec import Sweep
from tests.shell import call

CONTRADICTORY = {
    "name": "short",
    "task": {"kind": "regression", "x": [[1.0], [1.0]], "y": [0.0, 1.0]},
    "model": {"kind": "linear"},
    "accept": {"max_residual": 0.1},
    "sources": {
        "guess": {"kind": "guess_and_check", "law": {"kind": "box"}, "accepted": 10,
                  "max_draws": 64},
        "box": {"kind": "prior", "law": {"kind": "box"}, "draws": 8},
    },
    "execution": {"lanes": 8},
}  # fmt: skip


def test_fewer_acceptances_than_asked_for_are_not_complete(tmp_path):
    path, out = tmp_path / "short.yaml", tmp_path / "out"
    path.write_text(json.dumps(CONTRADICTORY))
    for _ in range(2):  # the second finds nothing to do, and the request unmet all the same
        ended = call("run", path, "--out", out)
        assert ended.code == 1
        assert "guess: 0 of 10 acceptances in 64 draws: raise its max_draws" in ended.err
    assert run(Sweep.model_validate(CONTRADICTORY), out).is_done
    ended = call("status", out)
    assert ended.code == 0
    assert "0 of 10 acceptances" in ended.out
    assert ": complete" not in ended.out


def test_many_draws_without_a_fit_are_warned_of(tmp_path, monkeypatch):
    monkeypatch.setattr(chains, "BARREN_DRAWS", 64)
    path = tmp_path / "short.yaml"
    path.write_text(json.dumps(CONTRADICTORY))
    ended = call("run", path, "--out", tmp_path / "out")
    assert ended.err.count("guess: no fit in 64 draws, so P(fit) is below 5e-02") == 1


def test_as_many_as_asked_for_are(tmp_path):
    met = CONTRADICTORY | {"accept": {"max_residual": 10.0}}
    summary = run(Sweep.model_validate(met), tmp_path / "out")
    assert summary.is_complete
    assert summary.short == ()
