"""Who draws a bucket: what the kernel does not know, how it is tested, and what is frozen."""

import collections
import sys
from functools import cached_property

import jax
import jax.numpy as jnp
import pytest

from sweep_engine import cli
from sweep_engine.densities import Study
from sweep_engine.errors import Interrupted, SpecError
from sweep_engine.execution import run
from sweep_engine.execution.programs import choosing, trials
from sweep_engine.execution.programs.choosing import Disagrees, choose, expect
from sweep_engine.execution.programs.programs import Programs
from sweep_engine.execution.programs.trials import Pace, Patience, race, self_test
from sweep_engine.kernels import prior_scan
from sweep_engine.kernels.prior_scan import plain
from sweep_engine.lanes import for_platform
from sweep_engine.planning import plan
from sweep_engine.report.build import _provenance
from sweep_engine.sources import Rehearsed, open_source
from sweep_engine.sources.draw.programs import DrawPrograms
from sweep_engine.sources.draw.trial import DrawTrial
from sweep_engine.spec import Sweep, settings
from sweep_engine.spec.sources import sizes
from sweep_engine.store import OutputDirectory, open_results
from sweep_engine.store.manifest import Choice, read_manifest
from tests.kernels.compilers import needs_compiler

PRIOR = {"kind": "prior", "law": {"kind": "fan_in", "bias_std": 0.5}, "draws": 3000, "keep": 100}
REJECTION = {"kind": "guess_and_check", "law": {"kind": "box"}, "draws": 3000}
TASK = {"kind": "boolean", "bits": 4, "target": "x1", "train": 6}
MODEL = {"kind": "mlp", "widths": [8], "activation": "relu"}
ACCEPT = {"train_error": 0.0}


def sweep(implementation="auto", source=PRIOR, **changes):
    fields = {"name": "draws", "seed": 5, "task": TASK, "model": MODEL, "accept": ACCEPT}
    execution = {"implementation": implementation} | changes.pop("execution", {})
    document = fields | {"sources": {"draws": source}, "execution": execution} | changes
    return Sweep.model_validate(document)


def make_worth_it(patch):
    """Let trials last, and XLA have been timed."""
    patch.setattr(choosing, "TRIAL_SHARE", 1e9)
    patch.setattr(choosing, "pace_of", lambda *_: Pace(1.0, 1.0, 16))


def opened(*given, **changes):
    one = sweep(*given, **changes)
    (setting,) = settings(one)
    return open_source(setting, one.seed, one.folder, one.observables, one.execution), [setting]


UNKNOWN = {
    "the law orthogonal": {"source": PRIOR | {"law": {"kind": "orthogonal"}}},
    "the law student_t": {
        "source": PRIOR | {"law": {"kind": "student_t", "degrees_of_freedom": 3}}
    },
    "the law module": {"source": PRIOR | {"law": {"kind": "module"}}},
    "the activation sin": {"model": MODEL | {"activation": "sin"}},
    "the acceptance rule train_loss": {"accept": {"train_loss": 0.1}},
    "margins normalised by spectral": {
        "accept": {"margin": {"above": 0.1}, "normalise": "spectral"},
    },
    "targets that are not labels": {
        "task": {"kind": "regression", "inputs": 3, "examples": 8},
        "accept": {"train_loss": 0.1},
    },
    "precision fast": {"execution": {"precision": "fast"}},
}  # fmt: skip


@pytest.mark.parametrize(("what", "change"), UNKNOWN.items(), ids=UNKNOWN)
def test_what_the_kernel_does_not_know_keeps_xla_and_is_refused_by_name(what, change):
    found = expect(*opened(**change))
    assert found.name == "xla"
    assert what in found.reason
    with pytest.raises(SpecError, match="sources.draws: the cpu kernel does not know .*" + what):
        Programs(plan(sweep("cpu", **change))).open_all()


