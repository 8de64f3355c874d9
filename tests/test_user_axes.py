"""Fields of a user's own network and task as axes: one object, one plan, one report."""

import json
import sys
from dataclasses import dataclass

import flax.linen as nn
import jax
import numpy as np
import pytest

import sweep_engine
from sweep_engine import cli
from sweep_engine.spec import settings
from tests.test_user_objects import Bump, Wave


class Kernels(nn.Module):
    """Convolutions of a signal."""

    channels: tuple[int, ...]
    scale: float = 1.0

    @nn.compact
    def __call__(self, x):
        x = x[..., None]
        for width in self.channels:
            x = jax.nn.relu(nn.Conv(width, (3,))(self.scale * x))
        return nn.Dense(1)(x.reshape(len(x), -1))


@dataclass(frozen=True)
class Bounded:
    """A task that refuses a size."""

    examples: int

    def __post_init__(self):
        if self.examples > 20:
            raise ValueError("at most 20 examples")

    def load(self, seed: int) -> sweep_engine.Task:
        return Wave(1.0, self.examples).load(seed)


def sweep(**changes):
    content = {
        "name": "own-axes",
        "task": Wave(frequency=1.0),
        "model": Bump(bumps=3),
        "accept": {"train_loss": 0.2},
        "sources": {"init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 8}},
        "axes": {"model.bumps": [2, 4]},
        "execution": {"lanes": 4},
    }
    return sweep_engine.Sweep(**(content | changes))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("axes") / "out"
    assert sweep_engine.run(sweep(), out).is_complete
    return out


def test_every_value_of_the_axis_is_a_network_of_its_own(out):
    found = settings(sweep())
    assert [setting.model.value.bumps for setting in found] == [2, 4]
    assert [setting.values for setting in found] == [{"model.bumps": 2}, {"model.bumps": 4}]
    results = sweep_engine.open_results(out)
    assert sorted({batch.theta.shape[1] for batch in results.params("init")}) == [4, 8]


def test_the_value_listed_is_the_object_given(out):
    """An axis of one value: the runs of the sweep without one."""
    alone = settings(sweep(model=Bump(bumps=4), axes={}))
    listed = settings(sweep(axes={"model.bumps": [4]}))
    assert [setting.digest for setting in alone] == [setting.digest for setting in listed]


def test_resumes_and_is_read_without_the_objects(out, monkeypatch, capsys):
    summary = sweep_engine.run(sweep(), out)
    assert (summary.computed, summary.is_complete) == (0, True)
    content = json.loads((out / "sweep.json").read_text())["sweep"]
    stored = settings(sweep_engine.Sweep.model_validate(content, context="stored"))
    assert [s.digest for s in stored] == [s.digest for s in settings(sweep())]
    monkeypatch.setattr(sys, "argv", ["sweep-engine", "report", str(out)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code, capsys.readouterr().err


def test_lists_become_tuples_as_a_compiled_object_needs_them():
    found = settings(sweep(model=Kernels(channels=(2,)), axes={"model.channels": [[3], [3, 4]]}))
    assert [setting.model.value.channels for setting in found] == [(3,), (3, 4)]
    assert len({hash(setting.model.value) for setting in found}) == 2


def test_fields_of_a_task_are_axes_too():
    found = settings(sweep(axes={"task.frequency": [1.0, 2.0], "model.scale": [0.5, 1.0]}))
    assert [s.task.value.frequency for s in found] == [1.0, 1.0, 2.0, 2.0]
    assert [s.model.value.scale for s in found] == [0.5, 1.0, 0.5, 1.0]
    assert np.ptp(found[2].task.value.load(0).train.y) > 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"axes": {"model.bump": [2]}}, "Bump has no field 'bump'.*bumps"),
        ({"axes": {"model.target": ["x"]}}, "Bump has no field 'target'"),
        ({"axes": {"model.scale": {"uniform": [0.1, 1], "points": 2}}}, "give a list of values"),
        ({"task": Bounded(9), "axes": {"task.examples": [21]}}, "at most 20 examples"),
    ],
)
def test_what_does_not_fit_is_said(changes, says):
    with pytest.raises(sweep_engine.SweepEngineError, match=says):
        settings(sweep(**changes))
