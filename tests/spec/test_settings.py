"""Setting ids: what decides the runs, and nothing else."""

import hashlib
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep_engine.errors import OutputError, SpecError
from sweep_engine.planning import Shard, bucket_name, plan
from sweep_engine.spec import Sweep, dump_sweep, restore, settings
from sweep_engine.spec.axes import Axis
from sweep_engine.spec.settings import Piece, identity
from sweep_engine.store import OutputDirectory
from sweep_engine.store.manifest import (
    Frozen,
    Manifest,
    read_manifest,
    read_previous,
    write_manifest,
)

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


# --- settings that share 31 bits ----------------------------------------------------------


@pytest.fixture
def few_ids(monkeypatch):
    """Ids of so few bits that dozens of settings share them."""
    whole = module.hash31

    def small(digest, attempt=0):
        return whole(digest, attempt) % 1000

    monkeypatch.setattr(module, "hash31", small)
    monkeypatch.setattr("sweep_engine.spec.ids.hash31", small)


def with_points(points, other=1):
    momenta = {"uniform": [0.1, 0.9], "points": other}
    changes = {f"axes/{RATE}/points": points, "axes/sources.sgd.optimizer.momentum": momenta}
    return changed({**changes, "sources/box/keep": "all"})


def by_digest(planned):
    return {s.digest: i for i, s in planned.settings.items()}


def test_settings_that_share_an_id_hash_again(few_ids):
    found = settings(with_points(150))
    assert len({s.id for s in found}) == len(found) == 152
    first = {s.digest: module.hash31(s.digest) for s in found}
    moved = [s for s in found if s.id != first[s.digest]]
    assert 4 < len(moved) < 40
    shared = {i for i in first.values() if list(first.values()).count(i) > 1}
    assert all(first[s.digest] in shared for s in moved)
    assert [s.id for s in settings(with_points(150))] == [s.id for s in found]


@pytest.mark.parametrize("middle", [(30, 4), (60, 2)])
def test_growth_moves_no_id_that_was_given(few_ids, tmp_path, middle):
    """Whatever it grows by first, and read back from `sweep.json` as well."""
    directory = OutputDirectory(tmp_path)
    frozen = Frozen("cpu", "cpu", "exact", {}, {}, {})
    before = {}
    for size in [(30, 2), middle, (60, 4)]:
        previous = read_previous(directory)
        shards, known = (previous.shards, previous.ids) if previous else ((), dict)
        planned = plan(with_points(*size), shards, known)
        assert len(planned.settings) == size[0] * size[1] + 2
        assert before.items() <= by_digest(planned).items()
        write_manifest(directory, Manifest(planned, frozen), previous)
        before = by_digest(planned)
        assert by_digest(read_manifest(directory).plan) == before
    assert by_digest(plan(with_points(60, 4))) != before, "else this test shows nothing"


def test_ids_that_did_not_move_stand_nowhere(tmp_path):
    directory = OutputDirectory(tmp_path)
    write_manifest(directory, Manifest(plan(with_points(9)), Frozen("", "", "", {}, {}, {})))
    assert "moved_ids" not in json.loads((tmp_path / "sweep.json").read_text())


def test_a_child_names_its_parent_by_the_id_that_it_has(few_ids):
    child = {"kind": "train", "runs": 2, "init": {"from": "sgd"}}
    sweep = changed({f"axes/{RATE}/points": 150, "sources/child": child})
    found = settings(sweep)
    by_id = {s.id: s for s in found}
    assert len(by_id) == len(found)
    children = [s for s in found if s.source == "child"]
    assert len(children) == 150
    assert all(by_id[s.parent].digest == s.parent_digest for s in children)
    assert all(by_id[s.parent].values == s.values for s in children)


@pytest.mark.parametrize("listed", [[0.1, 0.1], [0.2, 0.1, 0.3, 0.1]])
def test_a_value_listed_twice(listed):
    with pytest.raises(SpecError, match=rf"^axes\.{RATE}: 0\.1 is listed twice: list it once$"):
        settings(changed({"axes": {RATE: listed}}))


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([1, 1.0], r"1 and 1\.0 are the same in float32: list one of them"),
        ([0.1, 0.1 + 1e-12], r"0\.1 and 0\.10000000000100001 are the same in float32"),
        ([0.5, 0.25, 0.25 + 1e-10], r"0\.25 and 0\.2500000001 are the same"),
    ],
)
def test_values_that_are_one_number(listed, message):
    with pytest.raises(SpecError, match=rf"^axes\.{RATE}: {message}"):
        settings(changed({"axes": {RATE: listed}}))


