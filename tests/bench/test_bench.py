"""The benchmark runs, and its record says what it is about. No time is asserted."""

import json

import pytest

from sweep_engine.bench import EXPERIMENTS, bench
from sweep_engine.bench.timing import interleaved


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_leaves_a_record(name, tmp_path):
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
