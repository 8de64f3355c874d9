"""Test that chains by the kernel are chains by XLA, but for the order in which sums are rounded."""

import functools
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from sweep_engine.errors import Interrupted, SpecError
from sweep_engine.execution import run
from sweep_engine.execution.programs import choosing
from sweep_engine.execution.programs.choosing import Disagrees, expect
from sweep_engine.execution.programs.programs import Programs
from sweep_engine.execution.programs.trials import Pace, Patience, race, self_test, timed
from sweep_engine.kernels.chain_moves import cpu, mapped
from sweep_engine.kernels.normals import NORMALS
from sweep_engine.planning import plan
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.sources import sizes
from sweep_engine.store import OutputDirectory, open_results
from sweep_engine.store.manifest import read_manifest
from tests.kernels.compilers import needs_compiler

pytestmark = needs_compiler

LANES, CHAINS, DRAWS = 4, 6, 3
TASK = {"kind": "boolean", "bits": 3, "target": "x1 ^ x2", "train": 5}
MODEL = {"kind": "mlp", "widths": [3], "activation": "tanh"}
CHAIN = {"kind": "posterior", "chains": CHAINS, "draws": DRAWS, "warmup": 2}
HMC = CHAIN | {"method": "hmc", "integration_steps": 3}
NUTS = CHAIN | {"method": "nuts", "max_doublings": 3}
SGLD = CHAIN | {"method": "sgld", "step_size": 0.05, "warmup": 0}
TWO_LAWS = {"kind": "layers", "layers": [{"kind": "gaussian"}, {"kind": "laplace"}]}
REGRESSION = {
    "task": {"kind": "regression", "examples": 5, "inputs": 3},
    "accept": {"max_residual": 1.0},
}

CASES = {
    "hmc": (HMC, {}),
    "nuts, biases fixed at 0": (NUTS | {"law": {"kind": "fan_in"}}, {}),
    "sgld of minibatches from a teacher": (
        SGLD | {"batch_size": 3, "start": "teacher", "noise_std": 0.3, "temperature": 2.0},
        REGRESSION,
    ),
    "hmc, a law that does more than scale": (HMC | {"law": {"kind": "box"}}, {}),
    "nuts, another law for each layer": (
        NUTS | {"law": TWO_LAWS}, {},
    ),
    "hmc from a teacher": (
        HMC | {"start": "teacher", "warmup": 0, "step_size": 0.02, "noise_std": 0.3}, REGRESSION,
    ),
}  # fmt: skip
LONG = {
    "hmc, a law that does more than scale",
    "nuts, another law for each layer",
    "hmc from a teacher",
}
every_case = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in CASES]
)
TOLERANCE = 1e-4
"""Allows for rounding, of the largest parameter: float32 keeps 6e-8, and some tens of smooth steps
of a chain let that grow. A gradient with 1 in 100 of its loss amiss moves chains a hundred times as
far."""


def sweep_of(source, implementation, **changes):
    return Sweep.model_validate(
        {
            "name": "kernel",
            "seed": 5,
            "task": TASK,
            "model": MODEL,
            "sources": {"a": source},
            "execution": {"lanes": LANES, "implementation": implementation},
        }
        | changes
    )


def opened(source, implementation, **changes):
    sweep = sweep_of(source, implementation, **changes)
    found = settings(sweep)
    return open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution), found


def sampled(source, implementation, **changes):
    programs, found = opened(source, implementation, **changes)
    return work(programs, [Piece(one, 0, CHAINS * DRAWS) for one in found], Control())


def assert_same_chains(found, truth):
    one, other = found.solutions, truth.solutions
    np.testing.assert_array_equal(one.run_id, other.run_id)
    np.testing.assert_array_equal(one.status, other.status)
    np.testing.assert_array_equal(one.theta == 0, other.theta == 0)
    assert np.abs(one.theta - other.theta).max() <= TOLERANCE * np.abs(other.theta).max()
    told = zip(found.measured, truth.measured, strict=True)
    assert all(a.value == b.value for a, b in told if a.what in {"gradients", "divergences"})


@functools.cache
def by_xla(name):
    source, changes = CASES[name]
    return sampled(source, "xla", **changes)


