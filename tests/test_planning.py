"""The plan: every run in one shard, shards from the sweep alone, growth that keeps them."""

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep_engine import planning
from sweep_engine.errors import OutputError, PlanError
from sweep_engine.keys import run_ids
from sweep_engine.planning import num_runs, plan, read_shards
from sweep_engine.spec import Sweep, spec_id
from sweep_engine.spec.sources import sizes

RATE = "sources.sgd.optimizer.learning_rate"
FEW, MANY = 7, 11


@contextmanager
def small_shards():
    """Shards small enough to look at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "RUNS_PER_SHARD", FEW)
        patch.setattr(sizes, "DRAWS_PER_SHARD", MANY)
        yield


def data(**changes):
    return {
        "name": "plan",
        "task": {"kind": "boolean", "bits": 3, "train": 4},
        "model": {"kind": "mlp", "widths": [4]},
        "sources": {"sgd": {"kind": "train", "runs": 5}},
        **changes,
    }


def sweep(**changes):
    return Sweep.model_validate(data(**changes))


def all_run_ids(shards):
    return np.concatenate([run_ids(*piece) for shard in shards for piece in shard.pieces])


def wanted_run_ids(made):
    return np.concatenate([run_ids(s.id, 0, num_runs(s)) for s in made.settings.values()])


def assert_covers(made, shards=None):
    found = all_run_ids(made.shards if shards is None else shards)
    assert len(np.unique(found)) == len(found), "a run stands in two shards"
    assert np.array_equal(np.sort(found), np.sort(wanted_run_ids(made)))


counts = st.integers(1, 40)
sources = st.one_of(
    st.fixed_dictionaries({"kind": st.just("train"), "runs": counts}),
    st.fixed_dictionaries(
        {
            "kind": st.just("prior"),
            "draws": counts,
            "keep": st.sampled_from(["all", "fit", "none"]) | counts,
        }
    ),
    st.fixed_dictionaries({"kind": st.just("guess_and_check"), "draws": counts}),
    st.fixed_dictionaries(
        {"kind": st.just("guess_and_check"), "accepted": counts, "max_draws": counts}
    ),
)


@st.composite
def sweeps(draw):
    named = draw(st.dictionaries(st.sampled_from(["a", "b", "c"]), sources, min_size=1))
    axes = {"model.widths": [[i + 1] for i in range(draw(st.integers(1, 2)))]}
    name, spec = next(iter(named.items()))
    law = "init" if spec["kind"] == "train" else "law"
    spec[law] = {"kind": "gaussian"}
    axes[f"sources.{name}.{law}.std"] = [1.0 + i for i in range(draw(st.integers(1, 3)))]
    return data(sources=named, axes=axes)


# --- every run in exactly one shard -------------------------------------------------------


@given(content=sweeps())
@hypothesis_settings(deadline=None, max_examples=60)
def test_every_run_is_in_exactly_one_shard(content):
    with small_shards():
        made = plan(Sweep.model_validate(content))
    assert_covers(made)
    assert len({shard.id for shard in made.shards}) == len(made.shards)
    for shard in made.shards:
        members = [made.settings[setting] for setting, _, _ in shard.pieces]
        assert {s.source for s in members} == {shard.source}
        assert {s.id for s in members} <= set(made.buckets[shard.bucket])
        assert shard.num_runs == sum(len(piece) for piece in made.pieces(shard)) <= MANY
        if made.accepted(shard) is not None:
            assert len(members) == 1, "acceptances are counted in one setting at a time"
        if members[0].spec.kind == "train":
            assert shard.num_runs <= FEW


def test_a_missing_run_would_be_noticed():
    with small_shards():
        made = plan(sweep(sources={"sgd": {"kind": "train", "runs": 20}}))
    for wrong in (made.shards[1:], (*made.shards, made.shards[0])):
        with pytest.raises((AssertionError, ValueError)):
            assert_covers(made, wrong)


def test_shards_have_a_bounded_number_of_runs():
    made = plan(
        sweep(
            sources={
                "sgd": {"kind": "train", "runs": 5000},
                "box": {"kind": "prior", "draws": 200_000, "keep": "none"},
            }
        )
    )
    sizes = [shard.num_runs for shard in made.shards]
    assert sizes == [2048, 2048, 904, 65536, 65536, 65536, 3392]


TINY_AND_MANY = {
    "sgd": {"kind": "train", "runs": 140_000, "stop": {"max_steps": 300}},
    "kept": {"kind": "prior", "draws": 300_000, "keep": "all"},
    "long": {"kind": "train", "runs": 140_000, "stop": {"max_steps": 20_000}},
    "watched": {
        "kind": "train", "runs": 140_000, "stop": {"max_steps": 300, "snapshots": [1, 2, 3, 4]},
    },
    "flow": {"kind": "flow", "runs": 140_000, "stop": {"max_steps": 300}},
}  # fmt: skip
USUAL = dict.fromkeys(TINY_AND_MANY, 2048)


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({}, {"sgd": 4096, "kept": 8192, "long": 2048, "watched": 2048, "flow": 4096}),
        ({"model": {"kind": "mlp", "widths": [64]}}, USUAL),
        ({"model": {"kind": "matrix_factorisation", "depth": 2, "width": 2}}, USUAL),
    ],
    ids=["tiny", "larger", "a model that does not fit"],
)
def test_shards_of_tiny_networks_are_larger_where_there_are_very_many(changes, most):
    made = plan(sweep(sources=TINY_AND_MANY, **changes))
    assert_covers(made)
    largest = dict.fromkeys(TINY_AND_MANY, 0)
    for shard in made.shards:
        largest[shard.source] = max(largest[shard.source], shard.num_runs)
    assert largest == most


def test_shards_that_were_planned_smaller_stay():
    """Go on with a directory's own, of before there were larger ones."""
    very_many = sweep(sources={"sgd": TINY_AND_MANY["sgd"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "VERY_MANY", 10**9)
        before = plan(very_many)
    assert max(shard.num_runs for shard in before.shards) == 2048
    assert plan(very_many, before.shards).shards == before.shards
    more = sweep(sources={"sgd": TINY_AND_MANY["sgd"] | {"runs": 150_000}})
    grown = plan(more, before.shards)
    assert_covers(grown)
    assert [shard.num_runs for shard in grown.shards[len(before.shards) :]] == [4096, 4096, 1808]


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ({"kind": "train", "runs": 5}, 5),
        ({"kind": "prior", "draws": 9}, 9),
        ({"kind": "prior", "draws": 9, "keep": 4}, 4),
        ({"kind": "prior", "draws": 9, "keep": 40}, 9),
        ({"kind": "prior", "draws": 9, "keep": "none"}, 0),
        ({"kind": "prior", "draws": 9, "keep": "fit"}, None),
        ({"kind": "guess_and_check", "accepted": 3}, 3),
        ({"kind": "guess_and_check", "draws": 9}, None),
    ],
)
def test_rows_of_a_setting(source, rows):
    (setting,) = plan(sweep(sources={"it": source})).settings.values()
    assert setting.spec.num_rows == rows


