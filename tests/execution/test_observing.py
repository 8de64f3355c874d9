"""`observe`: columns added later are those that a run would have made."""

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import sweep_engine as se
from sweep_engine.columns import Column
from sweep_engine.errors import CorruptResults, Interrupted, OutputError, SpecError
from sweep_engine.execution import observe, run
from sweep_engine.execution.later import bases, observing
from sweep_engine.models import build, canonicalise
from sweep_engine.observables import Observable
from sweep_engine.spec import Sweep
from sweep_engine.spec.load import read_observables
from sweep_engine.spec.sources import sizes
from sweep_engine.store import LocalFiles, OutputDirectory, compact, open_results, verify
from sweep_engine.store.manifest import read_manifest

GAUSSIAN = {"kind": "gaussian", "std": 1.0}
SGD = {
    "kind": "train",
    "init": GAUSSIAN,
    "optimizer": {"kind": "sgd", "learning_rate": 0.5},
    "batch_size": 2,
    "stop": {"max_steps": 60, "snapshots": [0]},
    "runs": 10,
}
SWEEP = {
    "name": "observing",
    "seed": 3,
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    "model": {"kind": "mlp", "widths": [4], "activation": "tanh"},
    "sources": {
        "sgd": SGD,
        "init": {"kind": "prior", "law": GAUSSIAN, "draws": 20},
        "guess": {"kind": "guess_and_check", "law": GAUSSIAN, "accepted": 6, "max_draws": 4000},
        "first": {"kind": "snapshot", "from": "sgd", "at": 0},
    },
    "axes": {"sources.sgd.optimizer.learning_rate": [0.5, 0.25]},
    "observables": ["norms"],
    "execution": {"lanes": 4},
}
RANDOM = {"kind": "coordinates", "method": "random", "components": 3}
PCA = {"kind": "coordinates", "reference": "init"}
KERNEL = {"kind": "kernel_movement", "examples": 3}
LATER = [
    "distance", "margin", "complexity", "symmetry", "spectrum", "input_gradient", RANDOM, KERNEL,
]  # fmt: skip


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 6)


def sweep(**changes):
    return Sweep.model_validate(SWEEP | changes)


def rows(out):
    """All rows of `runs`, by run id."""
    return open_results(out).runs().sort_by([("run_id", "ascending")])


def assert_sound(out):
    assert verify(LocalFiles(out)).problems == []


@pytest.fixture(scope="module")
def at_once(tmp_path_factory):
    """A run that had all observables from the start."""
    out = tmp_path_factory.mktemp("at_once") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "RUNS_PER_SHARD", 6)
        run(sweep(observables=["norms", *LATER]), out)
    return rows(out)


def test_what_is_observed_later_is_what_a_run_would_have_observed(tmp_path, at_once):
    out = tmp_path / "out"
    run(sweep(), out)
    before = rows(out)
    found = observe(out, LATER)
    after = rows(out)
    assert (found.rows, found.without_params) == (len(before), 0)
    assert after.select(before.column_names) == before
    assert after.column_names == at_once.column_names
    for name in set(after.column_names) - set(before.column_names):
        field = after.schema.field(name)
        assert field.equals(at_once.schema.field(name), check_metadata=True)
        assert after[name].null_count == at_once[name].null_count
        if pa.types.is_floating(field.type):
            mine, theirs = (t[name].to_numpy() for t in (after, at_once))
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
        else:
            assert after[name] == at_once[name]
    for source, has_start in (("sgd", True), ("init", False)):
        there = after.filter(pc.field("source") == source)
        for name in ("distance_from_init", "kernel_cka", "layer_relative_changes"):
            assert there[name].null_count == (0 if has_start else len(there)), name
        assert there["kernel_trace"].null_count == 0
    assert_sound(out)


def test_nothing_is_done_twice(tmp_path):
    out = tmp_path / "out"
    run(sweep(), out)
    assert observe(out, ["margin"]).files > 0
    paths = open_results(out).table("runs").records
    assert observe(out, ["margin"]).files == 0
    assert observe(out).files == 0
    assert open_results(out).table("runs").records == paths


def test_an_interrupted_call_goes_on(tmp_path):
    out = tmp_path / "out"
    run(sweep(), out)
    done = []
    with pytest.raises(Interrupted):
        observe(out, ["margin"], report=done.append, should_stop=lambda: len(done) == 2)
    there = rows(out)["margin"].null_count
    assert 0 < there < len(rows(out))
    num_files = len(open_results(out).table("runs").records)
    assert observe(out).files == num_files - 2
    assert rows(out)["margin"].null_count == 0
    assert_sound(out)