def test_of_integers_nothing_is_said_of_float32():
    with pytest.raises(SpecError, match=r"train: 4 and 4\.0 are the same number: list one of them"):
        settings(changed({"axes": {"task.train": [4, 4.0]}}))


def test_points_that_differ_in_the_file_alone():
    listed = [{"kind": "sgd"}, {"kind": "sgd", "learning_rate": 0.1}]
    with pytest.raises(SpecError, match=r"^axes\.sources\.sgd\.optimizer: two points are one"):
        settings(changed({"axes": {"sources.sgd.optimizer": listed}}))


def test_integers_are_no_float32_numbers():
    path = "sources.sgd.stop.max_steps"
    found = settings(changed({"axes": {path: [2**24, 2**24 + 1]}}))
    assert [s.values.get(path) for s in found if s.source == "sgd"] == [2**24, 2**24 + 1]


def test_a_repeated_point_of_a_zip():
    zipped = {RATE: [0.1, 0.2, 0.1], "sources.sgd.optimizer.momentum": [0.5, 0.5, 0.5]}
    with pytest.raises(SpecError, match=r"^axes\.zip\.0: 0\.1, 0\.5 is listed twice"):
        settings(changed({"axes": {"zip": [zipped]}}))


# --- exactly as many settings as points ---------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "count"),
    [
        ({"log_uniform": [0.001, 1.0], "points": 20_000}, 20_000),
        ({"uniform": [0.1234567, 0.1234569], "points": 5}, 5),
        ({"uniform": [0.5, 0.5001], "points": 300}, 300),
        ({"grid": [0.1, 0.1000001], "points": 5}, 5),
        ({"log_grid": [0.1234567, 0.1234569], "points": 3}, 3),
        ({"integer": [1, 40], "points": 40}, 40),
        ({"integer": [2**30, 2**30 + 300], "points": 150}, 150),
    ],
)
def test_an_axis_has_as_many_values_as_points_inside_its_range(axis, count):
    made = Axis.model_validate(axis)
    values = made.distinct(3, RATE)
    ((low, high),) = [ends for name, ends in axis.items() if name != "points"]
    assert len(set(values)) == count
    assert all(low <= value <= high for value in values)
    if "integer" not in axis:
        assert len({np.float32(value) for value in values}) == count
    if "points" in axis and made.is_distribution:
        fewer = made.model_copy(update={"points": count // 2}).distinct(3, RATE)
        assert values[: count // 2] == fewer


def test_the_ends_of_a_grid_are_those_that_were_given():
    assert Axis(grid=(0.0, 0.9999999), points=3).resolve(0, RATE) == (0.0, 0.5, 0.9999999)
    assert Axis(log_grid=(0.12345678, 0.2), points=2).resolve(0, RATE) == (0.12345678, 0.2)


@pytest.mark.parametrize(
    "axis",
    [
        {"uniform": [0.1234567, 0.1234569], "points": 60},
        {"grid": [0.1234567, 0.1234569], "points": 60},
        {"integer": [1, 59], "points": 60},
    ],
)
def test_more_points_than_a_range_has_numbers(axis):
    path = RATE if "integer" not in axis else "sources.sgd.stop.max_steps"
    with pytest.raises(SpecError, match=rf"^axes\.{path}: 60 points .* give fewer"):
        settings(changed({"axes": {path: axis}}))


def test_sobol_points_are_different_too():
    axes = {"sobol": {"points": 20_000, "over": {RATE: {"uniform": [0.5, 0.6]}}}}
    found = {s.values[RATE] for s in settings(changed({"axes": axes})) if s.source == "sgd"}
    assert len(found) == 20_000


def test_what_the_first_release_stored_keeps_its_settings():
    """It rounded to six digits, beyond a range's end as well."""
    sweep = changed({"axes": {RATE: {"uniform": [0.1234567, 0.1234569], "points": 5}}})
    first = settings(sweep, as_first_released=True)
    assert {s.values[RATE] for s in first if s.source == "sgd"} == {0.123457}
    shards = [
        Shard(f"s{s.id}", s.source, bucket_name(sweep, s), ((s.id, 0, s.spec.num_runs),))
        for s in first
    ]
    stored = restore(dump_sweep(sweep), Path())
    assert set(plan(stored, shards).settings) == {s.id for s in first}
    with pytest.raises(OutputError, match="a setting that this sweep does not have"):
        plan(sweep, shards)


# --- float32 ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1e38, 1e39, 1e300], "1e+39 is beyond float32"),
        ([1e-46, 1e-320], "1e-46 is 0 in float32"),
        ([0.1, 1e-40], "1e-40 is 0 in float32"),
    ],
)
def test_swept_values_that_float32_does_not_hold(values, message):
    with pytest.raises(SpecError, match=re.escape(message)) as caught:
        settings(changed({"axes": {RATE: values}}))
    assert all(problem.startswith(f"axes.{RATE}: ") for problem in caught.value.problems)


@pytest.mark.parametrize(
    "fields",
    [
        {"sources/sgd/optimizer": {"kind": "sgd", "learning_rate": 1e39}},
        {"sources/sgd/optimizer": {"kind": "sgd", "momentum": 0.99999999}},
        {"sources/sgd/optimizer": {"kind": "adam", "eps": 1e-50}},
        {"sources/box/law": {"kind": "gaussian", "std": 1e-39}},
        {"accept": {"loss": {"below": 1e300}}},
        {"observables": [{"kind": "local_volume", "threshold": 1e60}]},
        {"observables": [{"kind": "volume_exponent", "quantile": 0.99999999}]},
        {"task": {"kind": "factorisation", "target": 1e39}},
        {"task": {"kind": "regression", "x": [[1e40]], "y": [1.0]}},
        {"axes": {RATE: {"uniform": [-1.7e308, 1.7e308], "points": 3}}},
    ],
)
def test_numbers_of_a_file_that_float32_does_not_hold(fields):
    with pytest.raises(ValidationError, match=r"float32"):
        changed(fields)


DEEP = {
    "name": "deep",
    "task": {"kind": "boolean", "bits": 4, "train": 5},
    "model": {"kind": "mlp", "widths": [4]},
    "sources": {
        "sgd": {
            "kind": "train",
            "init": {
                "kind": "layers",
                "layers": [{"kind": "gaussian"}, {"kind": "box"}],
            },
            "stop": {"snapshots": [1, 2, 3]},
            "runs": 8,
        },
        "late": {"kind": "train", "init": {"from": "sgd", "at": 1}, "runs": 8},
    },
}
SWEPT = {
    "sources.sgd.optimizer.learning_rate": [0.1, 0.2],
    "sources.sgd.optimizer": [{"kind": "adam"}, {"kind": "sgd", "momentum": 0.5}],
    "sources.sgd.init.layers.1.half_width": [0.5, 0.75],
    "sources.sgd.stop.max_steps": [10, 20],
    "sources.late.init.at": [2, 3],
    "sources.late.stop": [{"max_steps": 5}, {"max_steps": 6}],
    "task.train": [5, 6],
    "model.widths": [[4], [5]],
    "model.activation": ["relu", "tanh"],
}


@pytest.mark.parametrize("path", SWEPT)
def test_a_swept_setting_is_what_its_values_written_down_would_be(path):
    """Parts that no axis changes are shared, and neither read nor dumped again."""
    swept = settings(Sweep.model_validate(DEEP | {"axes": {path: SWEPT[path]}}))
    for number, value in enumerate(SWEPT[path]):
        written = Sweep.model_validate(DEEP).model_dump(mode="json", by_alias=True)
        put(written, path.split("."), value)
        for one in settings(Sweep.model_validate(written)):
            touched = [s for s in swept if s.source == one.source and path in s.values]
            (same,) = [touched[number]] if touched else [s for s in swept if s.source == one.source]
            parts = [(s.spec, s.task, s.model, s.id, s.digest, s.parent) for s in (one, same)]
            assert parts[0] == parts[1]
            assert type(same.spec).model_validate_json(same.spec.model_dump_json()) == same.spec


def put(data, steps, value):
    *parents, leaf = steps
    for step in parents:
        data = data[int(step) if isinstance(data, list) else step]
    data[leaf] = value


def test_the_digest_is_that_of_the_whole_content():
    (setting,) = settings(Sweep.model_validate(DEEP | {"sources": {"a": BASE["sources"]["box"]}}))
    content = {
        "task": identity(setting.task),
        "model": identity(setting.model),
        "source": identity(setting.spec),
        "accept": identity(setting.accept),
        "seed": 0,
        "name": "a",
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert setting.digest == hashlib.sha256(text.encode()).hexdigest()


def test_a_piece_counts_its_runs():
    (setting, *_) = settings(changed({}))
    assert len(Piece(setting, 3, 8)) == len(np.arange(3, 8))
