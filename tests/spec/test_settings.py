"""Setting ids: what decides the runs, and nothing else."""

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sweep_engine.errors import SpecError
from sweep_engine.spec import Sweep, settings
from sweep_engine.spec.settings import Piece

module = importlib.import_module("sweep_engine.spec.settings")  # the package's name is the function

RATE = "sources.sgd.optimizer.learning_rate"
BASE = {
    "name": "ids",
    "seed": 3,
    "task": {"kind": "boolean", "bits": 4, "train": 5},
    "model": {"kind": "mlp", "widths": [4]},
    "sources": {
        "sgd": {"kind": "train", "runs": 8},
        "box": {"kind": "prior", "draws": 9, "keep": 3},
        "fit": {"kind": "guess_and_check", "accepted": 2, "max_draws": 50},
    },
    "axes": {RATE: {"log_uniform": [0.01, 1.0], "points": 3}},
    "observables": ["norms"],
}


def ids(changes=None):
    """(source, values) -> id, after changes given as {dotted path: value}."""
    return {(s.source, str(s.values)): s.id for s in settings(changed(changes or {}))}


def changed(changes):
    data = Sweep.model_validate(BASE).model_dump(mode="json")
    for path, value in changes.items():
        *parents, leaf = path.split("/")
        target = data
        for parent in parents:
            target = target[parent]
        target[leaf] = value
    return Sweep.model_validate(data)


GROWTH = {
    "more runs": {"sources/sgd/runs": 100},
    "more draws": {"sources/box/draws": 100},
    "more kept": {"sources/box/keep": 9},
    "a later end": {"sources/fit/max_draws": 100},
    "more points": {f"axes/{RATE}/points": 9},
    "another source": {"sources/new": {"kind": "train", "runs": 1}},
    "another observable": {"observables": ["norms", "function"]},
    "another name": {"name": "other"},
    "another comparison": {
        "compare": [{"source": "sgd", "reference": "box", "observable": "l2_norm"}]
    },
    "less stored": {"store/params": "none"},
}


@pytest.mark.parametrize("changes", GROWTH.values(), ids=GROWTH.keys())
def test_ids_stay_when_a_sweep_grows(changes):
    before, after = ids(), ids(changes)
    assert {key: after[key] for key in before} == before


CHANGES = {
    "seed": {"seed": 4},
    "task": {"task/target": "x2"},
    "training set": {"task/train": 6},
    "model": {"model/widths": [5]},
    "activation": {"model/activation": "tanh"},
    "rule": {"accept/train_error": 0.1},
}
OF_ONE = {
    "batch size": {"sources/sgd/batch_size": 2},
    "sampling": {"sources/sgd/sampling": "with_replacement"},
    "momentum": {"sources/sgd/optimizer/momentum": 0.9},
    "stop": {"sources/sgd/stop/max_steps": 10},
    "own rule": {"sources/sgd/accept": {"train_error": 0.5}},
    "init": {"sources/sgd/init/scale": 2.0},
    "shared init": {"sources/sgd/init/shared": True},
    "range": {f"axes/{RATE}/log_uniform": [0.02, 1.0]},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES.keys())
def test_ids_change_with_all_that_decides_a_run(changes):
    assert not set(ids(changes).values()) & set(ids().values())


@pytest.mark.parametrize("changes", OF_ONE.values(), ids=OF_ONE.keys())
def test_ids_change_for_the_source_that_changed(changes):
    before, after = ids(), ids(changes)
    same = {key for key in before if after.get(key) == before[key]}
    assert {source for source, _ in same} == {"box", "fit"}


def test_equal_sources_of_two_names_are_two_settings():
    twins = {"one": {"kind": "train", "runs": 1}, "two": {"kind": "train", "runs": 1}}
    first, second = settings(Sweep.model_validate({**BASE, "sources": twins, "axes": {}}))
    assert first.id != second.id


def test_a_swept_value_and_the_same_value_written_down_are_one_setting():
    """So that an axis can be added later around the value that was run first."""
    swept = settings(changed({"axes": {RATE: [0.1, 0.2]}}))
    written = settings(changed({"axes": {}}))
    assert swept[0].id == written[0].id


def test_ids_have_31_bits_and_are_spread():
    found = [s.id for s in settings(changed({f"axes/{RATE}/points": 500}))]
    assert all(0 <= i < 2**31 for i in found)
    assert len(set(found)) == len(found)
    assert len({i >> 28 for i in found}) == 8


@given(st.integers(1, 6), st.integers(0, 6))
@hypothesis_settings(deadline=None, max_examples=15)
def test_more_points_add_settings_and_move_none(points, more):
    before = ids({f"axes/{RATE}/points": points})
    after = ids({f"axes/{RATE}/points": points + more})
    assert len(after) == len(before) + more
    assert before.items() <= after.items()


def test_a_collision_is_refused(monkeypatch):
    whole = module._hash31
    monkeypatch.setattr(module, "_hash31", lambda text: whole(text) & 7)
    with pytest.raises(SpecError, match="two settings share the id") as caught:
        settings(changed({f"axes/{RATE}/points": 9}))
    assert all("rename a source" in problem for problem in caught.value.problems)


def test_a_value_listed_twice():
    listed = settings(changed({"axes": {RATE: [0.1, 0.1]}}))
    assert [s.source for s in listed].count("sgd") == 1
    with pytest.raises(SpecError, match="list a value once only"):
        settings(changed({"axes": {RATE: [1, 1.0]}}))


def test_a_piece_counts_its_runs():
    (setting, *_) = settings(changed({}))
    assert len(Piece(setting, 3, 8)) == len(np.arange(3, 8))
