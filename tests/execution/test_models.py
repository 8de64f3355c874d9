"""Models of positions and tokens from a sweep to a report: run, go on, observe, refuse."""

import numpy as np
import pytest

import sweep_engine as se
from sweep_engine.errors import FieldError
from sweep_engine.planning import plan
from sweep_engine.sources.opening import check_tokens
from sweep_engine.spec import settings

BITS = {"kind": "boolean", "bits": 3, "target": "x1 ^ x3", "train": 8}
CASES = {
    "cnn": (
        {"kind": "cnn", "channels": [2], "kernel": 2, "dense": [3]},
        {"model.channels": [[2], [3, 2]]},
    ),
    "transformer": (
        {"kind": "transformer", "vocabulary": 2, "width": 4, "heads": 2, "hidden": 3},
        {"model.norm": ["rms"]},
    ),
}


def sweep(kind, **changes):
    model, axes = CASES[kind]
    content = {
        "name": "models",
        "task": BITS,
        "model": model,
        "accept": {"train_error": 0.5},
        "sources": {
            "sgd": {
                "kind": "train",
                "init": {"kind": "torch"},
                "optimizer": {"kind": "sgd", "learning_rate": 0.1},
                "stop": {"max_steps": 3, "fit": False},
                "runs": 3,
            }
        },
        "axes": axes,
        "observables": ["norms"],
        "execution": {"lanes": 2},
    }
    return se.Sweep(**(content | changes))


@pytest.mark.parametrize("kind", CASES)
def test_from_a_sweep_to_a_report(tmp_path, kind):
    out, asked = tmp_path / "out", sweep(kind)
    assert len(plan(asked).buckets) == len(settings(asked))  # a program for each value
    assert se.run(asked, out).is_complete
    assert se.run(asked, out).computed == 0
    rows = se.open_results(out).runs()
    assert len(rows) == 3 * len(settings(asked))
    losses = rows["train_loss"].to_numpy()
    assert np.all(np.isfinite(losses))
    assert len(np.unique(losses)) == len(losses)
    se.observe(out, ["margin"])
    assert any("margin" in name for name in se.open_results(out).runs().column_names)
    with pytest.raises(se.SweepEngineError, match=f"no canonical form .* known of {kind}"):
        se.observe(out, ["path"])
    with pytest.raises(se.SweepEngineError, match="known what gradient flow conserves: mlp"):
        se.observe(out, ["conservation"])
    se.write_report(out)
    assert (out / "report.html").stat().st_size > 0


def test_what_is_no_token_is_refused_before_anything_runs(tmp_path):
    asked = sweep("transformer", task=BITS | {"inputs": "plus_minus"})
    with pytest.raises(se.SweepEngineError, match=r"-1 is no token: .* whole numbers from 0 to 1"):
        se.run(asked, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [0.5, -1.0, 2.0])
def test_tokens_are_whole_numbers_of_the_vocabulary(number):
    check_tokens(np.array([[0.0, 1.0]]), 2)
    with pytest.raises(FieldError, match=f"{number:g} is no token"):
        check_tokens(np.array([[0.0, number]]), 2)
