"""Each command meets a fault at its first, second, third... operation on the results, and goes on.

The same command again, without a fault, gives what it gives where there never was one.
"""

import errno
import itertools
import json
import shutil
from contextlib import contextmanager
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from sweep_engine import cli, stopping
from sweep_engine.spec.sources import sizes
from sweep_engine.stopping import SIGNALS, Stop
from sweep_engine.store import LocalFiles, open_results, read_ledger, record_failure, verify
from tests.shell import call

from .faulty import Crash, Fault, Saboteur, sabotage_system_calls

LAW = {"kind": "gaussian", "std": 1.0}
SWEEP = {
    "name": "faults",
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    "model": {"kind": "linear"},
    "accept": {"train_error": 0.0},
    "sources": {
        "wide": {"kind": "prior", "law": LAW, "draws": 256, "keep": "all"},
        "init": {"kind": "prior", "law": LAW | {"std": 0.5}, "draws": 256, "keep": "all"},
    },
    "observables": ["norms"],
    "compare": [{"source": "wide", "reference": "init", "observable": "l2_norm"}],
    "execution": {"lanes": 128},
}
COMMANDS = {
    "run": lambda spec, out: ["run", spec, "--out", out],
    "retry": lambda _, out: ["retry", out],
    "observe": lambda _, out: ["observe", out, "margin"],
    "compact": lambda _, out: ["compact", out],
    "compare": lambda _, out: ["compare", out],
    "report": lambda _, out: ["report", out],
}
GENTLE = ("run", "retry", "observe")
"""They end their work by themselves when they are asked to."""


class Refused(Saboteur):
    """The system refuses the Nth operation."""

    def _fail(self, operation, *args, **kwargs):
        raise OSError(getattr(errno, self.fault), self.fault)


class Killed(Saboteur):
    """The process is gone at the Nth operation."""

    def _fail(self, operation, *args, **kwargs):
        self.crashed = True
        raise Crash


class Signalled(Saboteur):
    """A signal comes at the Nth operation, which then is done if the process goes on."""

    stop = None

    def _fail(self, operation, *args, **kwargs):
        self.stop.heed(self.fault)
        return operation(*args, **kwargs)

    def end(self, code):
        self.crashed, self.code = True, code
        raise Crash


FAULTS = [
    *(lambda nth, name=name: Refused(name, nth) for name in ("ENOSPC", "EACCES", "EPIPE")),
    lambda nth: Killed(Fault.CRASH_BEFORE, nth),
    *(lambda nth, number=number: Signalled(number, nth) for number in SIGNALS),
]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Where each command begins, and how things look when it has ended well."""
    folder = tmp_path_factory.mktemp("begun")
    spec, done = folder / "sweep.yaml", folder / "done"
    spec.write_text(json.dumps(SWEEP))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "RUNS_PER_SHARD", 128)  # what is kept counts as runs
        assert call(*COMMANDS["run"](spec, done)).code == 0
        starts = dict.fromkeys(COMMANDS, done) | {"run": None, "retry": folder / "failed"}
        shutil.copytree(done, starts["retry"])
        fail_one(LocalFiles(starts["retry"]))
        ends = {}
        for name, words in COMMANDS.items():
            out = begin(starts[name], folder / f"end-{name}")
            assert call(*words(spec, out)).code == 0
            ends[name] = contents(out)
        yield SimpleNamespace(spec=spec, starts=starts, ends=ends)


def fail_one(files):
    name, entry = next(iter(read_ledger(files).shards.items()))
    for record in entry.files:
        files.remove(record.path)
    files.remove(f"ledger/{name}.json")
    record_failure(files, name, 3, "out of luck")


def begin(start, out):
    if start is not None:
        shutil.copytree(start, out)
    return out


def contents(out):
    """All that a reader sees."""
    comparisons, results = out / "comparisons.parquet", open_results(out)
    tables = [results.runs(), results.tallies(), results.table("params").read(["run_id", "theta"])]
    return (
        [sorted(map(repr, table.to_pylist())) for table in tables],
        pq.read_table(comparisons).to_pylist().__repr__() if comparisons.exists() else None,
        sorted(path.name for path in out.glob("figures/*")),
        (out / "report.html").exists(),
    )


@contextmanager
def heeded_by(saboteur):
    """Signals come from the saboteur, who also sees the process end."""
    stop = Stop(lambda line: None, getattr(saboteur, "end", None))
    if isinstance(saboteur, Signalled):
        saboteur.stop = stop
    yield stop


def sabotaged(monkeypatch, saboteur, out, words):
    """What became of a command: its exit code, None if it was killed."""
    with monkeypatch.context() as patch:
        patch.setattr(cli, "heeded", lambda say: heeded_by(saboteur))
        patch.setattr(stopping, "GRACE_SECONDS", 1e6)
        sabotage_system_calls(patch, saboteur, below=out)
        try:
            return call(*words).code
        except Crash:
            return getattr(saboteur, "code", None)


def rarely():
    """1, 2, 4, 8...: as often as there is time for."""
    return (2**power for power in itertools.count())


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(rarely, id="some"),
        pytest.param(lambda: itertools.count(1), id="all", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_any_operation_of_a_command_may_fail(tmp_path, monkeypatch, begun, command, numbers):
    met = 0
    began = list(COMMANDS).index(command)  # so that the faults differ between commands
    for nth, make in zip(numbers(), itertools.cycle(FAULTS[began:] + FAULTS[:began]), strict=False):
        out, saboteur = begin(begun.starts[command], tmp_path / str(nth)), make(nth)
        words = COMMANDS[command](begun.spec, out)
        code = sabotaged(monkeypatch, saboteur, out, words)
        if not saboteur.fired:
            break
        met += 1
        check_code(command, saboteur, code)
        if code == 0:
            assert contents(out) == begun.ends[command], "it said that all went well"
        again = call(*words)
        assert again.code == 0, again.err
        assert contents(out) == begun.ends[command]
        assert verify(LocalFiles(out)).problems == []
    assert met >= 3


def check_code(command, saboteur, code):
    told = f"{command}, operation {saboteur.left}, {saboteur.fault}: {code}"
    if isinstance(saboteur, Killed):
        assert code in (None, 0), told
    elif isinstance(saboteur, Signalled):
        assert code in (0, 3) if command in GENTLE else code == 3, told
    else:
        assert code in (0, 2, 3), told
