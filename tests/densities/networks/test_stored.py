"""Pairs and ensembles of a stored sweep: which networks, what is refused, and what is said."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sweep_engine import compare
from sweep_engine.comparability import comparison_problems
from sweep_engine.densities import Study, compare_all
from sweep_engine.densities.networks.estimators import Ensemble, Pairs
from sweep_engine.densities.networks.members import members, one_of_a_kind
from sweep_engine.densities.stored.pairing import pairs
from sweep_engine.densities.stored.sides import Side, sides_of
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.execution import run
from sweep_engine.spec import Comparison, Sweep
from tests.densities.read import assert_sayable

RUNS, DRAWS = 24, 30
GAUSSIAN = {"kind": "gaussian", "std": 1.0}
SWEEP = {
    "name": "networks",
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4,
             "ood": {"kind": "noise", "std": 0.3}},
    "model": {"kind": "mlp", "widths": [4], "activation": "tanh"},
    "accept": {"train_error": 0.0},
    "sources": {
        "sgd": {
            "kind": "train",
            "init": GAUSSIAN,
            "optimizer": {"kind": "sgd", "learning_rate": 0.5},
            "stop": {"max_steps": 20},
            "runs": RUNS,
        },
        "init": {"kind": "prior", "law": GAUSSIAN, "draws": DRAWS},
    },
    "execution": {"lanes": 8},
    "compare": [
        {"source": "sgd", "observable": "networks"},
        {"source": "sgd", "reference": "init", "observable": "networks"},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("networks") / "out"
    assert run(Sweep.model_validate(SWEEP), out).is_complete
    return Study.open(out)


def sides(study, **asked):
    comparison = Comparison.model_validate({"source": "sgd", "observable": "networks"} | asked)
    (pair,) = pairs(study.plan, comparison)
    return sides_of(study, pair)


def test_all_that_is_announced_is_estimated_and_can_be_said(study):
    found, refused = compare_all(study)
    assert not refused
    by_reference = {"sgd": set(), "init": set()}
    for each in found:
        by_reference[each.pair.comparison.reference].add(each.estimate.name)
    names = {cls: {quantity.name for quantity in cls.quantities} for cls in (Pairs, Ensemble)}
    assert by_reference == {"sgd": names[Pairs] | names[Ensemble], "init": names[Pairs]}
    for cls in (Pairs, Ensemble):
        assert_sayable(cls, [one.estimate for one in found if one.estimate.name in names[cls]])
    for each in found:
        assert each.estimate.low <= each.estimate.value <= each.estimate.high
        assert each.estimate.num_source == RUNS


def test_a_wider_confidence_is_a_wider_interval_of_one_value(study):
    reading = Pairs().look(*sides(study), 0)
    for alone, wide in zip(reading.at(0.95), reading.at(0.999), strict=True):
        assert alone.value == wide.value
        assert wide.low <= alone.low <= alone.high <= wide.high


def test_the_networks_are_those_that_are_stored(study):
    drawn = members(sides(study)[0], RUNS, np.random.default_rng(0))
    stored = {run_id: study.results.network(run_id)
              for run_id in study.results.runs(["run_id"], pc.field("source") == "sgd")[
                  "run_id"].to_pylist()}  # fmt: skip
    outputs = sorted(f(drawn.task.test.x).tobytes() for f in stored.values())
    np.testing.assert_allclose(
        sorted(drawn.outputs(drawn.task.test.x).sum(axis=(1, 2))),
        sorted(np.frombuffer(row, np.float32).sum() for row in outputs),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_draw_is_that_of_the_seed(study):
    first, again, other = (
        members(sides(study)[0], 10, np.random.default_rng(seed)).theta for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) == 10


def test_chosen_rows_are_looked_at_alone(study):
    given_fit = sides(study, given="fit")[0]
    fits = study.results.runs(["fit"], pc.field("source") == "sgd")["fit"].to_pylist()
    assert len(given_fit.addresses()) == sum(fits) < RUNS


def test_those_that_did_not_diverge_are_no_sample(study, monkeypatch):
    """Of one in 24 it is said that it is left out; with two that is refused."""
    whole = Side.addresses

    def addresses(side):
        table = whole(side)
        status = ["diverged"] * lost + table["status"].to_pylist()[lost:]
        return table.set_column(table.column_names.index("status"), "status", pa.array(status))

    monkeypatch.setattr(Side, "addresses", addresses)
    lost = 1
    drawn = members(sides(study)[0], RUNS, np.random.default_rng(0))
    assert len(drawn) == RUNS - 1
    assert "1 of 24 networks diverged: they are left out" in drawn.notes
    lost = 2
    for estimator in (Pairs, Ensemble):
        with pytest.raises(IncomparableSources, match="2 of 24 networks of sgd diverged"):
            estimator().look(*sides(study), 0)


def test_one_estimate_by_name(study):
    found = compare(study, "sgd", "init", "networks", estimator="pairs", quantity="pair_cka")
    assert 0 < found.low < found.value < found.high < 1
    assert found.num_reference == DRAWS


def test_too_few_networks_are_refused_with_a_number(study):
    few = sides(study, where={"train_loss": (0.0, 1e-9)})
    with pytest.raises(InsufficientSamples, match="at least 8"):
        Pairs().look(*few, 0)
    with pytest.raises(InsufficientSamples, match="at least 20"):
        Ensemble().look(*few, 0)


@pytest.mark.parametrize(
    ("change", "asked", "field", "message"),
    [
        ({"store": {"params": "none"}}, {}, "observable", "are not stored"),
        ({"store": {"params": "fit"}}, {}, "given", "only networks that fit"),
        ({}, {"estimator": "ks"}, "estimator", "ks is not for networks"),
        ({}, {"estimator": "ensemble", "reference": "init"}, "reference", "one source's"),
        ({}, {"match": {"column": "train_loss"}}, "match", "are not weighed"),
        ({}, {"estimator": "pairs", "observable": "train_loss"}, "observable", "takes networks"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_runs(change, asked, field, message):
    sweep = Sweep.model_validate(SWEEP | change)
    comparison = Comparison.model_validate({"source": "sgd", "observable": "networks"} | asked)
    ((where, says),) = comparison_problems(sweep, comparison)
    assert where == field
    assert message in says


def test_stored_fits_are_enough_where_fits_are_asked_for():
    sweep = Sweep.model_validate(SWEEP | {"store": {"params": "fit"}})
    asked = {"source": "sgd", "observable": "networks", "given": "fit"}
    assert not list(comparison_problems(sweep, Comparison.model_validate(asked)))


def test_networks_of_several_models_are_not_pooled(study):
    (one,) = sides(study)[0].chosen
    wide = dataclasses.replace(one, model=one.model.model_copy(update={"widths": (5,)}))
    assert one_of_a_kind([one, one]) is one
    with pytest.raises(IncomparableSources, match="2 models or tasks"):
        one_of_a_kind([one, wide])
