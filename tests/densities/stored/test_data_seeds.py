"""Data seeds that are swept: runs on one data set depend on one another."""

import re

import numpy as np
import pyarrow.compute as pc
import pytest

from sweep_engine import Sweep, compare, run
from sweep_engine.comparability import comparison_problems
from sweep_engine.densities import Draws, Study, compare_all
from sweep_engine.densities.draws import DATA_SEEDS
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec import Comparison
from sweep_engine.spec.settings import settings
from sweep_engine.spec.tasks import Boolean
from sweep_engine.tasks import load_task
from tests.densities.read import mean_difference

SEEDS = [0, 1, 5]
OVER = {"source": "sgd", "reference": "init", "observable": "test_error", "over": "task.seed"}
OWN = {"kind": "boolean", "bits": 3, "train": 4}
SWEEP = Sweep(
    name="data-seeds",
    seed=9,
    task={"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    model={"kind": "linear"},
    sources={
        "sgd": {"kind": "train", "stop": {"max_steps": 20}, "runs": 40},
        "init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 60},
        "elsewhere": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 60, "task": OWN},
    },
    axes={"task.seed": SEEDS},
    compare=(OVER, {name: OVER[name] for name in OVER if name != "over"} | {"estimator": "ks"}),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("data_seeds") / "out"
    assert run(SWEEP, out).is_complete
    return Study.open(out)


def test_a_task_has_a_data_seed_of_its_own(tmp_path):
    def train(spec, seed):
        return load_task(spec, seed, tmp_path).train.x

    plain, seeded = (Boolean(bits=6, seed=seed) for seed in (None, 9))
    assert np.array_equal(train(plain, 9), train(seeded, 3))
    assert not np.array_equal(train(seeded, 3), train(Boolean(bits=6, seed=8), 3))
    assert '"seed"' not in plain.model_dump_json(exclude_none=True), "no id changes"
    assert len({setting.id for setting in settings(SWEEP)}) == 2 * len(SEEDS) + 1


def test_over_data_seeds_both_sides_are_resampled_together(study):
    found = compare(study, **{**OVER, "observable": "test_error"})
    assert f"{len(SEEDS)} data seeds, of both sides at once" in found.method
    rows = study.results.runs(where=pc.field("source") != "elsewhere").to_pylist()
    sides = [
        Draws.of(
            np.array([row["test_error"] for row in rows if row["source"] == name]), None,
            np.array([row["task.seed"] for row in rows if row["source"] == name]), DATA_SEEDS,
        )
        for name in ("sgd", "init")
    ]  # fmt: skip
    assert repr(found) == repr(mean_difference(*sides, seed=9))
    over, *each = [one for one in compare_all(study)[0] if one.pair.comparison.over]
    assert not each
    assert repr(over.estimate) == repr(found)
    apart = [one.pair.at for one in compare_all(study)[0] if not one.pair.comparison.over]
    assert list(dict.fromkeys(at["task.seed"] for at in apart)) == SEEDS


def test_data_seeds_of_one_side_are_units_without_being_asked(study):
    """The reference has a task of its own: the axis of the source is pooled."""
    found = compare(study, "sgd", "elsewhere", "train_loss", estimator="ks")
    assert any(re.search(r"120 dependent source draws of 3 data seeds", w) for w in found.warnings)
    assert found.n_eff_source < 120
    with pytest.raises(InsufficientSamples, match="independent draws"):
        compare(study, "sgd", "elsewhere", "function")
    with pytest.raises(IncomparableSources, match="the KL decomposition"):
        compare(study, "elsewhere", "init", "function", given="fit", estimator="decomposition")


@pytest.mark.parametrize(
    ("change", "says"),
    [({"estimator": "ks"}, "only the mean"), ({"observable": "function"}, "one column"),
     ({"observable": "test_error, train_loss"}, "one column")],
)  # fmt: skip
def test_what_has_no_interval_over_data_sets_is_refused(change, says):
    (problem,) = comparison_problems(SWEEP, Comparison.model_validate(OVER | change))
    assert says in problem[1]


def test_a_sweep_without_data_seeds_has_none_to_go_over():
    single = SWEEP.model_copy(update={"axes": type(SWEEP.axes)()})
    (problem,) = comparison_problems(single, Comparison.model_validate(OVER))
    assert problem[0] == "over"