def test_little_work_is_left_to_xla_and_much_is_raced():
    assert expect(*opened()).reason.startswith("too little work")
    assert expect(*opened(source=PRIOR | {"draws": 10**9})).name == "auto"


def test_there_is_no_tpu_kernel_of_draws():
    assert expect(*opened("tpu")) == Choice("xla", "there is no tpu kernel of draws")
    with for_platform("tpu"):
        assert expect(*opened()) == Choice("xla", "there is no kernel of draws for tpu")


def test_the_cuda_kernel_has_not_been_verified():
    assert "not verified on this device" in expect(*opened("cuda")).reason
    large = MODEL | {"widths": [512, 128]}
    with for_platform("gpu"):
        found = expect(*opened(model=large))
    said = "the cuda kernel does not know networks that do not fit a block's shared memory"
    assert found == Choice("xla", said)


@pytest.mark.parametrize(("race", "name"), [([2.0, 1.0], "cuda"), ([1.0, 2.0], "xla")])
def test_on_a_gpu_auto_tries_the_cuda_kernel(race, name, monkeypatch):
    """In whose place the reference stands."""
    make_worth_it(monkeypatch)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(DrawPrograms, "build", lambda self: None)
    monkeypatch.setitem(prior_scan.SCAN, "cuda", plain.scan)
    monkeypatch.setattr(choosing, "race", lambda *_: race)
    found, programs = choose(*opened(), threads=1, should_stop=lambda: False)
    assert found.name == programs.implementation == name
    assert f"{race[0]:.0f} draws per second" in found.reason


@needs_compiler
@pytest.mark.parametrize("source", [PRIOR, REJECTION], ids=["prior", "rejection"])
def test_a_kernel_that_agrees_and_wins_is_taken(source, monkeypatch):
    make_worth_it(monkeypatch)
    monkeypatch.setattr(choosing, "race", lambda *_: [2.0, 1.0])
    found, programs = choose(*opened(source=source), threads=1, should_stop=lambda: False)
    assert found.name == programs.implementation == "cpu"
    assert found.reason.startswith("agreed with XLA in all but ")
    assert found.reason.endswith("2 draws per processor-second against 1 by XLA")


@needs_compiler
def test_the_race_is_between_programs_that_draw_alike(monkeypatch):
    contenders = [opened(name)[0] for name in ("cpu", "xla")]
    assert all(speed > 0 for speed in race(contenders, 2, 32, Patience(lambda: False)))
    draws = [trials.timed(programs, 32, 2).done for programs in contenders]
    assert draws[0] == draws[1]
    assert draws[0].units == draws[0].ended > 0


SLOWER = 16


class Slow(DrawPrograms):
    """Counts every draw again and again: so many times as slow."""

    @cached_property
    def scan(self):
        once = super().scan

        def again(runs, *rest):
            def body(_, found):
                nothing = jnp.sum(found[1]).astype(jnp.uint32) // jnp.uint32(2**31)  # and unknown
                return once._jitted(runs + nothing, *rest)

            return jax.lax.fori_loop(1, SLOWER, body, once._jitted(runs, *rest))

        return self.bucket.program(again)


def hasty(self, programs, length):
    """A rehearsal that tells what will be done, and does not wait for it."""
    units = programs.timed().units
    return lambda _: Rehearsed(units, units)


@pytest.mark.parametrize("waits", [True, False])
def test_a_slow_contender_loses_by_as_much_as_it_is_slower(waits, monkeypatch):
    """And none is faster than the machine: a draw has two operations a weight and input, and a
    core does less than 10^12 of them a second.
    """
    if not waits:
        monkeypatch.setattr(DrawTrial, "rehearse", hasty)
    width = 64 if waits else 512  # what is not waited for is not compiled either
    fast, _ = opened("xla", model=MODEL | {"widths": [width, width]})
    speeds = race([fast, Slow(fast.bucket)], 1, 16, Patience(lambda: False))
    flops = 2 * width**2 * 2**4
    assert (speeds[0] * flops < 1e12) == waits
    if waits:  # else it is by chance what one is over the other
        assert SLOWER / 4 < speeds[0] / speeds[1] < SLOWER * 4


