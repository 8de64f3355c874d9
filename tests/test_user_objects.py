"""A user's own network, task, loss and observable, from Python; then the command line."""

import dataclasses
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

import sweep_engine
from sweep_engine import cli, densities
from sweep_engine.densities import registry
from sweep_engine.densities.columns.ks import KolmogorovSmirnov
from sweep_engine.spec.sweep import OWN_ESTIMATORS
from sweep_engine.store import LocalFiles, record_failure


class Bump(nn.Module):
    """f(x) = sum_h v_h exp(-(x - c_h)^2 / scale)."""

    bumps: int
    scale: float = 1.0

    @nn.compact
    def __call__(self, x):
        normal = nn.initializers.normal(1.0)
        centres = self.param("centres", normal, (1, self.bumps))
        heights = self.param("heights", normal, (self.bumps, 1))
        return jnp.exp(-((x - centres) ** 2) / self.scale) @ heights


def huber(outputs, targets):
    """Quadratic near 0, linear beyond 1."""
    gap = jnp.abs(outputs[:, 0] - targets)
    return jnp.where(gap < 1, 0.5 * gap**2, gap - 0.5)


@dataclass(frozen=True)
class Wave:
    """y = sin(frequency x) on a grid, with seeded noise."""

    frequency: float
    examples: int = 12
    noise: float = 0.01

    def load(self, seed: int) -> sweep_engine.Task:
        x = np.linspace(-2, 2, self.examples)[:, None]
        noise = np.random.default_rng(seed).normal(0, self.noise, self.examples)
        y = np.sin(self.frequency * x[:, 0]) + noise
        return sweep_engine.make_task((x, y), (x + 0.1, y), sweep_engine.Loss(huber))


def spread(outcome: sweep_engine.Outcome):
    """Range of the outputs on the training inputs, and the norm of theta."""
    outputs = outcome.train_outputs
    return {"spread": outputs.max() - outputs.min(), "theta_norm": jnp.linalg.norm(outcome.theta)}


SPREAD = sweep_engine.Observable(
    columns=(
        sweep_engine.Column("spread", "float32", "", "largest output less the smallest"),
        sweep_engine.Column("theta_norm", "float32", "", "|theta|"),
    ),
    compute=spread,
)


def sweep(**changes):
    content = {
        "name": "own",
        "task": Wave(frequency=1.0),
        "model": Bump(bumps=3),
        "accept": {"train_loss": 0.2},
        "sources": {
            "gd": {
                "kind": "train",
                "init": {"kind": "gaussian", "std": 1.0},
                "optimizer": {"kind": "adam", "learning_rate": 0.05},
                "stop": {"max_steps": 150},
                "runs": 110,
            },
            "init": {"kind": "prior", "law": {"kind": "gaussian", "std": 1.0}, "draws": 130},
        },
        "observables": [SPREAD],
        "compare": [{"source": "gd", "reference": "init", "observable": "spread"}],
        "execution": {"lanes": 16},
    }
    return sweep_engine.Sweep(**(content | changes))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("own") / "out"
    assert sweep_engine.run(sweep(), out).is_complete
    return out


def test_the_rows_are_those_of_the_users_objects(out):
    """Recomputed in NumPy from the stored parameters."""
    results, task = sweep_engine.open_results(out), Wave(frequency=1.0).load(0)
    rows = {row["run_id"]: row for row in results.runs().to_pylist()}
    assert len(rows) == 240
    (params,) = results.params("gd")
    for run_id, theta in zip(params.run_id, params.theta.astype(float), strict=True):
        centres, heights = theta[:3], theta[3:]
        outputs = np.exp(-((task.train.x - centres) ** 2)) @ heights
        gap = np.abs(outputs - task.train.y)
        loss = np.where(gap < 1, 0.5 * gap**2, gap - 0.5).mean()
        row = rows[run_id]
        assert row["spread"] == pytest.approx(np.ptp(outputs), rel=1e-4, abs=1e-5)
        assert row["theta_norm"] == pytest.approx(np.linalg.norm(theta), rel=1e-5)
        assert row["train_loss"] == pytest.approx(loss, rel=1e-4, abs=1e-5)
        assert row["fit"] == (row["train_loss"] <= np.float32(0.2))
    assert any(row["fit"] for row in rows.values()), "nothing was learnt"


def test_the_columns_describe_themselves(out):
    field = sweep_engine.open_results(out).table("runs").schema.field("spread")
    assert field.metadata[b"meaning"] == b"largest output less the smallest"


def test_resumes_from_python(out):
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    summary = sweep_engine.run(sweep(), out)
    assert (summary.computed, summary.is_complete) == (0, True)
    assert {path: path.read_bytes() for path in out.rglob("*.parquet")} == before


