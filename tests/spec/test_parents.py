"""Sources that start from others: what is refused, where it says so, and what an id is made of."""

import json
from pathlib import Path

import pytest

from sweep_engine.errors import SpecError
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep, dump_sweep, load, restore, settings, touches
from sweep_engine.spec.base import static_part, traced_fields, with_traced
from sweep_engine.spec.parents import lineage, parents_first
from sweep_engine.spec.sources import Prior

RATE = "sources.sgd.optimizer.learning_rate"
SGD = {"kind": "train", "runs": 8, "stop": {"snapshots": [0, 10]}}
CHILD = {"kind": "train", "init": {"from": "sgd"}, "runs": 5}
EARLY = {"kind": "snapshot", "from": "sgd", "at": 10}


def data(**changes):
    return {
        "name": "parents",
        "task": {"kind": "boolean", "bits": 3, "train": 4},
        "model": {"kind": "mlp", "widths": [4]},
        "sources": {"sgd": SGD, "child": CHILD},
    } | changes


def sweep(**changes):
    return Sweep.model_validate(data(**changes))


def by_source(**changes):
    found = {}
    for setting in settings(sweep(**changes)):
        found.setdefault(setting.source, []).append(setting)
    return found


# --- which runs start from which ----------------------------------------------------------


def test_a_start_is_written_short_and_survives_json():
    made = sweep(sources={"sgd": SGD, "child": CHILD, "early": EARLY})
    assert made.sources["child"].init.source == "sgd"
    dumped = json.loads(json.dumps(dump_sweep(made)))
    assert dumped["sources"]["child"]["init"] == {
        "from": "sgd", "kind": "from", "at": "final", "mask": None,
    }  # fmt: skip
    assert restore(dumped, Path()).sources == made.sources
    assert "from" in Sweep.model_json_schema()["$defs"]["FromSource"]["properties"]


def test_an_axis_over_a_source_multiplies_those_that_start_from_it_in_pairs():
    sources = {"grand": CHILD | {"init": {"from": "child"}}, "child": CHILD, "sgd": SGD}
    box = {"box": {"kind": "prior", "draws": 3}}
    own = "sources.child.optimizer.learning_rate"
    axes = {RATE: [0.1, 0.2, 0.3], own: [1, 2]}
    found = by_source(sources=sources | box, axes=axes)
    assert {name: len(mine) for name, mine in found.items()} == {
        "grand": 6, "child": 6, "sgd": 3, "box": 1,
    }  # fmt: skip
    parents = {setting.id: setting for setting in (*found["sgd"], *found["child"])}
    for setting in (*found["child"], *found["grand"]):
        parent = parents[setting.parent]
        assert parent.values.items() <= setting.values.items()
        assert parent.source == {"child": "sgd", "grand": "child"}[setting.source]
    made = sweep(sources=sources | box, axes=axes)
    assert touches(made, RATE, "grand")
    assert not touches(made, own, "sgd")
    assert lineage(made, "grand") == ["grand", "child", "sgd"]
    assert parents_first(made)[:3] == ["sgd", "child", "grand"]
    assert [setting.values[own] for setting in found["child"]][:2] == [1.0, 2.0]


def test_what_decides_the_parent_decides_the_child():
    def ids(**changes):
        found = by_source(**changes)
        return {name: mine[0].id for name, mine in found.items()}

    before = ids()
    others = {"sgd": SGD, "child": CHILD, "box": {"kind": "prior", "draws": 3}}
    assert ids(sources=others) == before | {"box": ids(sources=others)["box"]}
    for change in (
        {"batch_size": 2},
        {"stop": {"snapshots": [0, 11]}},
        {"accept": {"train_loss": 1.0}},
    ):
        changed = ids(sources={"sgd": SGD | change, "child": CHILD})
        assert changed["sgd"] != before["sgd"]
        assert changed["child"] != before["child"]
    assert ids(sources={"sgd": SGD | {"runs": 80}, "child": CHILD}) == before
    for init in ({"from": "sgd", "at": 10}, {"from": "sgd", "mask": {"keep": 0.5}}):
        changed = ids(sources={"sgd": SGD, "child": CHILD | {"init": init}})
        assert changed["sgd"] == before["sgd"]
        assert changed["child"] != before["child"]


def test_which_state_and_what_is_pruned_share_a_program():
    sources = {
        "sgd": SGD,
        "ticket": CHILD | {"init": {"from": "sgd", "mask": {"keep": 0.5}}},
        "early": EARLY,
    }
    axes = {"sources.early.at": [0, 10], "sources.ticket.init.mask.keep": [0.1, 0.5],
            "sources.ticket.init.at": ["final", 0], RATE: [0.1, 0.2]}  # fmt: skip
    made = plan(sweep(sources=sources, axes=axes))
    assert {len(ids) for ids in made.buckets.values()} == {2, 4, 8}


