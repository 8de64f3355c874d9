"""Test who moves the particles of a bucket: what the kernel does not know, and what is frozen."""

import pytest

from sweep_engine.errors import Interrupted, SpecError
from sweep_engine.execution import run
from sweep_engine.execution.programs import choosing
from sweep_engine.execution.programs.choosing import choose, expect
from sweep_engine.execution.programs.programs import Programs
from sweep_engine.execution.programs.trials import Pace
from sweep_engine.lanes import for_platform
from sweep_engine.planning import plan
from sweep_engine.sources import open_source
from sweep_engine.spec import Sweep, settings
from sweep_engine.spec.sources import sizes
from sweep_engine.store import OutputDirectory, open_results
from sweep_engine.store.manifest import Choice, read_manifest
from tests.kernels.compilers import needs_compiler

RARE = {"kind": "splitting", "particles": 32, "moves": 3, "repetitions": 3}
TASK = {"kind": "boolean", "bits": 3, "target": "x1 & x2", "train": 8}
MODEL = {"kind": "mlp", "widths": [4], "activation": "relu"}

pytestmark = pytest.mark.filterwarnings(
    "ignore::sweep_engine.sources.splitting.estimate.AncestorsCollapsed"
)


def sweep(implementation="auto", source=RARE, **changes):
    fields = {"name": "rare", "seed": 5, "task": TASK, "model": MODEL}
    execution = {"implementation": implementation, "lanes": 16} | changes.pop("execution", {})
    return Sweep.model_validate(
        fields | {"sources": {"rare": source}, "execution": execution} | changes
    )


def make_worth_it(patch):
    """Let trials last, XLA have been timed, and the kernel win."""
    patch.setattr(choosing, "TRIAL_SHARE", 1e9)
    patch.setattr(choosing, "pace_of", lambda *_: Pace(1.0, 1.0, 16))
    patch.setattr(choosing, "race", lambda *_: [2.0, 1.0])


def opened(*given, **changes):
    one = sweep(*given, **changes)
    (setting,) = settings(one)
    return open_source(setting, one.seed, one.folder, one.observables, one.execution), [setting]


UNKNOWN = {
    "the law laplace": {"source": RARE | {"law": {"kind": "laplace"}}},
    "the law sphere": {"source": RARE | {"law": {"kind": "sphere", "radius": 3.0}}},
    "the law constant, of which nothing is random": {
        "source": RARE | {"law": {"kind": "constant", "value": 1.0}}
    },
    "the activation sin": {"model": MODEL | {"activation": "sin"}},
    "the acceptance rule train_loss": {"accept": {"train_loss": 0.1}},
    "precision fast": {"execution": {"precision": "fast"}},
}  # fmt: skip


@pytest.mark.parametrize(("what", "change"), UNKNOWN.items(), ids=UNKNOWN)
def test_what_the_kernel_does_not_know_keeps_xla_and_is_refused_by_name(what, change):
    found = expect(*opened(**change))
    assert found.name == "xla"
    assert what in found.reason
    with pytest.raises(SpecError, match="sources.rare: the cpu kernel does not know .*" + what):
        Programs(plan(sweep("cpu", **change))).open_all()


def test_little_work_is_left_to_xla_and_much_is_raced():
    assert expect(*opened()).reason.startswith("too little work")
    assert expect(*opened(source=RARE | {"repetitions": 10**5})).name == "auto"


def test_other_kernels_have_no_moves():
    assert expect(*opened("cuda")) == Choice("xla", "there is no cuda kernel of moves")
    with for_platform("gpu"):
        assert expect(*opened()) == Choice("xla", "there is no kernel of moves for gpu")


@needs_compiler
def test_by_name_and_by_auto_the_kernel_is_tested_and_taken(monkeypatch):
    named, _ = choose(*opened("cpu"), threads=1, should_stop=lambda: False)
    assert named.reason.startswith("asked for; agreed with XLA in all but ")
    make_worth_it(monkeypatch)
    monkeypatch.setattr(choosing, "self_test", lambda *_: "agreed")
    found, programs = choose(*opened(), threads=1, should_stop=lambda: False)
    assert found.name == programs.implementation == "cpu"
    assert found.reason.endswith("2 moves per processor-second against 1 by XLA")


def chosen(out):
    (choice,) = read_manifest(OutputDirectory(out)).frozen.implementation.values()
    return choice.name


def rows(out):
    """Read all tables, but for the bucket's name: it tells which implementation is asked for."""
    results = open_results(out)
    (params,) = results.params("rare")
    theta = dict(zip(params.run_id.tolist(), map(bytes, params.theta), strict=True))
    tables = [table.drop_columns("bucket") for table in (results.runs(), results.tallies())]
    return [sorted(map(repr, table.to_pylist())) for table in tables], theta


@needs_compiler
def test_a_choice_is_frozen_and_a_resume_gives_the_same_bits(tmp_path, monkeypatch):
    """Stop after a repetition, and gone on with where nobody may test or race again."""
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", RARE["particles"])
    many = sweep(source=RARE | {"repetitions": 12})
    make_worth_it(monkeypatch)
    assert run(many, tmp_path / "whole").is_complete
    resumed = tmp_path / "resumed"
    with pytest.raises(Interrupted):
        run(many, resumed, should_stop=lambda: len(list(resumed.glob("ledger/*"))) > 0)
    assert 0 < len(list(resumed.glob("ledger/*.json"))) < 12
    monkeypatch.setattr(choosing, "race", None)
    monkeypatch.setattr(choosing, "self_test", None)
    assert run(many, resumed).is_complete
    assert chosen(resumed) == "cpu"
    assert rows(resumed) == rows(tmp_path / "whole")


@needs_compiler
def test_a_folder_that_xla_began_stays_xlas(tmp_path, monkeypatch):
    """Begin as all did before there was a kernel: what is added is XLA's too."""
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", RARE["particles"])
    few = RARE | {"repetitions": 1}
    assert run(sweep(source=few), tmp_path / "out").is_complete
    before = rows(tmp_path / "out")
    make_worth_it(monkeypatch)
    assert run(sweep(source=RARE | {"repetitions": 2}), tmp_path / "out").is_complete
    assert chosen(tmp_path / "out") == "xla"
    assert run(sweep("xla", RARE | {"repetitions": 2}), tmp_path / "xla").is_complete
    after = rows(tmp_path / "out")
    assert after == rows(tmp_path / "xla")
    assert before[1].items() < after[1].items()