@pytest.mark.parametrize(
    "change",
    [
        {"task": Wave(frequency=2.0)},
        {"model": Bump(bumps=4)},
        {"model": Bump(bumps=3, scale=0.5)},
    ],
    ids=["task", "bumps", "scale"],
)
def test_objects_with_other_fields_are_another_sweep(out, change):
    with pytest.raises(sweep_engine.SweepEngineError, match="another"):
        sweep_engine.run(sweep(**change), out)


def test_every_field_of_an_observable_is_described():
    """Its columns' names above all: equal descriptions must mean equal objects."""
    column = dataclasses.replace(SPREAD.columns[0], name="range")
    renamed = dataclasses.replace(SPREAD, columns=(column, SPREAD.columns[1]))
    one, other = (sweep(observables=[o], compare=[]).model_dump() for o in (SPREAD, renamed))
    assert one["observables"] != other["observables"]


def test_fields_of_the_objects_are_in_the_manifest_and_no_code(out):
    stored = json.loads((out / "sweep.json").read_text())["sweep"]
    assert stored["model"]["target"].endswith(":Bump")
    assert stored["model"]["fields"] == {"bumps": 3, "scale": 1.0}
    assert stored["task"]["fields"] == dataclasses.asdict(Wave(frequency=1.0))


def test_compare_from_python(out):
    estimate = sweep_engine.compare(out, "gd", "init", "spread")
    assert (estimate.num_source, estimate.num_reference) == (110, 130)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@dataclass(frozen=True)
class Spreads:
    """What the user's estimator saw."""

    ratio: float
    sides: tuple[float, float]

    def at(self, confidence):
        found = sweep_engine.Estimate(
            name="spread_ratio", value=self.ratio, low=0.9 * self.ratio, high=1.1 * self.ratio,
            confidence=confidence, num_source=int(self.sides[0]), n_eff_source=self.sides[0],
            num_reference=int(self.sides[1]), n_eff_reference=self.sides[1], unit="1",
            method="ratio of standard deviations",
        )  # fmt: skip
        return (found,)


class SpreadRatio(densities.Estimator):
    """A user's own estimator: the ratio of two standard deviations."""

    name = "spread_ratio"
    takes = densities.Takes.ONE_COLUMN
    trust = densities.Trust(name, 10)
    quantities = (
        densities.Quantity(
            "spread_ratio",
            "The source's values spread {0.value:.2f} times.".format,
            table=densities.Table.HEADLINES,
        ),
    )

    def look(self, source, reference, seed):
        return Spreads(
            source.values.std() / reference.values.std(), (source.n_eff, reference.n_eff)
        )


def test_an_estimator_of_ones_own(out, added):
    found = sweep_engine.compare(out, "gd", "init", "spread", estimator=SpreadRatio())
    runs = {name: sweep_engine.open_results(out).runs(["spread"], pc.field("source") == name)
            for name in ("gd", "init")}  # fmt: skip
    gd, init = (np.std(runs[name]["spread"].to_numpy()) for name in ("gd", "init"))
    assert found.value == pytest.approx(gd / init)
    assert f"spread {found.value:.2f} times" in densities.registry.QUANTITIES[found.name].says(
        found
    )
    assert {each.estimate.name for each in found.answer.compared} >= {"spread_ratio"}


@pytest.fixture
def added(monkeypatch):
    """The user's estimator is known by its name, until the test ends."""
    monkeypatch.setattr(registry, "_OWN", {})
    before = dict(registry.QUANTITIES)
    sweep_engine.add_estimator(SpreadRatio())
    yield
    registry.QUANTITIES.clear()
    registry.QUANTITIES.update(before)
    OWN_ESTIMATORS.discard("spread_ratio")


def test_a_sweep_names_an_estimator_of_ones_own(out, added, tmp_path, command, monkeypatch):
    """It answers where the process knows it; elsewhere the reason is given, and nothing else."""
    asked = {"source": "gd", "reference": "init", "observable": "spread"}
    named = sweep(compare=[asked | {"estimator": "spread_ratio"}, asked | {"estimator": "ks"}])
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    assert sweep_engine.run(named, tmp_path).computed == 0
    alone = sweep_engine.compare(tmp_path, "gd", "init", "spread", estimator="spread_ratio")
    (found,) = (each.estimate for each in densities.compare_all(densities.Study.open(tmp_path))[0]
                if each.estimate.name == "spread_ratio")  # fmt: skip
    assert found.value == alone.value
    says = f"spread {found.value:.2f} times"
    assert says in Path(sweep_engine.write_report(tmp_path)).read_text()

    monkeypatch.setattr(registry, "_OWN", {})
    OWN_ESTIMATORS.discard("spread_ratio")
    page = Path(sweep_engine.write_report(tmp_path)).read_text()
    assert says not in page
    assert "give it to sweep_engine.add_estimator" in page
    code, printed, err = command("compare", tmp_path)
    assert code == 0, "the other comparison was answered"
    assert "'spread_ratio' is an estimator of a user's own" in printed + err
    with pytest.raises(ValidationError, match="'median'"):
        sweep(compare=[asked | {"estimator": "spread_ratio"}])


