"""Steps and the checks between them: what is shared, what is held, and how far a block goes alone.

At full batch a run is checked every step, on the outputs that the step begins with.
"""

import re
from dataclasses import asdict

import jax
import numpy as np
import pytest

from sweep_engine.sources import Control, open_source, work
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


def opened(name, held=False, **options):
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
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution, held=held)
    return programs, [Piece(setting, 0, 11)]


@pytest.mark.parametrize("name", CASES)
def test_it_has_the_bits_of_a_check_in_a_branch(name):
    """But for transformers, whose losses were seen to differ by rounding."""
    programs, pieces = opened(name)
    assert programs.single.checks_with_steps
    found = asdict(work(programs, pieces, Control()))
    programs, pieces = opened(name, held=True)
    assert not programs.single.checks_with_steps
    twin = asdict(work(programs, pieces, Control()))
    assert len(np.unique(found["curves"]["train_loss"])) > len(pieces[0])
    for one, another in zip(*map(jax.tree.leaves, (found, twin)), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(another).tobytes()


def products(programs):
    timed = programs.timed()
    text = timed.program.compiled(*timed.arguments).as_text()
    return len(re.findall(r"= \S+ dot\(", text))


def test_outputs_are_computed_once():
    """In a branch a check multiplies by all three layers once more."""
    shared, apart = (products(opened("mlp", held)[0]) for held in (False, True))
    assert apart - shared == 3


@pytest.mark.parametrize("options", [{"batch_size": 2}, {"stop": {"check_every": 2}}], ids=str)
def test_checks_that_the_step_does_not_begin_with_stay_in_a_branch(options):
    programs, _ = opened("mlp", **options)
    assert not programs.single.checks_with_steps
    assert opened("mlp", stop={"check_every": 1})[0].single.checks_with_steps


MANY_PLACES = {
    "batch_size": 2,
    "stop": {"max_steps": 41, "check_every": 6, "extra_steps": 5, "snapshots": [3, 40]},
    "average": {"decay": 0.9},
}


def trained(name, held):
    programs, pieces = opened(name, held, **MANY_PLACES)
    assert programs.single.holds_every_step == held
    return asdict(work(programs, pieces, Control()))


def test_runs_held_between_checks_alone_have_the_bits_of_runs_held_at_every_step():
    """Runs that end at different steps, some after a last one between two checks."""
    found, twin = trained("mlp", held=False), trained("mlp", held=True)
    assert len(set(found["solutions"]["steps"].tolist())) > 1
    assert 41 in found["solutions"]["steps"]
    for one, another in zip(*map(jax.tree.leaves, (found, twin)), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(another).tobytes()


def test_with_adam_they_differ_by_rounding():
    """By a unit of the last place a step at most; a step of a run that had ended moves by 0.05."""
    found, twin = (trained("cnn", held)["solutions"] for held in (False, True))
    assert found["steps"].tolist() == twin["steps"].tolist()
    assert len(set(found["steps"].tolist())) > 1
    assert np.isfinite(twin["theta"]).all()
    unit = np.finfo(np.float32).eps * np.abs(twin["theta"]).max()
    np.testing.assert_allclose(
        found["theta"], twin["theta"], rtol=0, atol=41 * unit, equal_nan=False, strict=True
    )


def state_at(single, step, fit_step):
    state = single.start(jax.random.key(0), np.zeros(2, np.uint32), {})
    return state._replace(step=np.int32(step), fit_step=np.int32(fit_step))


@pytest.mark.parametrize(
    ("step", "fit_step", "steps"),
    [
        (0, -1, 2),  # an epoch ends: four examples, two of them a step
        (2, -1, 1),  # a snapshot at 3
        (4, -1, 2),
        (5, -1, 1),
        (38, 34, 1),  # five more than the first fit
        (39, 36, 1),  # a snapshot at 40
        (40, -1, 1),  # the last step
    ],
)
def test_lanes_go_on_alone_up_to_the_next_step_where_something_is_due(step, fit_step, steps):
    single = opened("mlp", **MANY_PLACES)[0].single
    assert single.steps_until_due(state_at(single, step, fit_step), {}) == steps


def test_checks_bound_how_far_they_go():
    options = {"batch_size": 2, "sampling": "with_replacement", "stop": {"check_every": 6}}
    single = opened("mlp", **options)[0].single
    assert [int(single.steps_until_due(state_at(single, at, -1), {})) for at in (0, 6, 8)] == [
        6, 6, 4,
    ]  # fmt: skip
