"""At full batch a run is checked every step, on the outputs that the step begins with."""

import re
from dataclasses import asdict

import jax
import numpy as np
import pytest

from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.train.single_run import Training
from sweep_engine.spec import Piece, Sweep, settings
from tests.execution.test_models_everywhere import BITS, IMAGES

ADAM = {"kind": "adam", "learning_rate": 0.05}
SGD = {"kind": "sgd", "learning_rate": 0.3, "momentum": 0.9}
VALUES = {"kind": "regression", "examples": 5, "inputs": 2}
CASES = {
    "mlp": (BITS, {"kind": "mlp", "widths": [5, 4]}, SGD),
    "residual": (VALUES, {"kind": "residual", "blocks": 1, "width": 4, "norm": "layer"}, SGD),
    "cnn": (IMAGES, {"kind": "cnn", "channels": [2], "max_pool": 2, "activation": "gelu"}, ADAM),
}


def opened(name, **options):
    task, model, optimizer = CASES[name]
    source = {
        "kind": "train", "optimizer": optimizer, "init": {"kind": "gaussian", "std": 0.5},
        "stop": {"max_steps": 30, "fit": False}, "runs": 11,
    } | options  # fmt: skip
    document = {
        "name": "checks", "task": task, "model": model, "sources": {"sgd": source},
        "accept": {"train_loss": 0.01},
        "execution": {"lanes": 4, "implementation": "xla"},
    }  # fmt: skip
    sweep = Sweep.model_validate(document)
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    return programs, [Piece(setting, 0, 11)]


def as_a_branch(patch):
    patch.setattr(Training, "checks_with_steps", False)


@pytest.mark.parametrize("name", CASES)
def test_it_has_the_bits_of_a_check_in_a_branch(name, monkeypatch):
    programs, pieces = opened(name)
    assert programs.single.checks_with_steps
    found = asdict(work(programs, pieces, Control()))
    as_a_branch(monkeypatch)
    programs, pieces = opened(name)
    twin = asdict(work(programs, pieces, Control()))
    assert len(np.unique(found["curves"]["train_loss"])) > len(pieces[0])
    for one, another in zip(*map(jax.tree.leaves, (found, twin)), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(another).tobytes()


def products(programs):
    timed = programs.timed()
    text = timed.program.compiled(*timed.arguments).as_text()
    return len(re.findall(r"= \S+ dot\(", text))


def test_outputs_are_computed_once(monkeypatch):
    """In a branch a check multiplies by all three layers once more."""
    found = products(opened("mlp")[0])
    as_a_branch(monkeypatch)
    assert products(opened("mlp")[0]) - found == 3


@pytest.mark.parametrize("options", [{"batch_size": 2}, {"stop": {"check_every": 2}}], ids=str)
def test_checks_that_the_step_does_not_begin_with_stay_in_a_branch(options):
    programs, _ = opened("mlp", **options)
    assert not programs.single.checks_with_steps
    assert opened("mlp", stop={"check_every": 1})[0].single.checks_with_steps