def other_scales(factor, array):
    def scan(case, keys, scales, *rest):
        return plain.scan(case, keys, scales.at[:, array].multiply(factor), *rest)

    return scan


def other_keys(case, keys, *rest):
    return plain.scan(case, jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, 1)))(keys), *rest)


def one_target_too_few(case, keys, scales, x, targets, num_draws):
    first = jnp.argmax(targets != plain.NO_TARGET)
    fewer = targets.at[first].set(plain.NO_TARGET)
    return plain.scan(case, keys, scales, x, fewer, num_draws)


def margins_too_large(case, *given):
    found = plain.scan(case, *given)
    return found._replace(margin=1.02 * found.margin)


WRONG = {
    "margins": margins_too_large,
    "weights": other_scales(1.02, 0),
    "biases": other_scales(0.98, 1),
    "last bias": other_scales(1.05, 3),
    "keys": other_keys,
    "targets": one_target_too_few,
}


@needs_compiler
@pytest.mark.parametrize(
    ("wrong", "source"), [*((name, PRIOR) for name in WRONG), ("targets", REJECTION)]
)
def test_the_self_test_catches_a_wrong_kernel(wrong, source, monkeypatch):
    programs, _ = opened("cpu", source)
    monkeypatch.setitem(prior_scan.SCAN, "cpu", WRONG[wrong])
    with pytest.raises(Disagrees, match="differs from XLA in"):
        self_test(programs, programs.by("xla"))


def tables(out):
    """Rows, parameters and counts, in an order of their own."""
    found = open_results(out)
    (params,) = found.params("draws")
    theta = {i: row.tobytes() for i, row in zip(params.run_id.tolist(), params.theta, strict=True)}
    counts = collections.Counter()
    for row in found.tallies().to_pylist():
        counts[row["setting"], row["what"], row["function_id"]] += row["count"]
    return found.runs().sort_by("run_id").to_pydict(), theta, counts


@needs_compiler
def test_a_choice_is_frozen_and_a_resume_gives_the_same_bits(tmp_path, monkeypatch):
    """Stopped after some shards, and gone on with where nobody may test or race again."""
    monkeypatch.setattr(sizes, "DRAWS_PER_SHARD", 500)
    make_worth_it(monkeypatch)
    monkeypatch.setattr(choosing, "race", lambda *_: [2.0, 1.0])
    assert run(sweep(), tmp_path / "whole").is_complete
    resumed = tmp_path / "resumed"
    with pytest.raises(Interrupted):
        run(sweep(), resumed, should_stop=lambda: len(list(resumed.glob("ledger/*"))) > 1)
    assert 1 < len(list(resumed.glob("ledger/*.json"))) < 6
    monkeypatch.setattr(choosing, "race", None)
    monkeypatch.setattr(choosing, "self_test", None)
    assert run(sweep(), resumed).is_complete
    (choice,) = read_manifest(OutputDirectory(resumed)).frozen.implementation.values()
    assert choice.name == "cpu"
    one, other = tables(resumed), tables(tmp_path / "whole")
    assert one == other
    assert len(one[1]) == 100


@needs_compiler
def test_status_and_the_report_say_what_draws(tmp_path, monkeypatch, capsys):
    assert run(sweep("cpu", PRIOR | {"draws": 500}), tmp_path / "out").is_complete
    monkeypatch.setattr(sys, "argv", ["sweep-engine", "status", str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        cli.main()
    assert "draws is drawn by cpu: asked for; agreed with XLA" in capsys.readouterr().out
    provenance = dict(_provenance(OutputDirectory(tmp_path / "out"), Study.open(tmp_path / "out")))
    assert provenance["draws drawn by"].startswith("cpu: asked for; agreed with XLA")