# --- shards depend on the sweep alone -----------------------------------------------------


def test_another_process_plans_the_same():
    axes = {RATE: {"log_uniform": [0.1, 1.0], "points": 3}, "model.widths": [[4], [5]]}
    code = (
        "import json, sys; from sweep_engine import Sweep, plan; "
        "print(json.dumps(plan(Sweep.model_validate(json.load(sys.stdin))).to_dict()))"
    )
    content = data(axes=axes)
    printed = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(content),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "17"},
    ).stdout
    assert json.loads(printed) == plan(Sweep.model_validate(content)).to_dict()


def test_what_decides_no_run_moves_no_shard():
    before = plan(sweep()).shards
    assert plan(sweep(observables=["norms"], store={"params": "none"}, name="x")).shards == before
    assert plan(sweep(execution={"precision": "fast"})).shards != before


def test_the_ids_of_shards_and_buckets_can_stand_in_a_path():
    made = plan(sweep(axes={"model.widths": [[4], [5]]}))
    for shard in made.shards:
        assert shard.id[0] == "s"
        assert shard.bucket[0] == "b"
        assert (shard.id[1:] + shard.bucket[1:]).isalnum()


def test_shards_survive_json():
    made = plan(sweep(axes={RATE: [0.1, 0.2], "model.widths": [[4], [5]]}))
    assert read_shards(json.loads(json.dumps(made.to_dict()))) == made.shards
    assert made.spec_id == spec_id(made.sweep)


# --- buckets ------------------------------------------------------------------------------


def num_buckets(axes, **changes):
    return len(plan(sweep(axes=axes, **changes)).buckets)


