"""The command line: every command on a tiny sweep, its exit codes, and bad input at the door."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from sweep_engine import cli
from sweep_engine.densities import Estimator
from sweep_engine.execution import Programs
from sweep_engine.execution.programs.kept import KEPT
from sweep_engine.lanes import Program
from sweep_engine.store import OutputDirectory, open_results
from tests.shell import call

COMPLETE, FAILED, BAD_INPUT = 0, 1, 2

BOOLEAN = """\
name: tiny
seed: 1
task: {kind: boolean, bits: 3, target: x1, train: 4}
model: {kind: mlp, widths: [4], activation: tanh}
accept: {train_error: 0.0}
sources:
  sgd:
    kind: train
    init: {kind: gaussian, std: 1.0}
    optimizer: {kind: sgd, learning_rate: 0.5}
    stop: {max_steps: 200}
    runs: 120
  guess: {kind: guess_and_check, law: {kind: gaussian, std: 1.0}, accepted: 110, max_draws: 9000}
  init: {kind: prior, law: {kind: gaussian, std: 1.0}, draws: 300, keep: 150}
observables: [norms, function]
execution: {lanes: 16}
compare:
  - {source: sgd, reference: guess, observable: function, given: fit}
  - {source: sgd, reference: init, observable: l2_norm}
"""

FACTORISATION = """\
name: curve
seed: 1
task: {kind: factorisation, target: 1.0}
model: {kind: scalar_factorisation}
accept: {max_residual: 0.5}
sources:
  gd:
    kind: train
    init: {kind: gaussian, std: 1.0}
    optimizer: {kind: sgd, learning_rate: 0.05}
    stop: {max_steps: 100}
    runs: 6
  box: {kind: prior, law: {kind: box, half_width: 2.0}, draws: 8}
