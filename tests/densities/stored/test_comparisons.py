"""The comparisons of a stored sweep: who is paired with whom, and what is counted."""

import io
import json
import math
import sys
from collections import Counter
from contextlib import redirect_stdout

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy import stats

from sweep_engine import cli, compare
from sweep_engine.comparability import comparison_problems
from sweep_engine.densities import (
    Draws,
    Estimate,
    Study,
    compare_all,
    pairs,
    write_comparisons,
)
from sweep_engine.densities.comparing import look_at_pair
from sweep_engine.densities.estimator import Table
from sweep_engine.densities.registry import ESTIMATORS
from sweep_engine.densities.stored.sides import function_cells, read_pair
from sweep_engine.densities.stored.study import _numbers
from sweep_engine.errors import IncomparableSources, InsufficientSamples, SpecError
from sweep_engine.execution import run
from sweep_engine.observables import columns_of
from sweep_engine.planning import plan
from sweep_engine.report.words import table_of
from sweep_engine.spec import Comparison, Sweep
from sweep_engine.store import LocalFiles
from sweep_engine.store.layout import COMPARISONS
from tests.densities.read import assert_sayable, ks_distance

TARGETS = ["x1", "x1 & x2"]
RATE = "sources.sgd.optimizer.learning_rate"
RATES = [0.5, 0.25]
RUNS, ACCEPTED, DRAWS = 110, 120, 400
GAUSSIAN = {"kind": "gaussian", "std": 1.0}
SWEEP = {
    "name": "comparisons",
    "seed": 5,
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    "model": {"kind": "mlp", "widths": [4], "activation": "tanh"},
    "accept": {"train_error": 0.0},
    "sources": {
        "sgd": {
            "kind": "train",
            "init": GAUSSIAN,
            "optimizer": {"kind": "sgd", "learning_rate": 0.5},
            "stop": {"max_steps": 60},
            "runs": RUNS,
        },
        "guess": {
            "kind": "guess_and_check",
            "law": GAUSSIAN,
            "accepted": ACCEPTED,
            "max_draws": 20_000,
        },
        "fixed": {"kind": "guess_and_check", "law": GAUSSIAN, "draws": 3000},
        "init": {"kind": "prior", "law": GAUSSIAN, "draws": DRAWS},
        "lax": {"kind": "prior", "law": GAUSSIAN, "draws": 9, "accept": {"train_error": 0.5}},
    },
    "axes": {"task.target": TARGETS, RATE: RATES},
    "observables": ["norms", "function"],
    "execution": {"lanes": 16},
    "compare": [
        {"source": "sgd", "reference": "guess", "observable": "function", "given": "fit"},
        {"source": "sgd", "reference": "init", "observable": "l2_norm", "by": RATE},
        {"source": "sgd", "reference": "init", "observable": "l2_norm, test_error"},
        {"source": "init", "reference": "lax", "observable": "l2_norm"},
    ],
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("comparisons") / "out"
    assert run(Sweep.model_validate(SWEEP), out).is_complete
    return out


@pytest.fixture(scope="module")
def study(out):
    return Study.open(out)


def pairs_of(study, source, reference, observable="l2_norm", **options):
    asked = {"source": source, "reference": reference, "observable": observable} | options
    return pairs(study.plan, Comparison.model_validate(asked))


def rows_of(study, source, **values):
    """Rows of `runs` as dicts, picked by columns."""
    rows = study.results.runs(where=pc.field("source") == source).to_pylist()
    return [row for row in rows if all(row[k] == v for k, v in values.items())]


# --- pairing ------------------------------------------------------------------------------


def test_a_pair_never_mixes_two_tasks(study):
    settings = study.plan.settings
    found = pairs_of(study, "sgd", "init")
    assert [pair.at for pair in found] == [{"task.target": target} for target in TARGETS]
    for pair in found:
        tasks = {settings[i].task.target for i in (*pair.source, *pair.reference)}
        assert tasks == {pair.at["task.target"]}


def test_an_axis_of_one_side_is_pooled(study):
    for pair in pairs_of(study, "sgd", "init"):
        assert len(pair.source) == len(RATES)
        assert len(pair.reference) == 1
        found = study.draws("sgd", pair.source, ["l2_norm"], "all")
        assert found.values.shape == (len(RATES) * RUNS,)
        assert np.all(found.weights == 1.0)
        assert found.units is None


def test_by_splits_the_axis_of_one_side(study):
    found = pairs_of(study, "sgd", "init", by=RATE)
    at = {(pair.at["task.target"], pair.at[RATE]) for pair in found}
    assert at == {(target, rate) for target in TARGETS for rate in RATES}
    assert len(found) == 4
    assert all(len(pair.source) == len(pair.reference) == 1 for pair in found)


def test_by_splits_several_axes(study):
    several = pairs_of(study, "sgd", "init", by=(RATE, "task.target"))
    assert [pair.at for pair in several] == [
        pair.at for pair in pairs_of(study, "sgd", "init", by=RATE)
    ]
    with pytest.raises(IncomparableSources, match=r"model\.wide"):
        pairs_of(study, "sgd", "init", by=(RATE, "model.wide"))


def test_an_axis_of_both_sides_is_paired_with_itself(study):
    found = pairs_of(study, "sgd", "sgd", by=RATE)
    assert len(found) == len(TARGETS) * len(RATES)
    assert all(pair.source == pair.reference for pair in found)


# --- what is counted ----------------------------------------------------------------------


@pytest.mark.parametrize("given", ["all", "fit"])
def test_function_counts_equal_a_recount_of_the_rows(study, given):
    (pair,) = (p for p in pairs_of(study, "sgd", "init") if p.at["task.target"] == "x1")
    for source, settings in (("sgd", pair.source), ("init", pair.reference)):
        rows = [row for row in rows_of(study, source) if row["setting"] in settings]
        recount = Counter(row["function_id"] for row in rows if given == "all" or row["fit"])
        ids, counts = study.function_counts(source, settings, given)
        counted = {name.decode(): n for name, n in zip(ids, counts, strict=True) if n}
        assert counted == recount
        assert len(recount) > 1


def test_guess_and_check_counts_functions_given_a_fit(study):
    """Its draws that do not fit are thrown away: there is nothing else to count."""
    for pair in pairs_of(study, "sgd", "guess"):
        rows = [row for row in rows_of(study, "guess") if row["setting"] in pair.reference]
        recount = Counter(row["function_id"] for row in rows)
        for given in ("all", "fit"):
            ids, counts = study.function_counts("guess", pair.reference, given)
            names = [name.decode() for name in ids]
            assert dict(zip(names, counts, strict=True)) == recount
            assert counts.sum() == ACCEPTED


def test_function_cells_line_up(study):
    (pair, _) = pairs_of(study, "sgd", "guess", "function", given="fit")
    ids, cells = function_cells(study, pair)
    assert len(set(ids)) == len(ids)
    fits = sum(row["fit"] for row in rows_of(study, "sgd") if row["setting"] in pair.source)
    sides = [np.asarray(getattr(cells, name)) for name in ("source", "reference")]
    assert [int(side.sum()) for side in sides] == [fits, ACCEPTED]
    assert all(len(side) == len(ids) for side in sides)


def test_given_fit_keeps_the_fits_alone(study):
    (pair, _) = pairs_of(study, "sgd", "init")
    rows = [row for row in rows_of(study, "sgd", fit=True) if row["setting"] in pair.source]
    values = study.draws("sgd", pair.source, ["l2_norm"], "fit").values
    assert 0 < len(rows) < len(RATES) * RUNS
    assert sorted(values) == sorted(row["l2_norm"] for row in rows)


def test_the_distance_is_the_one_of_the_stored_values(study, out):
    (pair, _) = pairs_of(study, "sgd", "init")
    sides = [
        np.array([r["l2_norm"] for r in rows_of(study, name) if r["setting"] in settings], float)
        for name, settings in (("sgd", pair.source), ("init", pair.reference))
    ]
    wanted = max(
        abs(np.mean(sides[0] <= x) - np.mean(sides[1] <= x)) for x in np.concatenate(sides)
    )
    found = compare(out, "sgd", "init", "l2_norm", at=pair.at)
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert (found.num_source, found.num_reference) == (len(RATES) * RUNS, DRAWS)
    assert found == ks_distance(*(Draws.of(side, np.zeros(len(side))) for side in sides))


def test_fit_probability(study):
    """k/N for a number of draws, (k-1)/(N-1) where the k-th acceptance stopped them."""
    by_source = {name: [] for name in study.sweep.sources}
    for setting in study.plan.settings.values():
        by_source[setting.source].append(setting)
    for setting in by_source["guess"]:
        (row,) = study.results.tallies(
            where=(pc.field("setting") == setting.id) & (pc.field("what") == "draws")
        ).to_pylist()
        found = study.fit_probability([setting])
        assert found.num_source == row["count"]
        assert found.value == (ACCEPTED - 1) / (row["count"] - 1)
        assert found.low < found.value < found.high
    for setting in by_source["init"]:
        fits = len(rows_of(study, "init", setting=setting.id, fit=True))
        assert study.fit_probability([setting]).value == fits / DRAWS
    for setting in by_source["fixed"]:
        fits = len(rows_of(study, "fixed", setting=setting.id))
        assert study.fit_probability([setting]).value == fits / 3000
    fits = len(rows_of(study, "init", fit=True))
    assert study.fit_probability(by_source["init"]).value == fits / (DRAWS * len(TARGETS))


def test_two_ways_to_stop_agree_on_the_probability(study):
    """The same law, counted both ways: the intervals of one target meet, the targets' do not."""
    found = {
        (setting.source, setting.task.target): study.fit_probability([setting])
        for setting in study.plan.settings.values()
        if setting.source in {"guess", "fixed"}
    }
    for target in TARGETS:
        one, other = found["guess", target], found["fixed", target]
        assert max(one.low, other.low) <= min(one.high, other.high)


# --- refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("init", "lax", "l2_norm", "fit"), "different acceptance rules"),
        (("guess", "lax", "l2_norm", "all"), "different acceptance rules"),
        (("sgd", "init", "l3_norm", "all"), "l3_norm"),
        (("sgd", "init", "l2_norm, l3_norm", "all"), "l3_norm"),
        (("sgd", "nobody", "l2_norm", "all"), "nobody"),
        (("sgd", "init", "source", "all"), "source"),
    ],
)
def test_refuses_what_means_nothing(out, asked, says):
    *names, given = asked
    with pytest.raises(IncomparableSources, match=says):
        compare(out, *names, given=given, at={"task.target": "x1"})