def test_a_sweep_that_grows_gives_later_runs_the_same_columns(tmp_path):
    out = tmp_path / "out"
    run(sweep(), out)
    observe(out, ["margin"])
    grown = {
        **SWEEP["sources"],
        "sgd": SGD | {"runs": 14},
        "last": {"kind": "snapshot", "from": "sgd"},
    }
    summary = run(sweep(sources=grown), out)
    assert summary.is_complete
    table = rows(out)
    assert table["margin"].null_count == 0
    assert len(table.filter(pc.field("source") == "last")) == 28
    with pytest.raises(OutputError, match="observables by `observe`"):
        run(sweep(sources=grown, observables=["norms", "complexity"]), out)
    assert_sound(out)


def test_observing_and_compacting_in_turn(tmp_path):
    out = tmp_path / "out"
    run(sweep(), out)
    compact(LocalFiles(out))
    observe(out, ["margin"])
    observe(out, ["complexity"])
    assert compact(LocalFiles(out)) == 0 or rows(out)["margin"].null_count == 0
    grown = {**SWEEP["sources"], "last": {"kind": "snapshot", "from": "guess"}}
    assert run(sweep(sources=grown), out).is_complete
    assert rows(out)["complexity_lz"].null_count == 0
    assert_sound(out)


def test_small_files_are_merged_after_observing(tmp_path):
    out = tmp_path / "out"
    run(sweep(), out)
    observe(out, ["margin"])
    before = rows(out)
    assert compact(LocalFiles(out)) > 0
    assert rows(out) == before
    assert_sound(out)


def test_rows_without_parameters_have_no_values(tmp_path):
    out = tmp_path / "out"
    sources = {name: SWEEP["sources"][name] for name in ("sgd", "init")}
    run(sweep(sources=sources, store={"params": "fit"}), out)
    found = observe(out, ["margin"])
    table = rows(out)
    unfit = pc.sum(pc.invert(table["fit"])).as_py()
    assert found.without_params == table["margin"].null_count == unfit > 0


def test_no_networks_to_observe(tmp_path):
    alone = {"init": SWEEP["sources"]["init"]}
    run(sweep(store={"params": "none"}, sources=alone, axes={}), tmp_path / "a")
    with pytest.raises(OutputError, match="no networks to observe"):
        observe(tmp_path / "a", ["margin"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["margins"], "margins"),
        (["balance"], "needs the model scalar_factorisation"),
        ([RANDOM | {"components": 2}, RANDOM], "fills the column canonical_random_1 already"),
        ([PCA | {"reference": "unit"}], "no source named 'unit'"),
    ],
)
def test_what_cannot_be_observed_is_refused_before_anything_is_written(tmp_path, asked, message):
    out = tmp_path / "out"
    run(sweep(sources={"init": SWEEP["sources"]["init"]}, axes={}), out)
    before = (out / "sweep.json").read_bytes()
    with pytest.raises(SpecError, match=message):
        observe(out, asked)
    assert (out / "sweep.json").read_bytes() == before


def smallest(outcome):
    return {"smallest": jnp.min(outcome.theta)}


def test_a_users_own_observable_and_one_of_ours_with_settings(tmp_path):
    out = tmp_path / "out"
    run(sweep(sources={"init": SWEEP["sources"]["init"]}, axes={}), out)
    own = Observable((Column("smallest", "float32", "", "least parameter"),), compute=smallest)
    volume = {"kind": "local_volume", "directions": 4, "preconditioners": ["none"]}
    se.observe(out, [own, volume, {"kind": "learning_coefficient", "steps": 8}])
    se.observe(out, [own, "path"])
    table, (params,) = rows(out), open_results(out).params("init")
    order = np.argsort(params.run_id)
    np.testing.assert_array_equal(table["smallest"].to_numpy(), params.theta[order].min(axis=1))
    assert np.isfinite(table["local_nats_loss"].to_numpy()).all()
    assert table["learning_coefficient"].null_count == table["path_norm"].null_count == 0


# --- principal components -------------------------------------------------------------------------


def canonical_thetas(out, source):
    network = build(sweep().model, (3,), 1)
    ids, thetas = [], []
    for part in open_results(out).params(source):
        ids.append(part.run_id)
        thetas.append(part.theta)
    ids, thetas = np.concatenate(ids), np.concatenate(thetas)
    forms = jax.jit(jax.vmap(lambda theta: canonicalise(network, theta).theta))(thetas)
    order = np.argsort(ids)
    return ids[order], np.asarray(forms)[order]