def test_snapshots_have_as_many_rows_as_there_are_runs():
    made = plan(
        sweep(sources={"early": EARLY, "later": {"kind": "snapshot", "from": "early"}, "sgd": SGD})
    )
    assert [shard.num_runs for shard in made.shards] == [8, 8, 8]
    (few,) = by_source(sources={"sgd": SGD, "early": EARLY | {"runs": 3}})["early"]
    assert few.spec.runs == 3
    (all_of_them,) = by_source(sources={"sgd": SGD, "early": EARLY})["early"]
    assert few.id == all_of_them.id, "more runs are growth"


# --- a task of one's own ------------------------------------------------------------------


def test_a_task_of_its_own_is_the_settings_task_and_task_axes_pass_it_by():
    own = {"kind": "boolean", "bits": 3, "train": 4, "target": "x2"}
    sources = {
        "sgd": SGD,
        "poisoned": SGD | {"task": own},
        "child": CHILD | {"init": {"from": "poisoned"}},
    }
    found = by_source(sources=sources, axes={"task.target": ["x1", "x3"]})
    assert [s.task.target for s in found["sgd"]] == ["x1", "x3"]
    assert [s.task.target for s in found["poisoned"]] == ["x2"]
    assert [s.task.target for s in found["child"]] == ["x1", "x3"]
    assert {s.parent for s in found["child"]} == {found["poisoned"][0].id}
    swept = by_source(sources=sources, axes={"sources.poisoned.task.train": [3, 4]})
    assert [s.task.train for s in swept["poisoned"]] == [3, 4]
    assert [len(swept[name]) for name in ("sgd", "child")] == [1, 2]


def test_a_task_of_its_own_that_is_the_sweeps_changes_no_id():
    (same,) = by_source(sources={"sgd": SGD | {"task": data()["task"]}})["sgd"]
    (plain,) = by_source(sources={"sgd": SGD})["sgd"]
    assert same.id == plain.id


def test_the_files_of_own_tasks_are_pinned(tmp_path):
    import numpy as np

    np.savez(tmp_path / "data.npz", x=np.zeros((4, 3)), y=[0, 1, 0, 1])
    own = {"kind": "file", "path": "data.npz", "train": 2, "loss": "logistic"}
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(data(sources={"sgd": SGD | {"task": own}})))
    assert len(load(path).sources["sgd"].task.sha256) == 64


# --- what is refused ----------------------------------------------------------------------

PRIOR = {"kind": "prior", "draws": 9}
REFUSED = {
    "no such source": (
        {"child": CHILD | {"init": {"from": "sdg"}}},
        "init.from",
        "did you mean 'sgd'",
    ),
    "itself": (
        {"child": CHILD | {"init": {"from": "child"}}},
        "init.from",
        "start from one another",
    ),
    "a circle": (
        {"child": CHILD | {"init": {"from": "b"}}, "b": CHILD | {"init": {"from": "child"}}},
        "init.from",
        "start from one another",
    ),
    "fewer runs": (
        {"child": CHILD | {"runs": 9}},
        "init.from",
        "9 runs cannot start from the 8 of sgd",
    ),
    "snapshots of fewer runs": ({"early": EARLY | {"runs": 9}}, "from", "9 runs cannot start"),
    "draws that are not kept": (
        {"box": PRIOR | {"keep": "none"}, "child": CHILD | {"init": {"from": "box"}}},
        "init.from",
        "cannot start from the 0 of box",
    ),
    "draws of which some are kept": (
        {"box": PRIOR | {"keep": 4}, "child": CHILD | {"init": {"from": "box"}}},
        "init.from",
        "cannot start from the 4 of box",
    ),
    "draws of which those are kept that fit": (
        {"box": PRIOR | {"keep": "fit"}, "child": CHILD | {"init": {"from": "box"}}},
        "init.from",
        "not known before it has run",
    ),
    "an unknown number of acceptances": (
        {
            "box": {"kind": "guess_and_check", "draws": 99},
            "child": CHILD | {"init": {"from": "box"}},
        },
        "init.from",
        "not known before it has run",
    ),
    "a step that is not kept": (
        {"child": CHILD | {"init": {"from": "sgd", "at": 11}}},
        "init.at",
        "sources.sgd.stop.snapshots",
    ),
    "a step of a prior": (
        {"box": PRIOR, "child": CHILD | {"init": {"from": "box", "at": 1}}},
        "init.at",
        "trained runs",
    ),
    "a first fit that is not kept": (
        {
            "on": SGD | {"stop": {"fit": False}},
            "child": CHILD | {"init": {"from": "on", "at": "first_fit"}},
        },
        "init.at",
        "does not keep its first fit",
    ),
}