def test_refuses_an_unknown_axis(study):
    with pytest.raises(IncomparableSources, match=r"model\.wide"):
        pairs_of(study, "sgd", "init", by="model.wide")


def test_one_source_by_itself_is_read_once(study, monkeypatch):
    asked = Comparison.model_validate({"source": "init", "correlate": ["l2_norm", "test_loss"]})
    reads = []
    draws = Study.draws
    monkeypatch.setattr(Study, "draws", lambda *args: reads.append(1) or draws(*args))
    for pair in pairs(study.plan, asked):
        (found,) = look_at_pair(study, pair).at(0.95)
        rows = rows_of(study, "init", setting=pair.source[0])
        columns = [[row[name] for row in rows] for name in ("l2_norm", "test_loss")]
        assert found.value == pytest.approx(stats.spearmanr(*columns).statistic)
        assert found.num_source == DRAWS
    assert len(reads) == len(TARGETS)


def test_refuses_to_pick_among_settings_and_estimators(out):
    with pytest.raises(IncomparableSources, match="pick one with `at`"):
        compare(out, "sgd", "init", "l2_norm")
    with pytest.raises(IncomparableSources, match="pick one with `at`"):
        compare(out, "sgd", "init", "l2_norm", at={"task.target": "x3"})
    with pytest.raises(IncomparableSources, match="kolmogorov"):
        compare(out, "sgd", "init", "l2_norm", at={"task.target": "x1"}, estimator="kolmogorov")