def test_a_bucket_is_a_static_part():
    assert num_buckets({RATE: [0.1, 0.2, 0.3]}) == 1
    assert num_buckets({RATE: {"log_uniform": [0.1, 1.0], "points": 9}}) == 1
    assert num_buckets({"sources.sgd.init.scale": [1.0, 2.0]}) == 1
    assert num_buckets({"sources.sgd.stop.max_steps": [10, 20]}) == 1
    assert num_buckets({"model.widths": [[4], [5]]}) == 2
    assert num_buckets({"task.target": ["x1", "x2"]}) == 2
    assert num_buckets({"sources.sgd.batch_size": [1, 2]}) == 2
    assert num_buckets({"sources.sgd.optimizer": [{"kind": "sgd"}, {"kind": "adam"}]}) == 2
    assert num_buckets({"model.widths": [[4], [5]], RATE: [0.1, 0.2]}) == 2
    twins = {"a": {"kind": "train", "runs": 1}, "b": {"kind": "train", "runs": 1}}
    assert num_buckets({}, sources=twins) == 2


def test_the_runs_of_a_bucket_share_shards():
    made = plan(sweep(axes={RATE: [0.1, 0.2, 0.3]}))
    (shard,) = made.shards
    assert [stop - start for _, start, stop in shard.pieces] == [5, 5, 5]


# --- growth ---------------------------------------------------------------------------------


@given(content=sweeps(), more=st.lists(st.integers(0, 30), min_size=3, max_size=3), new=sources)
@hypothesis_settings(deadline=None, max_examples=60)
def test_growth_keeps_the_shards_and_adds_what_is_missing(content, more, new):
    grown = json.loads(json.dumps(content))
    for spec, extra in zip(grown["sources"].values(), more, strict=False):
        for name in {"runs", "draws", "max_draws"} & set(spec):
            spec[name] += extra
    grown["sources"]["new"] = new
    grown["axes"]["model.widths"].append([9])
    with small_shards():
        first = plan(Sweep.model_validate(content))
        second = plan(Sweep.model_validate(grown), first.shards)
        third = plan(Sweep.model_validate(grown), second.shards)
    assert second.shards[: len(first.shards)] == first.shards
    assert_covers(second)
    assert third.shards == second.shards, "nothing is missing, so nothing is added"


def test_growth_in_steps():
    shards = ()
    for runs in (1, 2, 3000, 3001):
        made = plan(sweep(sources={"sgd": {"kind": "train", "runs": runs}}), shards)
        assert_covers(made)
        shards = made.shards
    assert Counter(shard.num_runs for shard in shards) == {1: 3, 2048: 1, 950: 1}


SHRUNK = {
    "fewer runs": {"sources": {"sgd": {"kind": "train", "runs": 4}}},
    "no such source": {"sources": {"other": {"kind": "train", "runs": 5}}},
    "another seed": {"seed": 1},
    "another model": {"model": {"kind": "mlp", "widths": [5]}},
    "another rule": {"accept": {"train_error": 0.5}},
    "another precision": {"execution": {"precision": "fast"}},
    "other lanes": {"execution": {"lanes": 8}},
}


@pytest.mark.parametrize("changes", SHRUNK.values(), ids=SHRUNK.keys())
def test_a_sweep_may_only_grow(changes):
    previous = plan(sweep()).shards
    with pytest.raises(OutputError, match="grow"):
        plan(sweep(**changes), previous)


def test_fewer_points_are_refused():
    axis = {"uniform": [0.1, 1.0]}
    previous = plan(sweep(axes={RATE: {**axis, "points": 3}})).shards
    assert len(plan(sweep(axes={RATE: {**axis, "points": 4}}), previous).settings) == 4
    with pytest.raises(OutputError):
        plan(sweep(axes={RATE: {**axis, "points": 2}}), previous)


# --- limits ---------------------------------------------------------------------------------


def test_too_many_shards_are_refused(monkeypatch):
    monkeypatch.setattr(planning, "NUM_SHARDS_MAX", 3)
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 1)
    with pytest.raises(PlanError, match="ask for less"):
        plan(sweep())


def test_too_many_shards_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr(planning, "NUM_SHARDS_MAX", 3)
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 1)
    monkeypatch.setattr(planning, "_shard", lambda *_: pytest.fail("a shard was made"))
    with pytest.raises(PlanError):
        plan(sweep())


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "train", "runs": 2**32 + 1},
        {"kind": "prior", "draws": 2**32 + 1, "keep": "none"},
        {"kind": "guess_and_check", "draws": 2**32 + 1},
        {"kind": "guess_and_check", "accepted": 1, "max_draws": 2**32 + 1},
    ],
)
def test_a_run_id_has_32_bits_for_the_index(source):
    """More would run into the ids of another setting."""
    with pytest.raises(ValidationError):
        sweep(sources={"it": source})