@every_case
def test_chains_move_alike(name):
    source, changes = CASES[name]
    found = sampled(source, "cpu", **changes)
    assert (found.solutions.status == RunStatus.DRAWN).all()
    assert len(np.unique(found.solutions.theta, axis=0)) > CHAINS
    assert_same_chains(found, by_xla(name))


def test_chains_of_another_temperature_are_caught():
    found = sampled(HMC | {"temperature": 1.01}, "cpu")
    with pytest.raises(AssertionError):
        assert_same_chains(found, by_xla("hmc"))


def test_a_chain_that_diverges_ends_as_by_xla_and_touches_no_other():
    source, changes = SGLD | {"thin": 8, "noise_std": 0.3}, dict(REGRESSION)
    changes |= {"model": MODEL | {"activation": "relu"}}
    changes |= {"axes": {"sources.a.step_size": [1e-4, 1e4]}}
    programs, (good, bad) = opened(source, "cpu", **changes)
    alone, mixed = (
        work(programs, [Piece(one, 0, 3 * DRAWS) for one in some], Control())
        for some in ([good], [bad, good])
    )
    is_bad = mixed.solutions.setting == bad.id
    assert (mixed.solutions.status[is_bad] == RunStatus.DIVERGED).all()
    np.testing.assert_array_equal(mixed.solutions.theta[~is_bad], alone.solutions.theta)
    by_xla = work(programs.by("xla"), [Piece(bad, 0, 3 * DRAWS)], Control()).solutions
    np.testing.assert_array_equal(mixed.solutions.status[is_bad], by_xla.status)
    np.testing.assert_array_equal(mixed.solutions.fit[is_bad], by_xla.fit)


# --- Which one computes -------------------------------------------------------------------


def test_what_the_kernel_does_not_know_keeps_xla_and_is_refused_by_name():
    changes = {"model": MODEL | {"activation": "sin"}}
    found = expect(*opened(HMC, "auto", **changes))
    assert (found.name, "the activation sin" in found.reason) == ("xla", True)
    refused = "sources.a: the cpu kernel does not know the activation sin"
    with pytest.raises(SpecError, match=refused):
        Programs(plan(sweep_of(HMC, "cpu", **changes))).open_all()
    fast = {"execution": {"precision": "fast"}}
    assert "precision fast" in expect(*opened(HMC, "auto", **fast)).reason


def test_little_work_is_left_to_xla_and_much_is_raced():
    assert expect(*opened(HMC, "auto")).reason.startswith("too little work")
    assert expect(*opened(HMC | {"chains": 2**20, "draws": 2**10}, "auto")).name == "auto"
    assert expect(*opened(HMC, "tpu")).reason == "there is no tpu kernel of draws"


@every_case
def test_a_right_kernel_passes_the_self_test(name):
    source, changes = CASES[name]
    programs, _ = opened(source, "cpu", **changes)
    assert self_test(programs, programs.by("xla")).startswith("agreed with XLA to ")


def wrong_loss(case, *given):
    loss, gradient = cpu.loss_gradient(case, *given)
    return 1.001 * loss, gradient


def wrong_gradient(case, *given):
    loss, gradient = cpu.loss_gradient(case, *given)
    return loss, gradient.at[:, -1].multiply(1.01)


def wrong_prior(case, start, density, *rest):
    return cpu.leapfrog(case, start, density._replace(by_square=1.001 * density.by_square), *rest)


def one_step_too_few(case, start, density, data, stride):
    fewer = stride._replace(num_steps=stride.num_steps - 1)
    return cpu.leapfrog(case, start, density, data, fewer)


def test_the_self_test_catches_wrong_normals(monkeypatch):
    monkeypatch.setitem(NORMALS, "cpu", lambda key, count: 1.001 * jax.random.normal(key, (count,)))
    programs, _ = opened(SGLD, "cpu")
    with pytest.raises(Disagrees, match="differs from XLA by"):
        self_test(programs, programs.by("xla"))


def another_key(case, most, place, *rest):
    return cpu.transition(case, most, place._replace(key=place.key + 1), *rest)


