"""The benchmark runs, and its record says what it is about. No time is asserted."""

import json
import time

import pytest

from sweep_engine.bench import machine, sources
from sweep_engine.bench.experiments import EXPERIMENTS, bench
from sweep_engine.bench.shards import cut
from sweep_engine.bench.timing import interleaved
from sweep_engine.bench.training import experiment
from sweep_engine.bench.training.engine import Engine, Kernel, OnePiece
from sweep_engine.bench.training.experiment import (
    GATE_TOLERANCE,
    WORKLOADS,
    Disagreement,
    contenders,
    gate,
)
from sweep_engine.bench.training.show import table
from tests.kernels.compilers import needs_compiler

SLOW = {"lanes", "refill"}
"""Experiments that compile many programs."""


@pytest.fixture
def toy(monkeypatch):
    """Measures the machine by products and copies that take no time."""
    monkeypatch.setattr(machine, "MATRIX", 64)
    monkeypatch.setattr(machine, "COPY_BYTES", 2**20)
    monkeypatch.setattr(sources, "MODEL", {"kind": "mlp", "widths": [4]})


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.long] * (n in SLOW)) for n in EXPERIMENTS]
)
def test_an_experiment_leaves_a_record(name, tmp_path, toy):
    record = bench([name], out=tmp_path / "record.json", quick=True)
    assert json.loads((tmp_path / "record.json").read_text()) == record
    assert record["quick"] is True
    assert record["machine"]["product_gflops"] > 0
    assert record["machine"]["versions"]["jax"]
    assert record[name]["seconds"] > 0


def test_calls_are_interleaved():
    met = []
    times = interleaved({"a": lambda: met.append("a"), "b": lambda: met.append("b")}, repeats=2)
    assert met == ["a", "a", "b", "b", "a", "b", "a", "b"]
    assert times["a"].low <= times["a"].median <= times["a"].high
    assert times["a"].rate(1.0)["low"] <= times["a"].rate(1.0)["high"]


def test_the_gate_passes_what_agrees_and_catches_what_does_not():
    """A contender with other rates, or another order of the minibatches, is refused."""
    digits = WORKLOADS[1]

    class OtherRates(OnePiece):
        name = "other rates"

        def prepare(self, problem, steps):
            problem.__dict__["rates"] = problem.rates[::-1].copy()
            return super().prepare(problem, steps)

    class OtherOrder(OnePiece):
        name = "other order"

        def prepare(self, problem, steps):
            found = problem.minibatches(steps)[:, ::-1]
            object.__setattr__(problem, "minibatches", lambda steps: found)
            return super().prepare(problem, steps)

    gaps = gate(digits, [Engine(), OnePiece()])
    assert gaps["jit(vmap(scan))"] <= GATE_TOLERANCE
    for wrong in (OtherRates(), OtherOrder()):
        with pytest.raises(Disagreement, match=wrong.name):
            gate(digits, [Engine(), wrong])


@pytest.mark.parametrize(
    "workload",
    [WORKLOADS[0], *(pytest.param(w, marks=pytest.mark.long) for w in WORKLOADS[1:])],
    ids=lambda workload: workload.name,
)
def test_pytorch_trains_the_same(workload):
    pytest.importorskip("torch", reason="the extra `bench`")
    found, _ = contenders()
    by_torch = [contender for contender in found if "orch" in contender.name]
    assert len(by_torch) == 3
    assert set(gate(workload, [Engine(), *by_torch])) == {c.name for c in by_torch}


@needs_compiler
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_the_kernel_trains_the_same(workload):
    gaps = gate(workload, [Engine(), Kernel()])
    assert list(gaps) == ["engine (cpu kernel)"]


def test_without_a_compiler_the_kernel_is_skipped_loudly(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    found, skipped = contenders()
    assert "engine (cpu kernel)" not in [contender.name for contender in found]
    assert "C++ compiler" in skipped[0]
    assert "SKIPPED" in capsys.readouterr().out


def test_a_contender_that_is_too_slow_stops_and_the_record_says_why(monkeypatch):
    class Slow(OnePiece):
        name = "slow"
        prepared = 0

        def prepare(self, problem, steps):
            Slow.prepared += 1
            return lambda: time.sleep(0.02)

    class Greedy(Slow):
        name = "greedy"

        def prepare(self, problem, steps):
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    class Broken(Slow):
        def prepare(self, problem, steps):
            raise RuntimeError("a bug")

    monkeypatch.setattr(experiment, "MAX_CALL_SECONDS", 0.01)
    stopped, problem = {}, WORKLOADS[0].problem(4)
    assert experiment._all_ready(problem, [Slow(), Greedy()], stopped, 0.01) == []
    assert stopped["slow"]["networks"] == stopped["greedy"]["networks"] == 4
    assert "one step takes" in stopped["slow"]["why"]
    assert "memory" in stopped["greedy"]["why"]
    assert experiment._all_ready(WORKLOADS[0].problem(8), [Slow()], stopped, 0.01) == []
    assert Slow.prepared == 1
    found = {"workloads": {"boolean": {"networks": {}, "stopped": stopped}}}
    assert "slow stops at 4 networks: one step takes" in table(found)
    monkeypatch.setattr(experiment, "MAX_CALL_SECONDS", 600.0)  # however busy the machine is
    point = experiment._point(problem, [Slow(), OnePiece()], stopped, quick=True)
    assert point["jit(vmap(scan))"]["engine_over_this"] is None, "the first has stopped"
    found["workloads"]["boolean"]["networks"]["4"] = point
    assert "| 4 networks |" in table(found)
    with pytest.raises(RuntimeError, match="a bug"):
        experiment._all_ready(problem, [Broken()], {}, 0.01)


def test_without_pytorch_its_contenders_are_skipped_loudly(monkeypatch, capsys):
    monkeypatch.setattr(experiment, "find_spec", lambda name: None)
    found, skipped = contenders()
    names = [contender.name for contender in found if "engine (" not in contender.name]
    assert names == ["this engine", "jit(vmap(scan))", "jit(map(vmap(scan))), best tile"]
    assert "PyTorch is not installed" in skipped[-1]
    assert "SKIPPED" in capsys.readouterr().out


def test_a_shard_holds_every_run_once():
    problem = WORKLOADS[0].problem(64)
    shards = cut(problem.pieces(1), lanes=4, size=24)
    runs = [(p.setting.id, i) for shard in shards for p in shard for i in range(p.start, p.stop)]
    assert len(set(runs)) == len(runs) == 64
    assert all(sum(map(len, shard)) <= 24 for shard in shards)
