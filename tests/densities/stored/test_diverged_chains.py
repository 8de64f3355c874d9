"""A chain that diverged is worth no draw, however many it has: in columns, functions and tests."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from sweep_engine.densities import Study
from sweep_engine.densities.comparing import look_at_pair
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.stored.pairing import pairs
from sweep_engine.densities.stored.study import whole_units
from sweep_engine.errors import InsufficientSamples
from sweep_engine.planning import plan
from tests.sources.conformance import CASES, sweep_of

CHAINS, LENGTH = 6, 200
COMPARISON = {"source": "bayes", "reference": "all", "observable": "l2_norm"}


def chains(*diverged, setting=1):
    """Chains around 0, each of its own place; those that diverged stand still at 3."""
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(CHAINS), LENGTH)
    gone = np.isin(unit, diverged)
    step = np.tile(np.arange(LENGTH), CHAINS)
    ended = gone & (step >= LENGTH // 2)  # half of its draws say so
    number = rng.integers(8, size=len(unit))
    return pa.table({
        "setting": np.full(len(unit), setting),
        "unit": unit,
        "log_weight": np.zeros(len(unit)),
        "status": np.where(ended, "diverged", "fit"),
        "l2_norm": np.where(gone, 3.0, rng.standard_normal(len(unit))),
        "function_id": pa.array([f"{i:032x}" for i in np.where(gone, 9, number)]),
    })  # fmt: skip


def independent(*diverged):
    table = chains(*diverged)
    return table.set_column(1, "unit", pa.nulls(len(table), pa.int64()))


class Stored:
    """Results that hold these rows."""

    def __init__(self, buckets, **rows):
        self.buckets, self.rows = buckets, rows

    def table(self, name):
        return SimpleNamespace(records=[f"{name}/part"])

    def runs(self, columns, where):
        parts = [
            table.append_column("source", pa.array([name] * len(table)))
            .append_column("bucket", pa.array([self.buckets[name]] * len(table)))
            .append_column("fit", pa.array([True] * len(table)))
            .filter(where)
            for name, table in self.rows.items()
        ]
        return pa.concat_tables(parts).select(columns)


def study_of(*diverged):
    sources = {"bayes": CASES["bayes"] | {"chains": CHAINS, "draws": LENGTH}, "all": CASES["all"]}
    planned = plan(sweep_of(sources, [COMPARISON]))
    ids = {setting.source: setting.id for setting in planned.settings.values()}
    prior = independent().set_column(0, "setting", pa.array([ids["all"]] * CHAINS * LENGTH))
    buckets = {source: name for name, (i,) in planned.buckets.items()
               for source in ids if ids[source] == i}  # fmt: skip
    bayes = chains(*diverged, setting=ids["bayes"])
    return Study(Stored(buckets, bayes=bayes, all=prior), planned), ids


@pytest.mark.parametrize("diverged", [(), (0,), (1, 4)])
def test_all_draws_of_a_chain_that_diverged_are_left_out(diverged):
    kept, num_lost = whole_units(chains(*diverged), "bayes")
    assert num_lost == len(diverged)
    assert set(kept["unit"].to_pylist()) == set(range(CHAINS)) - set(diverged)
    assert len(kept) == LENGTH * (CHAINS - len(diverged)), "the first half of its draws, too"


def test_a_chain_of_another_setting_has_the_same_number_and_stays():
    both = pa.concat_tables([chains(2), chains(setting=7)])
    kept, num_lost = whole_units(both, "bayes")
    assert num_lost == 1
    assert len(kept) == LENGTH * (2 * CHAINS - 1)
    assert len(kept.filter(pa.compute.equal(kept["setting"], 7))) == CHAINS * LENGTH


def test_independent_runs_that_diverged_are_rows_of_their_own():
    table = independent(2)
    kept, num_lost = whole_units(table, "sgd")
    assert (len(kept), num_lost) == (len(table), 0)


def test_too_few_chains_are_left():
    assert whole_units(chains(0, 1, 2, 3), "bayes")[1] == 4
    with pytest.raises(InsufficientSamples, match=r"5 of 6 units .* of bayes diverged"):
        whole_units(chains(0, 1, 2, 3, 4), "bayes")


@pytest.mark.parametrize("diverged", [(), (1, 4)])
def test_stored_chains_that_diverged_are_worth_no_draw(diverged):
    study, ids = study_of(*diverged)
    draws = study.draws("bayes", [ids["bayes"]], ["l2_norm"], "all")
    names, functions = study.function_draws("bayes", [ids["bayes"]], "all")
    for found in (draws, functions):
        assert len(found) == LENGTH * (CHAINS - len(diverged))
        assert found.diverged_units == len(diverged)
    assert draws.n_eff > len(draws) / 4, "the others mix at once"
    assert abs(draws.values.mean()) < 6 / np.sqrt(len(draws))
    assert b"9" not in {name[-1:] for name in names}


def test_what_it_would_be_worth_otherwise():
    """Standing still, it is one draw to the design effect, and far off: so the rule is needed."""
    table = chains(1, 4)
    counted = Draws.of(table["l2_norm"].to_numpy(), None, table["unit"].to_numpy())
    assert counted.values.mean() == pytest.approx(1.0, abs=0.1)
    assert counted.n_eff > 1


def test_every_estimate_says_how_many_were_left_out():
    study, _ = study_of(1, 4)
    (pair,) = pairs(study.plan, study.sweep.compare[0])
    estimates = [
        each
        for each in look_at_pair(study, pair).at(0.95)
        if "reference" not in each.name  # which are of the other side alone
    ]
    assert len(estimates) > 5
    for each in estimates:
        assert any("2 units of the source diverged" in line for line in each.warnings), each.name
        assert each.num_source == LENGTH * (CHAINS - 2)