@pytest.mark.parametrize(("sources", "field", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_start_is_refused_at_its_place(tmp_path, sources, field, message):
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(data(sources={"sgd": SGD, **sources}), indent=1))
    with pytest.raises(SpecError) as caught:
        settings(load(path))
    problem = caught.value.problems[0]
    assert message in problem
    assert f".{field}: " in problem
    line, column = map(int, problem.removeprefix(f"{path}:").split(":")[:2])
    text = path.read_text().splitlines()[line - 1][column - 1 :]
    assert not text.startswith("{"), "the place of the value itself"


def test_parameters_must_be_stored():
    with pytest.raises(SpecError, match=r"child.init.from: .*set store.params to all"):
        settings(sweep(store={"params": "fit"}))


@pytest.mark.parametrize(
    "axes",
    [
        {"sources.child.init": [{"from": "other"}, {"from": "sgd"}]},
        {"sources.child.init": [{"kind": "gaussian"}]},
        {"sources.sgd.init": [{"kind": "gaussian"}, {"from": "other"}]},
        {"sources.child.init.from": ["sgd", "other"]},
        {"sources.child.init.source": ["sgd", "other"]},
    ],
    ids=["as a part", "away", "into one", "by its key", "by its name in Python"],
)
def test_where_runs_start_from_cannot_be_swept(axes):
    with pytest.raises(SpecError, match="cannot be swept"):
        settings(sweep(sources={"sgd": SGD, "other": SGD, "child": CHILD}, axes=axes))


def test_a_swept_state_is_refused_at_its_axis():
    made = sweep(sources={"sgd": SGD, "early": EARLY}, axes={"sources.early.at": [0, 5]})
    with pytest.raises(SpecError, match=r"^axes\.sources\.early\.at: sgd does not keep step 5"):
        settings(made)


@pytest.mark.parametrize("steps", [[], [3, 3], [4, 2], [-1], [2**31], 5])
def test_snapshots_are_different_steps_in_order(steps):
    with pytest.raises(ValueError, match="snapshots"):
        sweep(sources={"sgd": SGD | {"stop": {"snapshots": steps}}})


@pytest.mark.parametrize("mask", [{"keep": 0}, {"keep": 1.1}, {}, {"keep": 0.5, "scope": "unit"}])
def test_a_mask_keeps_a_share(mask):
    with pytest.raises(ValueError, match="mask"):
        sweep(sources={"sgd": SGD, "child": CHILD | {"init": {"from": "sgd", "mask": mask}}})


# --- laws of layers -----------------------------------------------------------------------

LAYERS = {"kind": "layers", "layers": [{"kind": "gaussian", "std": 1.0}, {"kind": "box"}]}


def test_the_law_of_a_layer_can_be_swept_and_splits_nothing():
    axes = {
        "sources.box.law.layers.0.std": [1, 2.0],
        "sources.box.law.layers.1.half_width": {"uniform": [0.5, 1.0], "points": 3},
    }
    made = plan(sweep(sources={"box": PRIOR | {"law": LAYERS}}, axes=axes))
    assert (len(made.settings), len(made.buckets)) == (6, 1)
    found = [setting.spec.law.layers for setting in made.settings.values()]
    assert {layers[0].std for layers in found} == {1.0, 2.0}
    assert len({layers[1].half_width for layers in found}) == 3
    assert {s.values["sources.box.law.layers.0.std"] for s in made.settings.values()} == {1.0, 2.0}


@pytest.mark.parametrize("step", ["2", "x", "-1"])
def test_a_layer_that_is_not_there(step):
    axes = {f"sources.box.law.layers.{step}.std": [1.0]}
    with pytest.raises(SpecError, match="allowed: 0, 1"):
        settings(sweep(sources={"box": PRIOR | {"law": LAYERS}}, axes=axes))


def test_traced_fields_of_members_of_tuples():
    source = Prior.model_validate(PRIOR | {"law": LAYERS})
    assert dict(traced_fields(source)) == {"law.layers.0.std": 1.0, "law.layers.1.half_width": 1.0}
    changed = with_traced(source, {"law.layers.1.half_width": "w"})
    assert changed.law.layers[1].half_width == "w"
    assert changed.law.layers[0] == source.law.layers[0]
    assert static_part(source)["law"]["layers"][0]["std"] == "traced"