def test_an_estimator_given_again_takes_the_place_of_the_old(out, added):
    """As when a cell of a notebook is run again; its words may be others."""
    words = densities.Quantity("spread_ratio", "{0.value:.1f} times as wide.".format)
    again = type("Again", (SpreadRatio,), {"quantities": (words,)})()
    sweep_engine.add_estimator(again)
    assert registry.estimator_of("spread_ratio") is again
    assert registry.QUANTITIES["spread_ratio"] == words


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"name": "ks"}, "the engine's own"), ({"quantities": KolmogorovSmirnov.quantities}, None)],
)
def test_an_estimator_takes_no_others_name(out, added, changes, message):
    """That of an estimate may be used again by the same words, and not by others."""
    if message is None:
        other = dataclasses.replace(changes["quantities"][0], says="Something else.".format)
        changes, message = {"quantities": (other,)}, "another's"
    mine = type("Mine", (SpreadRatio,), changes)
    with pytest.raises(ValueError, match=message):
        sweep_engine.compare(out, "gd", "init", "spread", estimator=mine())


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["sweep-engine", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return call


@pytest.mark.parametrize("words", ["status", "verify", "compare", "report", "compact"])
def test_commands_read_the_directory_without_the_users_code(out, command, words):
    code, _, err = command(words, out)
    assert code == 0, err


def test_status(out, command):
    _, printed, _ = command("status", out, "--json")
    assert json.loads(printed)["complete"]


def test_show_needs_no_network(out, command):
    results = sweep_engine.open_results(out)
    run_id = results.runs(["run_id"], pc.field("source") == "gd")["run_id"][0].as_py()
    code, printed, err = command("show", out, run_id)
    assert code == 0, err
    assert "theta_norm" in printed


def test_retry_says_that_it_must_be_run_from_python(out, command, tmp_path):
    """Where something failed; of what is complete nothing has to be run."""
    assert command("retry", out)[0] == 0
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    (shard, *_) = sweep_engine.open_results(out).ledger.shards
    (tmp_path / "ledger" / f"{shard}.json").unlink()
    record_failure(LocalFiles(tmp_path), shard, 3, "out of luck")
    code, _, err = command("retry", tmp_path)
    assert code == 2
    assert "Python" in err, err


@pytest.mark.parametrize("what", ["task", "model", "observable"])
def test_a_file_cannot_name_an_object(out, command, tmp_path, what):
    """Neither by hand, nor by taking the description in sweep.json for a sweep file."""
    stored = json.loads((out / "sweep.json").read_text())["sweep"]
    content = {
        "name": "own",
        "task": {"kind": "boolean", "bits": 3, "train": 4},
        "model": {"kind": "linear"},
        "sources": {"init": {"kind": "prior", "draws": 9}},
    }
    key = {"observable": "observables"}.get(what, what)
    spec, target = tmp_path / "own.yaml", tmp_path / "out"
    spec.write_text(json.dumps(content | {key: stored[key]}))
    code, _, err = command("run", spec, "--out", target)
    assert code == 2
    assert "in Python only" in err
    assert not target.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": object()}, "dataclass"),
        ({"model": Bump}, "dataclass"),
        ({"observables": [lambda outcome: {}]}, "dataclass"),
    ],
)
def test_other_objects_are_refused_at_once(change, says):
    with pytest.raises((ValidationError, sweep_engine.SweepEngineError), match=says):
        sweep(**change)


@dataclass(frozen=True)
class NoTask:
    """Its `load` returns something else."""

    def load(self, seed: int) -> int:
        return seed


class TwoOutputs(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": NoTask()}, "make_task"),
        ({"model": TwoOutputs()}, "outputs of shape"),
        ({"observables": [NoTask()], "compare": []}, "Observable"),
        ({"accept": {"max_residual": 0.1}}, "squared-error"),
        ({"observables": ["margin"], "compare": []}, "needs a task with labels"),
    ],
    ids=["task", "model", "observable", "rule", "needs"],
)
def test_objects_that_do_not_fit_are_refused_before_anything_runs(tmp_path, change, says):
    with pytest.raises(sweep_engine.SweepEngineError, match=says):
        sweep_engine.run(sweep(**change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def wrong(outcome: sweep_engine.Outcome):
    return {"spread": outcome.nothing}


def test_an_observable_that_raises_fails_its_shards_and_says_why(tmp_path):
    broken = sweep_engine.Observable(columns=SPREAD.columns[:1], compute=wrong)
    out = tmp_path / "out"
    summary = sweep_engine.run(sweep(observables=[broken], compare=[]), out)
    assert (summary.done, summary.failed) == (0, 2)
    for path in (out / "failed").iterdir():
        error = json.loads(path.read_text())["error"]
        assert "AttributeError" in error
        assert "wrong" in error
