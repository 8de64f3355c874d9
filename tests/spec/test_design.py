"""Designs in a sweep: levels, rows, settings, pairs."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from sweep_engine.densities import pairs
from sweep_engine.errors import SpecError
from sweep_engine.planning import plan
from sweep_engine.spec import Comparison, Sweep, dump_sweep, restore, settings, spec_id
from sweep_engine.spec.design_shown import as_data, as_table

START, LAW = "sources.sgd.init.weight_std", "sources.prior.law.weight_std"
FACTORS = {
    "model.activation": ["relu", "tanh"],
    "start": {"small": {START: 0.5, LAW: 0.5}, "large": {START: 2, LAW: 2}},
    "optimiser": {
        "sgd": {"sources.sgd.optimizer": {"kind": "sgd", "learning_rate": 0.1}},
        "adam": {"sources.sgd.optimizer": {"kind": "adam", "learning_rate": 0.01}},
    },
    "task": {
        name: {"task": {"kind": "boolean", "bits": 4, "train": 8, "target": target}}
        for name, target in (("easy", "x1"), ("mid", "x1 | x2"), ("hard", "x1 ^ x2"))
    },
}
FRACTION = {"kind": "fractional", "resolution": "III", "factors": FACTORS, "crossed": ["task"]}
BY_ROW = {"source": "sgd", "reference": "prior", "observable": "l2_norm", "by": "all"}


def swept(design=FRACTION, **changes):
    law = {"kind": "fan_in", "weight_std": 1.0}
    return Sweep.model_validate(
        {
            "name": "designed",
            "task": {"kind": "boolean", "bits": 4, "train": 8},
            "model": {"kind": "mlp", "widths": [4]},
            "sources": {
                "sgd": {"kind": "train", "init": law, "runs": 2},
                "prior": {"kind": "prior", "law": law, "draws": 2},
            },
            "design": design,
            "observables": ["norms"],
            "compare": [BY_ROW],
        }
        | changes
    )


def test_a_level_moves_all_its_paths():
    for setting in settings(swept()):
        scale = setting.values[START if setting.source == "sgd" else LAW]
        law = setting.spec.init if setting.source == "sgd" else setting.spec.law
        assert law.weight_std == scale
        assert setting.task.model_dump(include={"target"}) == {
            "target": setting.values["task"]["target"]
        }


def test_rows_are_settings_and_pairs():
    sweep = swept()
    assert len(sweep.design.table) == 3 * 4
    by_source = [setting.source for setting in settings(sweep)]
    assert by_source.count("sgd") == 12
    assert by_source.count("prior") == 3 * 2 * 2  # the optimiser does not touch it
    paired = pairs(plan(sweep), sweep.compare[0])
    assert len(paired) == 12
    rows = {tuple(sweep.design.at(pair.at).values()) for pair in paired}
    assert rows == set(sweep.design.table)
    assert all(pair.at[START] == pair.at[LAW] for pair in paired)
    assert "start = small, task = easy" in " | ".join(pair.label() for pair in paired)


def test_a_zip_of_two_sources_is_paired_as_it_stands():
    # All four combinations of the two were made once.
    sweep = swept(None, axes={"zip": [{START: [0.5, 2.0], LAW: [0.5, 2.0]}]})
    paired = pairs(plan(sweep), sweep.compare[0])
    assert [(pair.at[START], pair.at[LAW]) for pair in paired] == [(0.5, 0.5), (2.0, 2.0)]


def test_what_is_pooled_is_said():
    sweep = swept()
    pooled = pairs(plan(sweep), Comparison.model_validate(BY_ROW | {"by": None}))
    assert len(pooled) == 6
    assert pooled[0].label().endswith("pooled over optimizer, weight_std")


def test_rows_meet_every_point_of_the_axes():
    sweep = swept(axes={"task.seed": [0, 1]}, design=FRACTION | {"crossed": []} | {
        "factors": {name: FACTORS[name] for name in ("model.activation", "start", "optimiser")}
    })  # fmt: skip
    assert len(pairs(plan(sweep), sweep.compare[0])) == 2 * 4


def test_the_seed_makes_the_rows_and_sweep_json_keeps_them():
    sweep = swept()
    stored = restore(json.loads(json.dumps(dump_sweep(sweep), sort_keys=True)), Path())
    assert stored.design.table == sweep.design.table
    assert stored.design.axes == sweep.design.axes
    assert swept().design.table == sweep.design.table
    assert len({swept(seed=seed).design.table for seed in range(8)}) > 1
    kept = swept(FRACTION | {"table": sweep.design.table[:5]})
    assert kept.design.table == sweep.design.table[:5]


def test_a_sweep_without_a_design_keeps_its_id():
    assert "design" not in dump_sweep(swept(None))
    assert spec_id(swept(None)) != spec_id(swept())


def test_the_base_level_comes_first():
    small_first = swept(FRACTION | {"base": {"start": "small"}}).design
    assert list(swept().design.levels["start"]) == ["large", "small"]
    assert list(small_first.levels["start"]) == ["small", "large"]
    assert list(small_first.levels["model.activation"]) == ["relu", "tanh"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "fractional", "crossed": []}, "factor task has 3 levels"),
        ({"crossed": ["tsk"]}, "did you mean 'task'"),
        ({"base": {"start": "huge"}}, "no start 'huge'"),
        ({"table": [["sgd", "relu"]]}, "a row has a level of each"),
        ({"table": [["relu", "sgd", "tiny", "easy"]]}, "no start 'tiny'"),
        ({"factors": {"a": {"x": {START: 1.0}, "y": {LAW: 1.0}}}, "crossed": []}, "same paths"),
        ({"factors": {"a": {"x": {START: 1.0}, "y": {START: 1.0}}}, "crossed": []}, "the same"),
        (
            {"factors": FACTORS | {START: [0.5, 1.0]}},
            "changed by the factors",
        ),
        ({"kind": "d_optimal", "rows": 2, "resolution": ...}, "cannot tell 4 effects"),
    ],
)
def test_a_design_that_means_nothing_is_refused(change, says):
    design = {k: v for k, v in (FRACTION | change).items() if v is not ...}
    with pytest.raises(ValidationError, match=says):
        swept(design)


@pytest.mark.parametrize(
    ("axes", "factors", "says"),
    [
        ({START: [0.5, 1.0]}, FACTORS, "an axis can be given once only"),
        ({}, {"model.activatoin": ["relu", "tanh"]}, "did you mean 'activation'"),
        ({}, {"sources.sgd.runs": [1, 2]}, "cannot be swept"),
    ],
)
def test_factors_are_held_to_the_rules_of_axes(axes, factors, says):
    with pytest.raises(SpecError, match=says):
        settings(swept({"kind": "full", "factors": factors}, axes=axes))


def test_plan_names_the_aliases():
    design = swept().design
    text = as_table(design).to_text()
    assert "I = model.activation × optimiser × start" in text
    assert "optimiser = model.activation × start" in text
    assert len(as_data(design)["aliases"]) == 3
    whole = swept({"kind": "full", "factors": FACTORS}).design
    assert "No main effect or two-way interaction is mixed up" in as_table(whole).to_text()