def test_principal_components_are_those_of_the_reference_and_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 60)
    out = tmp_path / "out"
    init = {"kind": "prior", "law": GAUSSIAN, "draws": 120}
    sources = {"wide": init | {"law": GAUSSIAN | {"std": 3.0}}, "init": init}
    compare = {"source": "wide", "reference": "init", "observable": "canonical_pca_1"}
    asked = {"axes": {}, "observables": ["norms", PCA], "compare": [compare]}
    asked = sweep(sources=sources, **asked)
    run(asked, out)
    reference = canonical_thetas(out, "init")[1][::2]  # the others are compared
    centre = reference.mean(axis=0)
    _, values, directions = np.linalg.svd(reference - centre, full_matrices=False)
    table = rows(out)
    for source in sources:
        ids, forms = canonical_thetas(out, source)
        mine = table.filter(pc.field("source") == source)
        assert mine["run_id"].to_numpy().tolist() == ids.tolist()
        compared = slice(1, None, 2) if source == "init" else slice(None)
        for i in range(2):
            expected = ((forms - centre) @ directions[i])[compared]
            cells = mine[f"canonical_pca_{i + 1}"]
            assert cells.null_count == len(ids) - len(expected)
            found = cells.to_numpy()[compared]
            np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-3, atol=1e-4)
    stored = open_results(out).table("bases").read()
    np.testing.assert_allclose(stored["variance"].to_pylist()[1:], values[:2] ** 2 / 59, rtol=1e-4)
    more = sweep(sources=sources | {"init": init | {"draws": 150}}, axes={}).sources
    assert run(asked.model_copy(update={"sources": more}), out).is_complete
    assert open_results(out).table("bases").read() == stored
    assert rows(out)["canonical_pca_2"].null_count == 75
    estimate = se.compare(out, "wide", "init", "canonical_pca_1", estimator="ks")
    assert (estimate.num_source, estimate.num_reference) == (120, 75)
    assert any("not fitted on" in warning for warning in estimate.warnings)
    assert estimate.value > 0.15
    assert_sound(out)
    longer = sweep(sources=sources | {"init": init | {"draws": 180}}, axes={}).sources
    asked = asked.model_copy(update={"sources": longer})
    (path,) = (out / "bases").rglob("*.parquet")
    whole = path.read_bytes()
    for place in (len(whole) // 2, len(whole) - 9):  # of the numbers, and of the footer
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CorruptResults, match=path.name):
            run(asked, out)
    path.write_bytes(whole)
    assert run(asked, out).is_complete


@pytest.mark.parametrize("honest", [True, False])
def test_a_law_does_not_differ_from_itself_in_its_own_components(tmp_path, monkeypatch, honest):
    """1,001 parameters, 200 networks: along axes of its own draws it would look far wider."""
    if not honest:
        monkeypatch.setattr(bases, "is_fitted_on", lambda ids, _: np.ones(len(ids), bool))
        monkeypatch.setattr(observing, "is_fitted_on", lambda ids, _: np.zeros(len(ids), bool))
    init = {"kind": "prior", "law": GAUSSIAN, "draws": 200}
    run(
        sweep(
            model={"kind": "mlp", "widths": [200]},
            sources={"same": init, "init": init},
            axes={},
            observables=[PCA | {"canonical": False}],
        ),
        tmp_path / "out",
    )
    found = se.compare(tmp_path / "out", "same", "init", "theta_pca_1")
    assert (found.p_value > 1e-4) == honest


def test_chains_that_start_at_teachers(tmp_path):
    """Their labels are not stored: coordinates need none, anything else is refused."""
    out = tmp_path / "out"
    posterior = {"kind": "posterior", "law": GAUSSIAN, "method": "sgld", "start": "teacher",
                 "chains": 4, "draws": 3, "step_size": 1e-3}  # fmt: skip
    asked = PCA | {"reference": "bayes"}
    run(sweep(sources={"bayes": posterior}, axes={}, observables=[asked]), out)
    units = rows(out).filter(pc.field("canonical_pca_1").is_null())["unit"].to_pylist()
    assert sorted(units) == [0, 0, 0, 2, 2, 2], "whole chains, every other one"
    with pytest.raises(SpecError, match="labels of their own"):
        observe(out, ["margin"])


def test_a_reference_with_too_few_networks_is_an_error(tmp_path):
    out = tmp_path / "out"
    run(sweep(sources={"init": SWEEP["sources"]["init"] | {"draws": 2}}, axes={}), out)
    with pytest.raises(OutputError, match="2 components need more than 1 points"):
        observe(out, [PCA])


def test_observables_on_the_command_line():
    asked = read_observables(["norms", "{kind: local_volume, cost: error}", "volume_exponent"])
    assert asked[0].kind == "norms"
    assert (asked[1].cost, asked[2].kind) == ("error", "volume_exponent")
    assert read_observables([]) == ()
    with pytest.raises(SpecError, match="cost"):
        read_observables(["{kind: local_volume, cost: errors}"])


def test_the_manifest_says_what_the_rows_have(tmp_path):
    out = tmp_path / "out"
    run(sweep(sources={"init": SWEEP["sources"]["init"]}, axes={}), out)
    observe(out, [PCA, "margin"])
    stored = read_manifest(OutputDirectory(out)).plan.sweep.observables
    assert [getattr(one, "kind", one) for one in stored] == ["norms", "coordinates", "margin"]
