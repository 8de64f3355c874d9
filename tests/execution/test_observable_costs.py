"""What `plan` reckons for observing: every observable, of every row and record."""

import json

import pytest
from typer.testing import CliRunner

from sweep_engine import cli
from sweep_engine.execution import Programs, costs
from sweep_engine.execution.programs.clocks import Reckoned
from sweep_engine.execution.programs.observable_costs import Blocks, Taken, observable_costs
from sweep_engine.execution.programs.rates import Rates
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep, dump_sweep, settings

CLOCK = Reckoned(Rates(products=1e11, elements=4e9))

SWEEP = {
    "name": "costs",
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    "model": {"kind": "mlp", "widths": [3]},
    "sources": {
        "sgd": {
            "kind": "train",
            "stop": {"max_steps": 100},
            "record": {"observables": ["norms"], "every": 30},
            "runs": 20,
        },
        "late": {
            "kind": "train",
            "stop": {"max_steps": 100},
            "record": {"observables": ["norms"], "at": [0, 100, 101]},
            "runs": 10,
        },
        "guess": {"kind": "guess_and_check", "law": {"kind": "box"}, "draws": 5000},
    },
    "observables": [
        "norms",
        "complexity",
        {"kind": "coordinates", "fitted_on": "sgd"},
    ],
}


def test_every_observable_of_every_row_and_record_is_counted():
    planned = plan(Sweep.model_validate(SWEEP))
    by_source = {cost.source: cost for cost in costs(planned, Programs(planned), CLOCK)}
    networks = {
        source: {(one.kind, one.recorded): one.networks for one in cost.observing}
        for source, cost in by_source.items()
    }
    # Coordinates wait for all runs of sgd, and are not part of a bucket's work.
    rows = {("norms", False), ("complexity", False)}
    assert networks["sgd"] == dict.fromkeys(rows, 20) | {("norms", True): 20 * 4}
    assert networks["late"] == dict.fromkeys(rows, 10) | {("norms", True): 10 * 2}
    assert networks["guess"] == dict.fromkeys(rows, 5)  # one fit in a thousand draws
    for cost in by_source.values():
        each = [one.seconds * one.networks for one in cost.observing]
        assert min(each) > 0
        assert cost.seconds > sum(each)


def test_plan_says_which_observable_takes_long(tmp_path):
    slow = {"kind": "learning_coefficient", "steps": 2000, "chains": 64, "batch_size": "full"}
    sweep = Sweep.model_validate(SWEEP | {"observables": [slow]})
    sweep = sweep.model_copy(update={"sources": {"sgd": sweep.sources["sgd"].model_copy(
        update={"runs": 1_000_000, "record": None})}})  # fmt: skip
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(dump_sweep(sweep)))
    result = CliRunner().invoke(cli.app, ["plan", str(file)])
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert "sgd: learning_coefficient takes" in said
    assert "ms for each of 1,000,000 networks." in said


@pytest.mark.parametrize(
    ("networks", "shards", "padding"),
    [(8, 1, 8.0), (64, 1, 1.0), (65, 1, 128 / 65), (128, 4, 2.0), (0, 1, 1.0)],
)
def test_the_last_block_of_every_shard_is_padded(networks, shards, padding):
    assert Blocks(64, shards).padding(networks) == padding


def test_functions_are_described_without_padding():
    """A block of 64 lanes computes 64 networks for 20; of functions there are 20."""
    sgd = [one for one in settings(Sweep.model_validate(SWEEP)) if one.source == "sgd"]
    timing = {("norms", False): Taken(1.0, True), ("complexity", False): Taken(1.0, False)}
    norms, complexity = observable_costs(sgd, timing, Blocks(64, 1))
    assert (norms.networks, complexity.networks) == (20, 20)
    assert norms.networks * norms.seconds == pytest.approx(64.0)
    assert complexity.networks * complexity.seconds == 20.0