def test_few_draws_give_what_they_allow_and_the_rest_is_named_with_a_number(study, out):
    asked = (out, "init", "lax", "l2_norm")
    found = compare(*asked, at={"task.target": "x1"})
    assert (found.name, found.num_reference) == ("ks_distance", 9)
    assert found.sentence in str(found)
    (left_out,) = found.answer.left_out
    assert left_out.startswith("binned: ")
    assert "100" in left_out
    for at_least_100 in ({"estimator": "binned"}, {"estimator": "kde"}):
        with pytest.raises(InsufficientSamples, match="100"):
            compare(*asked, at={"task.target": "x1"}, **at_least_100)
    with pytest.raises(IncomparableSources, match=r"left out: binned: .* 100 "):
        compare(*asked, at={"task.target": "x1"}, quantity="kl_lower_bound")
    _, refused = compare_all(study)
    assert [line.split(": ")[:2] for line in refused] == [
        [f"init against lax, l2_norm target = {target}", "binned"] for target in TARGETS
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [({"observable": "l3_norm"}, "l3_norm"), ({"reference": "nobody"}, "nobody"),
     ({"reference": "lax", "given": "fit"}, "acceptance rules"), ({"by": "model.wide"}, "wide")],
)  # fmt: skip
def test_a_sweep_that_asks_for_it_is_refused_before_it_runs(tmp_path, change, says):
    asked = {"source": "sgd", "reference": "init", "observable": "l2_norm"} | change
    with pytest.raises((SpecError, IncomparableSources), match=says):
        run(Sweep.model_validate(SWEEP | {"compare": [asked]}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- at, where, match, two directories ----------------------------------------------------


def test_at_picks_before_pooling(study, out):
    """One learning rate of the source, where the pair would pool both."""
    (pair, _) = pairs_of(study, "sgd", "init", at={RATE: 0.25})
    assert len(pair.source) == 1
    assert study.plan.settings[pair.source[0]].values[RATE] == 0.25
    assert RATE not in pair.at, "the reference does not have it"
    with pytest.raises(IncomparableSources, match="no setting of both sources"):
        pairs_of(study, "sgd", "init", at={RATE: 0.125})
    with pytest.raises(IncomparableSources, match="no axis"):
        pairs_of(study, "sgd", "init", at={"model.wide": 3})


def test_where_looks_at_some_runs_only(study, out):
    asked = {"at": {"task.target": "x1"}, "where": {"l2_norm": (3.0, 5.0)}}
    rows = rows_of(study, "init", **{"task.target": "x1"})
    inside = [row["l2_norm"] for row in rows if 3.0 <= row["l2_norm"] <= 5.0]
    found = compare(out, "sgd", "init", "l2_norm", **asked)
    assert 0 < found.num_reference == len(inside) < len(rows)
    functions = compare(out, "sgd", "init", "function", **asked)
    assert functions.num_reference == len(inside)
    assert "of kept rows only" in functions.warnings
    with pytest.raises(IncomparableSources, match="low end 5 is above"):
        compare(out, "sgd", "init", "l2_norm", at=asked["at"], where={"l2_norm": (5.0, 3.0)})


def test_match_takes_away_what_a_column_explains(out):
    """Matched on itself, a norm no longer differs; functions are counted with the weights."""
    at = {"task.target": "x1"}
    plain = compare(out, "sgd", "init", "l2_norm", at=at, estimator="wasserstein")
    same = {"column": "l2_norm", "bins": 8}
    matched = compare(out, "sgd", "init", "l2_norm", at=at, estimator="wasserstein", match=same)
    assert matched.value < 0.5 * plain.value
    assert matched.n_eff_reference < plain.n_eff_reference
    assert any("matched on l2_norm" in warning for warning in matched.warnings)
    functions = compare(out, "sgd", "init", "function", at=at, match=same)
    assert functions.num_reference < DRAWS, "effective draws"
    with pytest.raises(IncomparableSources, match="no numeric column 'l3'"):
        compare(out, "sgd", "init", "l2_norm", at=at, match={"column": "l3"})


def test_lists_of_several_lengths_are_refused():
    table = pa.table({"norms": pa.array([[1.0, 2.0], [3.0]], pa.list_(pa.float32()))})
    with pytest.raises(IncomparableSources, match="norms of sgd has 1 to 2 entries"):
        _numbers(table, "norms", "sgd")
    np.testing.assert_array_equal(_numbers(table.slice(1), "norms", "sgd"), [[3.0]])


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Another sweep on the same tasks, whose `init` is twice as wide, and other data."""
    folder = tmp_path_factory.mktemp("elsewhere")
    wide = {"init": {"kind": "prior", "law": {"kind": "gaussian", "std": 2.0}, "draws": 300}}
    changed = {"sources": wide, "axes": {"task.target": TARGETS}, "compare": []}
    assert run(Sweep.model_validate(SWEEP | changed), folder / "wide").is_complete
    assert run(Sweep.model_validate(SWEEP | changed | {"seed": 6}), folder / "data").is_complete
    return folder


def test_the_entries_of_a_list_are_compared_as_coordinates(out, study, elsewhere):
    pair = pairs_of(study, "sgd", "init", "layer_norms")[0]
    draws, _ = read_pair(study, pair)
    lists = [row["layer_norms"] for row in rows_of(study, "sgd") if row["setting"] in pair.source]
    np.testing.assert_array_equal(draws.values, np.array(lists, float))
    at = {"task.target": "x1"}
    wide = compare(out, "init", "init", "layer_norms", at=at, estimator="c2st",
                   reference_results=elsewhere / "wide")  # fmt: skip
    assert wide.low > 0.7, "both layers are twice as large there"
    with pytest.raises(IncomparableSources, match=r"one column, got 2"):
        compare(out, "sgd", "init", "layer_norms", estimator="ks", at=at)
    with pytest.raises(IncomparableSources, match="no numeric column 'layer_norms'"):
        compare(out, "sgd", "init", "layer_norms, l2_norm", at=at)


def test_a_reference_from_another_directory(out, elsewhere):
    at = {"task.target": "x1"}
    here = compare(out, "init", "init", "l2_norm", at=at, estimator="mean")
    assert here.value == 0.0
    assert here == compare(out, "init", "init", "l2_norm", at=at, estimator="mean",
                           reference_results=out)  # fmt: skip
    there = compare(
        out, "init", "init", "l2_norm", at=at, estimator="mean",
        reference_results=elsewhere / "wide",
    )  # fmt: skip
    assert there.num_reference == 300
    assert there.high < -2, "norms are twice as large there"
    function = compare(out, "init", "init", "function", at=at,
                       reference_results=elsewhere / "wide")  # fmt: skip
    assert function.num_reference == 300
    with pytest.raises(IncomparableSources, match="one task only"):
        compare(out, "init", "init", "function", at=at, reference_results=elsewhere / "data")
    with pytest.raises(IncomparableSources, match="no source named 'sgd'"):
        compare(out, "init", "sgd", "l2_norm", at=at, reference_results=elsewhere / "wide")


def test_the_command_line_compares_two_directories(out, elsewhere, monkeypatch):
    alone = Sweep.model_validate(
        SWEEP | {"compare": [{"source": "init", "reference": "init", "observable": "l2_norm"}]}
    )
    study = Study(Study.open(out).results, plan(alone))
    found, refused = compare_all(study, Study.open(elsewhere / "wide"))
    assert not refused
    assert {one.estimate.num_reference for one in found if "ks" in one.estimate.name} == {300}
    tests = [one for one in found if one.estimate.p_value is not None]
    assert all(one.p_adjusted >= one.estimate.p_value for one in tests)
    kept = out / COMPARISONS
    before = kept.read_bytes() if kept.exists() else None
    monkeypatch.setattr(sys, "argv", ["sweep-engine", "compare", str(out), "--with", str(out)])
    with pytest.raises(SystemExit) as ended, redirect_stdout(io.StringIO()):
        cli.main()
    assert not ended.value.code
    assert (kept.read_bytes() if kept.exists() else None) == before, "nothing is kept"


def test_several_columns_are_told_apart_by_a_classifier(study, out):
    (pair, _) = pairs_of(study, "sgd", "init", "l2_norm, test_error, steps")
    estimates = look_at_pair(study, pair).at(0.95)
    names = [one.name for one in estimates]
    assert names == ["c2st_accuracy", "tv_bound_c2st", "kl_bound_c2st"]
    found = compare(
        out, "sgd", "init", "l2_norm, test_error, steps", at=pair.at, estimator="c2st",
        quantity="kl_bound_c2st",
    )  # fmt: skip
    assert found == estimates[-1]


def test_what_is_stored_is_what_the_observables_say(study):
    asked = [column for named in study.sweep.observables for column in columns_of(named)]
    assert study.observed == asked
    assert len(asked) > 2


def test_columns_are_looked_for_among_those_that_are_stored(study):
    def problems(name, stored):
        asked = {"source": "sgd", "reference": "guess", "observable": name}
        return list(
            comparison_problems(study.sweep, Comparison.model_validate(asked), None, stored)
        )

    stored = ([("here", "float32"), ("listed", "list<float32>"), ("word", "string")], None)
    assert not problems("here", stored)
    assert not problems("listed", stored)
    assert [problem[0] for problem in problems("listed, here", stored)] == ["observable"]
    ((_, says),) = problems("hare", stored)
    assert says.startswith("no numeric column 'hare'; did you mean 'here'?")
    assert [problem[0] for problem in problems("word", stored)] == ["observable"]


def test_rows_of_fits_alone_do_not_stand_for_all_draws():
    keeping = {"sources": SWEEP["sources"] | {
        "kept": {"kind": "prior", "law": GAUSSIAN, "draws": 9, "keep": "fit"}}}  # fmt: skip
    sweep = Sweep.model_validate(SWEEP | keeping | {"compare": []})

    def problems(observable, **asked):
        one = {"source": "sgd", "reference": "kept", "observable": observable} | asked
        return [field for field, _ in comparison_problems(sweep, Comparison.model_validate(one))]

    assert problems("l2_norm") == ["reference"]
    assert problems("function", where={"l2_norm": (0.0, 1.0)}) == ["reference"]
    assert not problems("function"), "tallies count every draw"
    assert not problems("l2_norm", given="fit")


# --- the decomposition ---------------------------------------------------------------------------


def test_the_decomposition_comes_with_functions_given_a_fit(study, out):
    """-ln P(fit) as counted, the KL bound as estimated, and their sum."""
    (pair, _) = pairs_of(study, "sgd", "guess", "function", given="fit")
    found = {one.name: one for one in look_at_pair(study, pair).at(0.95)}
    (setting,) = (study.plan.settings[i] for i in pair.reference)
    data, optimiser, total = (found[f"decomposition_{n}"] for n in ("data", "optimiser", "total"))
    assert_sayable(ESTIMATORS["decomposition"], [
        estimate for estimate in found.values() if table_of(estimate) is Table.DECOMPOSITION
    ])  # fmt: skip
    assert data.value == -study.ln_fit_probability([setting]).value
    assert optimiser.value == found["kl_lower_bound"].value
    assert total.value == data.value + optimiser.value
    assert total.low < data.low + optimiser.low, "the sum's ends are at 97.5 % each"
    bound = found["pac_bayes_bound"]
    assert "n = 4" in bound.method
    asked = {"given": "fit", "at": pair.at, "estimator": "decomposition"}
    assert compare(out, "sgd", "guess", "function", **asked) == data
    asked["quantity"] = "decomposition_total"
    assert compare(out, "sgd", "guess", "function", **asked) == total
    asked |= {"estimator": "ledger", "quantity": "ledger_total"}
    assert compare(out, "sgd", "guess", "function", **asked) == total, "the words of old"


def test_the_decomposition_in_another_observable(study, out):
    asked = {"given": "fit", "at": {"task.target": "x1"}}
    for observable, name in (("l2_norm", "kl_lower_bound"), ("l2_norm, test_error", None)):
        optimiser = compare(
            out, "sgd", "fixed", observable, **asked, estimator="decomposition",
            quantity="decomposition_optimiser",
        )  # fmt: skip
        assert any(f"measured in {observable}" in w for w in optimiser.warnings)
        if name:
            kl = compare(out, "sgd", "fixed", observable, **asked, quantity=name)
            assert optimiser.value == kl.value


def test_the_decomposition_of_a_prior_counts_its_fits(study, out):
    asked = {"given": "fit", "at": {"task.target": "x1"}, "estimator": "decomposition"}
    total = compare(out, "sgd", "init", "function", **asked, quantity="decomposition_total")
    assert math.isnan(total.value)
    assert any("at least 100" in w for w in total.warnings), "too few of 400 draws fit"
    (pair,) = (p for p in pairs_of(study, "sgd", "init") if p.at["task.target"] == "x1")
    setting = study.plan.settings[pair.reference[0]]
    assert total.low == -study.ln_fit_probability([setting], 0.975).high


@pytest.mark.parametrize("change", [{"reference": "sgd"}, {"given": "all"}])
def test_the_decomposition_needs_a_law_and_a_fit(out, change):
    asked = {"reference": "guess", "given": "fit"} | change
    reference = asked.pop("reference")
    with pytest.raises(IncomparableSources, match="the KL decomposition is of networks that fit"):
        compare(out, "sgd", reference, "function", estimator="decomposition",
                at={"task.target": "x1", RATE: 0.5} if reference == "sgd" else
                {"task.target": "x1"}, **asked)  # fmt: skip


# --- many settings at once ----------------------------------------------------------------


def test_settings_shown_together_have_intervals_that_hold_together(study, out):
    """Four settings of `by`: Bonferroni at 1 - 0.05 / 4, for every estimate; alone, none."""
    found = [one for one in compare_all(study)[0] if one.pair.comparison.by == RATE]
    assert {one.num_settings for one in found} == {4}
    for one in found:
        low, high = one.simultaneous
        assert low <= one.estimate.low
        assert high >= one.estimate.high
    for one in {one.estimate.name: one for one in found}.values():
        alone = compare(
            out, "sgd", "init", "l2_norm", by=RATE, at=one.pair.at, estimator=one.estimate.name,
            confidence=1 - 0.05 / 4,
        )  # fmt: skip
        assert repr(one.simultaneous) == repr((alone.low, alone.high))
    single = Comparison(source="init", reference="fixed", observable="l2_norm",
                        at={"task.target": "x1"})  # fmt: skip
    asked = Sweep.model_validate(SWEEP | {"compare": [single]})
    (ks, *_), _ = compare_all(Study(study.results, plan(asked)))
    assert (ks.num_settings, ks.simultaneous) == (1, None)


# --- three doors, one answer --------------------------------------------------------------


def test_python_command_line_and_file_agree(study, out, monkeypatch):
    compared, refused = compare_all(study)
    printed = io.StringIO()
    monkeypatch.setattr(sys, "argv", ["sweep-engine", "compare", str(out), "--json"])
    with redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    told = json.loads(printed.getvalue())
    assert told["refused"] == refused
    stored = pq.read_table(out / "comparisons.parquet").to_pylist()
    assert len(compared) == len(told["estimates"]) == len(stored) > 10
    for one, line, row in zip(compared, told["estimates"], stored, strict=True):
        fields = one.estimate.to_dict()
        told_back = Estimate.from_dict({name: line[name] for name in fields})
        assert repr(told_back) == repr(one.estimate), "repr: a NaN is not equal to itself"
        assert line["at"] == json.loads(row["at"]) == one.pair.at
        kept = {name: row[name] for name in fields} | {"warnings": tuple(row["warnings"])}
        for name, value in one.to_dict().items():
            if name not in fields:
                assert line[name] == value
                assert row[name] == (float(value) if isinstance(value, str) else value)
        assert repr(Estimate(**kept)) == repr(one.estimate)
        for name in ("source", "reference", "observable", "given", "by"):
            assert line[name] == row[name] == getattr(one.pair.comparison, name)
    for one in {(one.pair.comparison, one.estimate.name): one for one in compared}.values():
        asked = one.pair.comparison
        alone = compare(
            study, asked.source, asked.reference, asked.observable, given=asked.given,
            at=one.pair.at, by=asked.by, estimator=one.estimate.name,
        )  # fmt: skip
        assert repr(alone) == repr(one.estimate)


def test_estimates_do_not_depend_on_compaction_or_on_the_reader(study, out, tmp_path):
    first = compare_all(study)[0]
    assert [one.estimate for one in first] == [
        one.estimate for one in compare_all(Study.open(out))[0]
    ]
    one, two = LocalFiles(tmp_path / "one"), LocalFiles(tmp_path / "two")
    write_comparisons(one, first)
    write_comparisons(two, compare_all(Study.open(out))[0])
    assert one.read("comparisons.parquet") == two.read("comparisons.parquet")


def test_two_columns_make_one_estimate(study):
    (pair, _) = pairs_of(study, "sgd", "init", "l2_norm, test_error")
    (estimate,) = look_at_pair(study, pair).at(0.95)
    assert estimate.num_source == len(RATES) * RUNS
    assert estimate.num_reference == DRAWS


def test_the_stored_plan_is_the_plan(study):
    assert study.plan.shards == plan(Sweep.model_validate(SWEEP)).shards
