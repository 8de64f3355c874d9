"""Tests that a chain that diverged is worth no draw, and such a network has no function."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from sweep_engine.densities import Study
from sweep_engine.densities.comparing import look_at_pair
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.stored.pairing import pairs
from sweep_engine.densities.stored.sides import function_cells
from sweep_engine.densities.stored.study import DIVERGED_ID, whole_units
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

    ledger = SimpleNamespace(shards={})

    def __init__(self, buckets, **rows):
        self.buckets, self.rows = buckets, rows

    def table(self, name):
        return SimpleNamespace(records=[f"{name}/part"])

    def runs(self, columns, where):
        return self._all().filter(where).select(columns)

    def iter_tallies(self, columns, where):
        """Count the functions of all rows, whether they diverged or not."""
        keys = ["source", "bucket", "setting", "function_id"]
        counted = self._all().group_by(keys).aggregate([([], "count_all")])
        counted = counted.rename_columns([*keys, "count"])
        counted = counted.append_column("what", pa.array(["function"] * len(counted)))
        return counted.filter(where).select(columns).to_batches()

    def _all(self):
        parts = [
            table.append_column("source", pa.array([name] * len(table)))
            .append_column("bucket", pa.array([self.buckets[name]] * len(table)))
            .append_column("fit", pa.array([True] * len(table)))
            for name, table in self.rows.items()
        ]
        return pa.concat_tables(parts)


def planned_with(source, *comparisons):
    """Make a plan of two sources: settings and buckets by source, and rows of the second."""
    made = CASES[source] | ({"chains": CHAINS, "draws": LENGTH} if source == "bayes" else {})
    planned = plan(sweep_of({source: made, "all": CASES["all"]}, list(comparisons)))
    ids = {setting.source: setting.id for setting in planned.settings.values()}
    buckets = {source: name for name, (i,) in planned.buckets.items()
               for source in ids if ids[source] == i}  # fmt: skip
    return planned, ids, buckets, of_setting(independent(), ids["all"])


def of_setting(table, setting):
    return table.set_column(0, "setting", pa.array([setting] * len(table)))


def study_of(*diverged):
    planned, ids, buckets, prior = planned_with("bayes", COMPARISON)
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


def test_how_often_a_chain_fits_is_told_by_those_that_did_not_diverge():
    study, ids = study_of(1, 4)
    (setting,) = (each for each in study.plan.settings.values() if each.id == ids["bayes"])
    assert study.fit_probability([setting]).num_source == LENGTH * (CHAINS - 2)
    lost, _ = study_of(*range(CHAINS))
    with pytest.raises(InsufficientSamples, match="6 of 6 units"):
        lost.fit_probability([setting])


# --- functions ----------------------------------------------------------------------------

OUTCOMES = 8
"""Functions of both sides; those of networks that diverged are one more, if they are counted."""


def compared_functions(num_diverged, **asked):
    """Estimate two sources of one law, of which one's first networks diverged.

    What they ended as is a function that the others have, too.
    """
    asked = {"source": "sgd", "reference": "all", "observable": "function"} | asked
    planned, ids, buckets, prior = planned_with("sgd", asked)
    rows = of_setting(independent(), ids["sgd"])
    status = np.where(np.arange(len(rows)) < num_diverged, "diverged", "max_steps")
    names = np.where(status == "diverged", f"{0:032x}", rows["function_id"].to_numpy(False))
    for name, values in (("status", status), ("function_id", names)):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values))
    stored = Stored(buckets, sgd=rows, all=prior)
    entry = SimpleNamespace(receipt={"status diverged": num_diverged} if num_diverged else {})
    stored.ledger = SimpleNamespace(
        shards={shard.id: entry for shard in planned.shards if shard.source == "sgd"}
    )
    study = Study(stored, planned)
    (pair,) = pairs(study.plan, study.sweep.compare[0])
    cells = function_cells(study, pair)
    return *cells, {each.name: each for each in look_at_pair(study, pair).at(0.95)}


@pytest.mark.parametrize("asked", [{}, {"where": {"l2_norm": (-9.0, 9.0)}}], ids=["all", "rows"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.4])
def test_networks_that_diverged_are_an_outcome_of_their_own(share, asked):
    """Find that only who diverged differs: the others' functions are the reference's."""
    whole = CHAINS * LENGTH
    num_diverged = round(share * whole)
    ids, cells, estimates = compared_functions(num_diverged, **asked)
    assert len(ids) == OUTCOMES + (share > 0)
    assert (cells.num_source, cells.num_reference) == (whole, whole)
    apart = cells.select(ids == DIVERGED_ID)
    assert (apart.num_source, apart.num_reference) == (num_diverged, 0)
    bound = estimates["total_variation_lower_bound"]
    assert bound.low <= share <= bound.value + 0.1
    assert (bound.low > share / 2) or share < 0.1
    told = f"{num_diverged:,} of {whole:,} networks of sgd diverged: they are an outcome"
    for each in estimates.values():
        assert any(told in line for line in each.warnings) == (share > 0), each.name