WRONG = {
    "tree": (NUTS, {"transition": another_key}),
    "loss": (SGLD, {"loss_gradient": wrong_loss}),
    "gradient": (SGLD, {"loss_gradient": wrong_gradient}),
    "prior": (HMC, {"leapfrog": wrong_prior}),
    "steps": (HMC, {"leapfrog": one_step_too_few}),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_self_test_catches_a_wrong_kernel(name, monkeypatch):
    source, changes = WRONG[name]
    right = {name: getattr(cpu, name) for name in ("loss_gradient", "leapfrog", "transition")}
    monkeypatch.setitem(mapped.IMPLEMENTATIONS, "cpu", SimpleNamespace(**right | changes))
    of_one = mapped.mean_loss, mapped.leapfrog, mapped.transition
    for made in of_one:
        made.cache_clear()
    programs, _ = opened(source, "cpu")
    try:
        with pytest.raises(Disagrees, match="differs from XLA by"):
            self_test(programs, programs.by("xla"))
    finally:
        for made in of_one:
            made.cache_clear()


def test_laws_that_are_computed_otherwise_have_a_trial_of_their_own():
    of_law = {
        name: opened(HMC | {"law": law}, "auto")[0].likeness
        for name, law in {
            "normal": {"kind": "gaussian"},
            "wider": {"kind": "gaussian", "std": 2.0},
            "box": {"kind": "box"},
        }.items()
    }
    assert of_law["normal"] == of_law["wider"] != of_law["box"]


def test_the_race_is_between_programs_that_draw_alike():
    contenders = [opened(HMC, name)[0] for name in ("cpu", "xla")]
    assert all(speed > 0 for speed in race(contenders, 1, 16, Patience(lambda: False)))
    one, other = (timed(programs, 64, 2).done for programs in contenders)
    assert one == other
    assert one.units == 2 * round(4 * LANES / ((2 + DRAWS) / DRAWS))


def test_a_choice_is_frozen_and_a_resume_gives_the_same_bits(tmp_path, monkeypatch):
    """Stop after a shard, and gone on with where nobody may test or race again."""
    monkeypatch.setattr(sizes, "CHAINS_PER_SHARD", 2)
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 2 * DRAWS)
    monkeypatch.setattr(choosing, "TRIAL_SHARE", 1e9)
    monkeypatch.setattr(choosing, "pace_of", lambda *_: Pace(1.0, 1.0, 16))
    monkeypatch.setattr(choosing, "race", lambda *_: [2.0, 1.0])
    sweep = sweep_of(HMC | {"chains": 40}, "auto")
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert run(sweep, whole).is_complete
    with pytest.raises(Interrupted):
        run(sweep, resumed, should_stop=lambda: len(list(resumed.glob("ledger/*"))) > 0)
    monkeypatch.setattr(choosing, "race", None)
    monkeypatch.setattr(choosing, "self_test", None)
    assert run(sweep, resumed).is_complete
    (choice,) = read_manifest(OutputDirectory(resumed)).frozen.implementation.values()
    assert choice.name == "cpu"
    assert choice.reason.startswith("agreed with XLA to ")
    assert choice.reason.endswith("2 draws per processor-second against 1 by XLA")
    assert drawn(resumed) == drawn(whole)


def test_a_folder_begun_by_xla_keeps_it(tmp_path, monkeypatch):
    """Begin as sweeps did before there was a kernel."""
    assert run(sweep_of(HMC, "xla"), tmp_path / "by_xla").is_complete
    begun = tmp_path / "begun"
    assert run(sweep_of(HMC, "auto"), begun).is_complete
    monkeypatch.setattr(choosing, "TRIAL_SHARE", 1e9)
    more = sweep_of(HMC | {"chains": CHAINS + 4}, "auto")
    assert run(more, begun).is_complete
    (choice,) = read_manifest(OutputDirectory(begun)).frozen.implementation.values()
    assert choice.name == "xla"
    one, other = drawn(begun), drawn(tmp_path / "by_xla")
    assert {key: one[key] for key in other} == other


def drawn(out):
    (params,) = open_results(out).params("a")
    return {i: row.tobytes() for i, row in zip(params.run_id.tolist(), params.theta, strict=True)}