observables: [balance]
execution: {lanes: 4}
"""


def strict_json(text):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def contents(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", params=[BOOLEAN, FACTORISATION], ids=["boolean", "factorisation"])
def ran(request, tmp_path_factory):
    """A sweep file and the directory of its complete run."""
    folder = tmp_path_factory.mktemp("cli")
    spec, out = folder / "tiny.yaml", folder / "out"
    spec.write_text(request.param)
    ended = call("run", spec, "--out", out)
    assert ended.code == COMPLETE, ended.err
    assert "0 failed, 0 missing" in ended.out
    return spec, out


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(FACTORISATION)
    return path


@pytest.fixture
def copied(ran, tmp_path):
    """A sweep file and a directory of its run that may be changed."""
    return ran[0], shutil.copytree(ran[1], tmp_path / "out")


@pytest.fixture
def complete_factorisation(spec, tmp_path):
    """The small sweep file and the directory of its complete run, both to be changed."""
    out = tmp_path / "out"
    assert call("run", spec, "--out", out).code == COMPLETE
    return spec, out


# --- every command ------------------------------------------------------------------------


def test_plan_writes_nothing(ran, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    spec, _ = ran
    before = set(spec.parent.iterdir())
    text, data = call("plan", spec), call("plan", spec, "--json")
    assert text.code == data.code == COMPLETE
    assert "Nothing was run" in text.out
    assert "Times are reckoned" in text.out
    planned = strict_json(data.out)
    start, work = planned["start"], sum(bucket["seconds"] for bucket in planned["by_bucket"])
    assert f"To compile {start['programs']} programs takes" in text.out
    parts = work + start["compile_seconds"] + start["trial_seconds"]
    assert planned["seconds_at_most"] == pytest.approx(parts)
    assert not planned["is_measured"]
    sources = yaml.safe_load(spec.read_text())["sources"]
    asked = [next(s[k] for k in ("runs", "draws", "max_draws") if k in s) for s in sources.values()]
    assert planned["runs"] == sum(asked) == sum(b["runs"] for b in planned["by_bucket"])
    assert set(spec.parent.iterdir()) == before
    assert not list(tmp_path.iterdir())


def test_plan_compiles_and_times_where_that_is_asked(ran):
    spec, _ = ran
    KEPT.clear()
    before = Program.num_compilations
    assert "Times are measured" in call("plan", spec, "--measure").out
    assert Program.num_compilations > before


def test_plan_says_how_many_kernels_the_first_run_tries(ran, monkeypatch):
    spec, _ = ran
    monkeypatch.setattr(Programs, "undecided", lambda self: 2 * [tuple(self.plan.buckets)])
    said = call("plan", spec).out
    assert "2 trials, which the first run makes" in said


def test_the_second_run_does_nothing(ran):
    spec, out = ran
    before = contents(out)
    ended = call("run", spec, "--out", out)
    assert ended.code == COMPLETE
    assert "(0 now" in ended.out
    assert contents(out) == before


def test_status(ran):
    _, out = ran
    found = strict_json(call("status", out, "--json").out)
    runs = open_results(out).runs(["source", "fit"])
    assert found["complete"]
    assert found["failed"] == found["missing"] == 0
    assert sum(source["rows"] for source in found["sources"].values()) == len(runs)
    text = call("status", out)
    assert text.code == COMPLETE
    assert f"{found['done']} of {found['needed']} shards done" in text.out
    assert "complete" in text.out


def test_verify_compact_verify(ran):
    _, out = ran
    rows = open_results(out).runs().sort_by("run_id")
    assert call("verify", out).code == COMPLETE
    assert call("compact", out).code == COMPLETE
    assert call("compact", out).out.strip() == "nothing to merge"
    assert call("verify", out).code == COMPLETE
    assert open_results(out).runs().sort_by("run_id").equals(rows)


def test_verify_names_an_altered_file(tmp_path, spec):
    out = tmp_path / "out"
    assert call("run", spec, "--out", out).code == COMPLETE
    victim = sorted(out.glob("runs/**/*.parquet"))[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    ended = call("verify", out)
    assert ended.code == FAILED
    assert victim.name in ended.err


def test_the_sweep_file_is_known_by_its_checksum_until_another_is_given(tmp_path, spec):
    """By `run` alone: what else writes `sweep.json` keeps the checksum."""
    out = tmp_path / "out"
    assert call("run", spec, "--out", out).code == COMPLETE
    assert call("observe", out, "distance").code == COMPLETE
    assert call("verify", out).code == COMPLETE
    kept = out / "sweep.yaml"
    kept.write_bytes(kept.read_bytes() + b"# a comment\n")
    ended = call("verify", out)
    assert ended.code == FAILED
    assert ended.err.startswith("sweep.yaml: is not the one that the last run was given")
    assert call("retry", out).code == COMPLETE
    assert call("verify", out).code == FAILED, "nobody gave it another"
    assert call("run", spec, "--out", out).code == COMPLETE
    assert call("verify", out).code == COMPLETE


def test_compare(ran):
    spec, out = ran
    ended = call("compare", out, "--json")
    assert ended.code == COMPLETE
    found = strict_json(ended.out)
    assert found["refused"] == []
    asked = yaml.safe_load(spec.read_text()).get("compare", [])
    assert {row["observable"] for row in found["estimates"]} == {c["observable"] for c in asked}
    assert pq.read_metadata(out / "comparisons.parquet").num_rows == len(found["estimates"])
    text = call("compare", out)
    assert text.code == COMPLETE
    assert bool(asked) == ("nothing to compare" not in text.out)


def test_a_run_that_completes_a_sweep_ends_with_the_sentences_that_compare_begins_with(
    copied, monkeypatch
):
    spec, out = copied
    num = len(yaml.safe_load(spec.read_text()).get("compare", []))
    sentences = call("compare", out).out.splitlines()[:num]

    def completed():
        (shard, *_) = open_results(out).ledger.shards
        (out / "ledger" / f"{shard}.json").unlink()
        ended = call("run", spec, "--out", out)
        assert ended.code == COMPLETE
        return ended.out.splitlines()

    summary, *said, last = completed()
    assert "0 missing" in summary
    assert last == f"next: sweep-engine report {out}"
    if not num:
        assert not said
        return
    assert said == [*sentences, f"the numbers: sweep-engine compare {out}"]
    assert sentences[0].startswith("1. ")
    monkeypatch.setattr(cli, "MAX_SENTENCES", num - 1)
    assert "and 1 more comparison" in completed()
    monkeypatch.setattr(Estimator, "seconds", 1e4)
    said = completed()
    assert said[1].endswith(f"or so: sweep-engine compare {out}")
    assert sentences[0] not in said


def test_a_run_that_finds_all_done_says_where_the_answer_is(ran):
    spec, out = ran
    said = call("run", spec, "--out", out).out.splitlines()
    asked = "compare" in yaml.safe_load(spec.read_text())
    assert said[1:-1] == ([f"its answer: sweep-engine compare {out}"] if asked else [])


def test_report(ran):
    _, out = ran
    ended = call("report", out)
    assert ended.code == COMPLETE
    assert ended.out.strip() == str(out / "report.html")
    assert "<html" in (out / "report.html").read_text()
    pictures = {path.suffix: path for path in (out / "figures").iterdir()}
    assert pictures[".png"].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in pictures[".svg"].read_text()


def test_show(ran):
    _, out = ran
    row = open_results(out).runs(["run_id", "steps", "source"]).sort_by("run_id").to_pylist()[0]
    found = strict_json(call("show", out, row["run_id"], "--json").out)
    assert found["row"]["run_id"] == row["run_id"]
    assert found["setting"]["source"] == row["source"]
    text = call("show", out, row["run_id"])
    assert text.code == COMPLETE
    assert "stored parameters: step" in text.out
    assert call("show", out, 7).code == BAD_INPUT


def test_observe(copied):
    spec, out = copied
    volume = "{kind: volume_exponent, draws: 100, quantile: 0.1}"
    ended = call("observe", out, "distance", volume)
    assert ended.code == COMPLETE, ended.err
    assert "files observed" in ended.out
    table = open_results(out).runs()
    assert {"distance_from_init", "volume_exponent"} <= set(table.column_names)
    assert call("observe", out).out.startswith("0 rows in 0 files")
    assert call("verify", out).code == COMPLETE
    again = call("run", spec, "--out", out)
    assert (again.code, "(0 now" in again.out) == (COMPLETE, True)
    for wrong in ("distanc", "{kind: local_volume, cost: x}", "confidence, norms", "{kind"):
        assert call("observe", out, wrong).code == BAD_INPUT


def test_schema():
    assert strict_json(call("schema").out)["properties"].keys() >= {"task", "sources", "axes"}


def test_retry_of_a_complete_run_does_nothing(ran):
    _, out = ran
    before = contents(out)
    ended = call("retry", out)
    assert ended.code == COMPLETE
    assert "(0 now" in ended.out
    assert contents(out) == before


def test_data_beside_the_sweep_file(tmp_path):
    """`retry` and `show` find the data file as well, though they are given the results only."""
    spec, out = tmp_path / "tiny.yaml", tmp_path / "out"
    x = np.linspace(-1, 1, 6)[:, None]
    np.savez(tmp_path / "data.npz", x=x, y=2 * x[:, 0])
    text = FACTORISATION.replace(
        "{kind: factorisation, target: 1.0}",
        "{kind: file, path: data.npz, train: 4, loss: squared}",
    )
    spec.write_text(text)
    ended = call("run", spec, "--out", out)
    assert ended.code == COMPLETE, ended.err
    run_id = open_results(out).runs(["run_id"])["run_id"][0].as_py()
    for words in (["status", out], ["retry", out], ["report", out], ["show", out, run_id]):
        ended = call(*words)
        assert ended.code == COMPLETE, f"{words[0]}: {ended.err}"


def test_labels_of_a_data_file_are_said_and_stored(tmp_path):
    spec, out = tmp_path / "tiny.yaml", tmp_path / "out"
    x = np.random.default_rng(0).normal(size=(12, 3))
    np.savez(tmp_path / "data.npz", x=x, y=5 + 200 * (np.arange(12) % 2))
    task = "{kind: file, path: data.npz, train: 4}"
    spec.write_text(BOOLEAN.replace("{kind: boolean, bits: 3, target: x1, train: 4}", task))
    said = " ".join(call("plan", spec).out.split())
    assert "Labels of the data file as classes: 5 is 0, 205 is 1." in said
    assert call("run", spec, "--out", out).code == COMPLETE
    files = list((out / "runs").rglob("*.parquet"))
    stored = [json.loads(pq.read_schema(f).metadata[b"sweep_engine"])["labels"] for f in files]
    assert files
    assert stored == [[5, 205]] * len(files)


def test_resumes_after_the_loss_of_a_shard_that_was_not_committed(tmp_path, spec):
    """Only the ledger says what is done: without its entry a shard runs again, to the same rows."""
    out = tmp_path / "out"
    call("run", spec, "--out", out)
    rows = open_results(out).runs().sort_by("run_id")
    sorted((out / "ledger").iterdir())[0].unlink()
    status = strict_json(call("status", out, "--json").out)
    assert (status["missing"], status["complete"]) == (1, False)
    assert "(1 now" in call("run", spec, "--out", out).out
    assert open_results(out).runs().sort_by("run_id").equals(rows)


@pytest.mark.parametrize("command", ["status", "verify", "compact", "compare", "report", "retry"])
def test_a_directory_without_results_is_refused_and_left_alone(tmp_path, command):
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "absent"):
        ended = call(command, folder)
        assert ended.code == BAD_INPUT
        assert str(folder) in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


# --- quick to start -----------------------------------------------------------------------

CHECK_IMPORTS = "assert not {'jax', 'ray', 'flax', 'pyarrow'} & set(sys.modules), 'imported'"


@pytest.mark.parametrize(
    "program",
    [
        "import sys, sweep_engine",
        "import sys; sys.argv = ['sweep-engine', '--help']\n"
        "from sweep_engine.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code",
    ],
    ids=["package", "help"],
)
def test_imports_neither_jax_nor_ray(program):
    code = f"{program}\n{CHECK_IMPORTS}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


COMPUTING = {"jax", "flax", "optax", "blackjax", "ray", "torch"}
ANALYSIS = {"scipy", "sklearn", "pandas", "matplotlib", "plotly"}
LIGHT = [
    # command, and what it has no need of
    ("run {spec} --out {out}", COMPUTING | ANALYSIS),
    ("status {out}", COMPUTING | ANALYSIS),
    ("verify {out}", COMPUTING | ANALYSIS - {"pandas"}),
    ("explain task.boolean.bits", COMPUTING | ANALYSIS | {"pyarrow"}),
    ("compare {out}", COMPUTING | {"sklearn", "matplotlib", "plotly"}),
]
CALL = """\
import sys
from sweep_engine.cli import main
sys.argv = ["sweep-engine", *sys.argv[1:]]
try: main()
except SystemExit as end: assert not end.code
print("imported:", *sys.modules)
"""


def test_a_command_imports_what_it_needs(complete_factorisation):
    spec, out = complete_factorisation
    question = "{source: gd, reference: box, observable: balance_u}"
    spec.write_text(f"{FACTORISATION}compare: [{question}]\n")
    assert call("run", spec, "--out", out).code == COMPLETE  # opened once for the new question
    for command, heavy in LIGHT:
        words = command.format(spec=spec, out=out).split()
        ended = subprocess.run(
            [sys.executable, "-c", CALL, *words], check=True, capture_output=True, text=True
        )
        _, said = ended.stdout.split("imported:")
        imported = set(said.split())
        assert "typer" in imported  # a list of nothing would say nothing
        assert not heavy & imported, command


def test_a_complete_sweep_is_checked_once_more_where_it_changed(complete_factorisation):
    spec, out = complete_factorisation
    before = contents(out)
    asked = {
        "boks": "reference: boks, observable: balance_u",
        "no_such": "reference: box, observable: no_such",
    }
    for unknown, wrong in asked.items():
        spec.write_text(f"{FACTORISATION}compare:\n  - {{source: gd, {wrong}}}\n")
        ended = call("run", spec, "--out", out)
        assert ended.code == BAD_INPUT
        assert f"'{unknown}'" in ended.err
        assert contents(out) == before


# --- bad input ----------------------------------------------------------------------------

RATE = "learning_rate: 0.05"
CASES = {
    # name: (what to replace, by what, where the message points, what it says)
    "wrong key": ("runs: 6", "rums: 6", "rums", "did you mean 'runs'"),
    "wrong type": ("max_steps: 100", "max_steps: soon", "soon", "int"),
    "zero runs": ("runs: 6", "runs: 0", "0\n  box", "greater than"),
    "NaN": (RATE, "learning_rate: .nan", ".nan", "finite"),
    "path as a name": ("name: curve", "name: ../curve", "../curve", "name"),
    "distribution on a static field": (
        "execution:",
        "axes: {sources.gd.stop.extra_steps: {uniform: [0, 5], points: 3}}\nexecution:",
        "{uniform",
        "static",
    ),
    "unknown axis": (
        "execution:",
        "axes: {sources.gd.optimizer.learning_rat: [0.1]}\nexecution:",
        "[0.1]",
        "did you mean 'learning_rate'",
    ),
    "data file that is not there": (
        "{kind: factorisation, target: 1.0}",
        "{kind: file, path: no.npz, train: 5}",
        "no.npz",
        "cannot read",
    ),
    "observable that does not fit the task": (
        "observables: [balance]",
        "observables: [margin]",
        None,
        "needs a task with labels",
    ),
    "acceptance rule that does not fit the loss": (
        "{max_residual: 0.5}",
        "{train_error: 0.0}",
        None,
        "give max_residual, train_loss or loss",
    ),
    "minibatch larger than the training set": (
        "    runs: 6",
        "    batch_size: 50\n    runs: 6",
        None,
        "batch_size",
    ),
    "comparison with an unknown source": (
        "execution:",
        "compare: [{source: gd, reference: boxx, observable: balance_u}]\nexecution:",
        None,
        "boxx",
    ),
    "comparison of an unknown column": (
        "execution:",
        "compare: [{source: gd, reference: box, observable: ballance_u}]\nexecution:",
        None,
        "ballance_u",
    ),
    "comparison of functions where outputs are not discrete": (
        "execution:",
        "compare: [{source: gd, reference: box, observable: function}]\nexecution:",
        None,
        "function",
    ),
    "comparison by an axis that is not swept": (
        "execution:",
        "compare: [{source: gd, reference: box, observable: balance_u, by: model.wide}]\n"
        "execution:",
        None,
        "model.wide",
    ),
    "comparison of sources with different acceptance rules": (
        "draws: 8}",
        "draws: 8, accept: {max_residual: 0.1}}\n"
        "compare: [{source: gd, reference: box, observable: balance_u, given: fit}]",
        None,
        "different acceptance rules",
    ),
}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(("old", "new", "at", "says"), CASES.values(), ids=CASES)
def test_bad_sweep_file(tmp_path, spec, command, old, new, at, says):
    """Exit code 2, where and what; and nothing is written."""
    assert FACTORISATION.count(old) == 1
    text = FACTORISATION.replace(old, new)
    spec.write_text(text)
    out = tmp_path / "out"
    ended = call("run", spec, "--out", out) if command == "run" else call("plan", spec)
    assert ended.code == BAD_INPUT, ended.out
    assert says in ended.err
    assert list(tmp_path.iterdir()) == [spec], "something was written"
    if at is not None:
        before = text[: text.index(at)].split("\n")
        assert f"tiny.yaml:{len(before)}:{len(before[-1]) + 1}:" in ended.err


def test_sweep_file_that_is_not_there(tmp_path):
    ended = call("run", tmp_path / "absent.yaml", "--out", tmp_path / "out")
    assert ended.code == BAD_INPUT
    assert "absent.yaml" in ended.err
    assert not list(tmp_path.iterdir())


def test_sweep_file_that_is_a_folder_or_bytes(tmp_path):
    (tmp_path / "noise.yaml").write_bytes(b"\xff\xfe\x00name")
    for path in (tmp_path, tmp_path / "noise.yaml"):
        ended = call("run", path, "--out", tmp_path / "out")
        assert ended.code == BAD_INPUT
        assert path.name in ended.err
    assert not (tmp_path / "out").exists()


def test_too_little_disk(tmp_path, spec, monkeypatch):
    monkeypatch.setattr(OutputDirectory, "free_bytes", lambda _: 1000)
    ended = call("run", spec, "--out", tmp_path / "out")
    assert ended.code == BAD_INPUT
    assert "has 1 kB free" in ended.err
    assert "--out" in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seed: 1", "seed: 2", "another --out"),
        ("runs: 6", "runs: 5", "only grow"),
        ("draws: 8}", "draws: 7}", "only grow"),
        ("half_width: 2.0", "half_width: 3.0", "another --out"),
    ],
)
def test_directory_of_another_sweep(tmp_path, spec, old, new, says):
    out = tmp_path / "out"
    call("run", spec, "--out", out)
    before = contents(out)
    spec.write_text(FACTORISATION.replace(old, new))
    ended = call("run", spec, "--out", out)
    assert ended.code == BAD_INPUT
    assert says in ended.err
    assert contents(out) == before


def test_directory_of_something_else(tmp_path, spec):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    ended = call("run", spec, "--out", out)
    assert ended.code == BAD_INPUT
    assert str(out) in ended.err
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]


def test_unknown_option_and_missing_argument(spec):
    for words in (["run", spec, "--oot", "x"], ["run", spec], ["fly"], ["show", "x", "y"]):
        assert call(*words).code == BAD_INPUT


def test_plan_for_a_device_that_is_not_here(ran):
    spec, _ = ran
    text, data = call("plan", spec, "--for", "h200"), call("plan", spec, "--for", "V6E", "--json")
    assert text.code == data.code == COMPLETE
    assert "NVIDIA H200: 141 GB" in text.out
    needs = strict_json(data.out)["by_bucket"]
    document = yaml.safe_load(spec.read_text())
    assert {need["source"] for need in needs} == document["sources"].keys()
    lanes = document["execution"]["lanes"]
    assert all(need["fits"] and need["lanes"] == lanes for need in needs)
    wrong = call("plan", spec, "--for", "h300")
    assert wrong.code == BAD_INPUT
    assert "did you mean 'h200'?" in wrong.err.replace("h100", "h200")
