"""A user's own optax transformation, given in Python."""

import dataclasses
from pathlib import Path

import numpy as np
import optax
import pytest
from pydantic import ValidationError

from sweep_engine.errors import SpecError
from sweep_engine.execution import run
from sweep_engine.lanes import Program
from sweep_engine.planning import plan
from sweep_engine.report import write_report
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.load import dump_sweep, restore, spec_id
from sweep_engine.store import open_results

NUM_RUNS, STEPS = 3, 30
RATE = "sources.sgd.optimizer.rate"


@dataclasses.dataclass(frozen=True)
class HeavyBall:
    """Momentum, whose rate is traced and whose form is static."""

    rate: float = 0.3
    momentum: float = 0.5
    nesterov: bool = False

    def transformation(self):
        return optax.sgd(self.rate, self.momentum, self.nesterov)


@dataclasses.dataclass(frozen=True)
class QuasiNewton:
    """A search along a line, which asks for the loss."""

    memory: int = 4

    def transformation(self):
        search = optax.scale_by_backtracking_linesearch(max_backtracking_steps=8)
        return optax.chain(optax.scale_by_lbfgs(memory_size=self.memory), optax.scale(-1.0), search)


def sweep_of(optimizer, axes=None, **stop):
    return Sweep(
        name="own",
        seed=3,
        task={"kind": "boolean", "bits": 3, "target": "x1 ^ x2", "train": 8},
        model={"kind": "mlp", "widths": [5], "activation": "tanh"},
        sources={
            "sgd": {
                "kind": "train",
                "init": {"kind": "gaussian", "std": 0.7, "shared": True},
                "optimizer": optimizer,
                "stop": {"fit": False, "max_steps": STEPS} | stop,
                "runs": NUM_RUNS,
            }
        },
        axes=axes or {},
        execution={"lanes": 4, "implementation": "xla"},
    )


def trained(sweep):
    """All runs of all settings, by one program."""
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    before = Program.num_compilations
    landed = work(programs, [Piece(setting, 0, NUM_RUNS) for setting in found], Control())
    assert Program.num_compilations - before <= 2  # advancing, and observing
    return landed


def test_a_traced_field_has_each_runs_own_value_in_one_program():
    rates = [0.1, 0.3, 0.9]
    own = trained(sweep_of(HeavyBall(), {RATE: rates})).solutions.theta
    named = {"kind": "sgd", "learning_rate": 0.3, "momentum": 0.5}
    axis = "sources.sgd.optimizer.learning_rate"
    built_in = trained(sweep_of(named, {axis: rates})).solutions.theta
    np.testing.assert_allclose(own, built_in, rtol=1e-4, atol=1e-5)
    one_rate = np.tile(own[:NUM_RUNS], (len(rates), 1))
    assert not np.allclose(one_rate, built_in, rtol=1e-4, atol=1e-5)


def test_floats_are_traced_and_all_else_is_static():
    assert len(plan(sweep_of(HeavyBall(), {RATE: [0.1, 0.2]})).buckets) == 1
    flag = RATE.replace("rate", "nesterov")
    flags = plan(sweep_of(HeavyBall(), {flag: [False, True]}))
    assert len(flags.buckets) == 2
    assert [s.spec.optimizer.value.nesterov for s in flags.settings.values()] == [False, True]
    uniform = {"uniform": [0.1, 1.0], "points": 3}
    assert len(plan(sweep_of(HeavyBall(), {RATE: uniform})).buckets) == 1


def test_a_transformation_that_asks_for_the_loss():
    losses = trained(sweep_of(QuasiNewton())).columns["train_loss"]
    plain = trained(sweep_of({"kind": "sgd", "learning_rate": 0.3})).columns["train_loss"]
    assert np.all(losses < plain / 10)


def test_from_plan_to_report_and_resumed(tmp_path):
    sweep = sweep_of(HeavyBall(), {RATE: [0.1, 0.3]}, max_steps=4)
    assert run(sweep, tmp_path).is_complete
    again = run(sweep, tmp_path)
    assert (again.is_complete, again.computed) == (True, 0)
    rates = open_results(tmp_path).runs([RATE])[RATE].to_pylist()
    np.testing.assert_allclose(sorted(set(rates)), [0.1, 0.3], rtol=1e-6)
    assert Path(write_report(tmp_path)).exists()
    assert sweep.sources["sgd"].sentence == "trained by HeavyBall from the law gaussian"
    stored = restore(dump_sweep(sweep), sweep.folder)
    assert spec_id(stored) == spec_id(sweep)


@pytest.mark.parametrize("optimizer", [optax.sgd(0.1), "sgd", HeavyBall])
def test_what_is_no_optimiser_is_refused(optimizer):
    with pytest.raises((ValidationError, ValueError), match=r"transformation\(\)|dataclass"):
        sweep_of(optimizer)


def test_a_field_that_is_not_there():
    with pytest.raises(SpecError, match="HeavyBall has no field 'learning_rate'"):
        plan(sweep_of(HeavyBall(), {RATE.replace("rate", "learning_rate"): [0.1]}))
