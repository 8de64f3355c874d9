"""Who trains a bucket: what is refused, tested and raced, what is frozen, and where it is said."""

import json
import shutil
import signal
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest

from sweep_engine import cli, stopping
from sweep_engine.densities import Study
from sweep_engine.errors import Interrupted, OutputError, PlanError, SpecError
from sweep_engine.execution import Quiet, run
from sweep_engine.execution.programs import attempts, choosing, trials
from sweep_engine.execution.programs import programs as programs_module
from sweep_engine.execution.programs.choosing import Disagrees, choose, expect
from sweep_engine.execution.programs.programs import Programs
from sweep_engine.execution.programs.trials import Pace, Patience, self_test
from sweep_engine.kernels import native
from sweep_engine.kernels.fused_training import implementations, plain
from sweep_engine.kernels.native import CannotBuild
from sweep_engine.lanes import for_platform
from sweep_engine.planning import plan
from sweep_engine.report.build import _provenance
from sweep_engine.sources import Rehearsed, open_source
from sweep_engine.sources.train.programs import TrainPrograms
from sweep_engine.sources.train.trial import TrainTrial
from sweep_engine.spec import Sweep, settings
from sweep_engine.store import OutputDirectory, open_results, read_failures
from sweep_engine.store.manifest import Choice, read_manifest
from sweep_engine.store.schema import file_metadata
from tests.kernels.compilers import needs_compiler
from tests.kernels.fused_training import raw
from tests.shell import call

SGD = {
    "kind": "train",
    "init": {"kind": "gaussian", "std": 0.7},
    "optimizer": {"kind": "sgd", "learning_rate": 0.5, "momentum": 0.8},
    "batch_size": 4,
    "stop": {"max_steps": 60},
    "runs": 12,
}
SWEEP = {
    "name": "choosing",
    "seed": 5,
    "task": {"kind": "boolean", "bits": 4, "target": "x1 ^ x2", "train": 9},
    "model": {"kind": "mlp", "widths": [16], "activation": "tanh"},
    "sources": {"sgd": SGD},
    "execution": {"lanes": 8},
}


def sweep(implementation="auto", source=(), **changes):
    execution = {"lanes": 8, "implementation": implementation} | changes.pop("execution", {})
    sources = {"sgd": SGD | dict(source)}
    return Sweep.model_validate(SWEEP | {"sources": sources, "execution": execution} | changes)


def opened(implementation="auto", source=(), **changes):
    one = sweep(implementation, source, **changes)
    (setting,) = settings(one)
    return open_source(setting, one.seed, one.folder, one.observables, one.execution), [setting]


def chosen(*given, **changes):
    return choose(*opened(*given, **changes), threads=1, should_stop=lambda: False)[0]


# --- what a kernel does not know ----------------------------------------------------------

STOP, TASK, MODEL = SGD["stop"], SWEEP["task"], SWEEP["model"]
COSINE = {"kind": "cosine", "steps": 9}
LINE = {"kind": "regression", "inputs": 3, "examples": 8}


def by(optimizer, batch_size=4, **fields):
    return {"source": {"optimizer": {"kind": optimizer, **fields}, "batch_size": batch_size}}


UNKNOWN = {
    "schedule cosine": by("sgd", schedule=COSINE),
    "optimiser rmsprop": by("rmsprop"),
    "optimiser langevin": by("langevin"),
    "optimiser random_search": by("random_search", "full"),
    "optimiser pattern_search": by("pattern_search", "full"),
    "optimiser adagrad": by("adagrad"),
    "optimiser group_rmsprop": by("group_rmsprop"),
    "optimiser sign": by("sign"),
    "optimiser lion": by("lion"),
    "optimiser muon": by("muon"),
    "optimiser sam": by("sam"),
    "optimiser sharpness_limited": by("sharpness_limited"),
    "optimiser straight_through": by("straight_through"),
    "clip_norm": by("sgd", clip_norm=1.0),
    "label_noise": {"source": {"label_noise": {"share": 0.1}}},
    "cross-entropy of three classes or more": {"task": TASK | {"loss": "softmax"}},
    "extra_steps": {"source": {"stop": STOP | {"extra_steps": 5}}},
    "snapshots": {"source": {"stop": STOP | {"snapshots": [0, 5]}}},
    "acceptance rule margin": {"accept": {"margin": {"above": 0.1}}},
    "acceptance rule loss": {"accept": {"loss": {"below": 0.1}, "normalise": "path"}},
    "acceptance rule train_error and loss": {
        "accept": {"train_error": 0.0, "loss": {"below": 0.1}}
    },
    "acceptance rule max_residual": {
        "accept": {"max_residual": 0.1},
        "task": TASK | {"loss": "squared"},
    },
    "activation sin": {"model": MODEL | {"activation": "sin"}},
    "which is no chain of dense layers": {
        "model": {"kind": "diagonal"},
        "task": LINE,
        "accept": {"train_loss": 0.1},
    },
    "precision fast": {"execution": {"precision": "fast"}},
    "more than 1024 units": {"model": MODEL | {"widths": [2048]}},
}


@pytest.mark.parametrize(("what", "change"), UNKNOWN.items(), ids=UNKNOWN)
def test_what_a_kernel_does_not_know_keeps_xla_and_is_refused_by_name(what, change):
    found = expect(*opened(**change))
    assert found.name == "xla"
    assert what in found.reason
    with pytest.raises(SpecError, match=r"sources.sgd: the cpu kernel does not know .*" + what):
        Programs(plan(sweep("cpu", **change))).open_all()


def test_a_pruning_mask_is_not_known():
    ticket = SGD | {"init": {"from": "sgd", "mask": {"keep": 0.5}}}
    one = Sweep.model_validate(SWEEP | {"sources": {"sgd": SGD, "ticket": ticket}})
    programs = Programs(plan(one))
    reasons = {
        programs.of(bucket).bucket.setting.source: programs.expected(bucket).reason
        for bucket in programs.plan.buckets
    }
    assert "pruning masks" in reasons["ticket"]
    assert "pruning masks" not in reasons["sgd"]


def test_little_work_is_left_to_xla_and_for_much_the_first_run_finds_out():
    assert expect(*opened()).reason.startswith("too little work")
    much = expect(*opened(source={"runs": 262_144, "stop": {"max_steps": 300}}))
    assert much.name == "auto"
    assert "the first run times XLA" in much.reason


def test_work_counts_with_that_of_buckets_alike():
    one, of_bucket = opened(source={"runs": 5000, "stop": {"max_steps": 300}})
    assert expect(one, of_bucket).name == "xla"
    assert expect(one, 50 * of_bucket).name == "auto"


@pytest.mark.parametrize(
    ("model", "kernel"),
    [
        (MODEL | {"widths": [12]}, "cpu_tiny"),
        (MODEL | {"widths": [16]}, "cpu"),
        (MODEL | {"widths": [12, 12]}, "cpu"),
        ({"kind": "cnn", "channels": [2]}, "cpu"),
        ({"kind": "residual", "width": 4, "blocks": 1}, "cpu"),
    ],
    ids=["12", "16", "12-12", "cnn", "residual"],
)
def test_networks_that_fill_no_vector_are_tried_in_lanes(model, kernel):
    """Refuse 12-12, as narrow but of 229 parameters; examples of the last two have a lane each."""
    programs, found = opened(model=model)
    assert programs.on_cpu == kernel
    assert f"races the {kernel} kernel" in expect(programs, 10**5 * found).reason


# --- tested and raced ---------------------------------------------------------------------


def make_worth_it(patch):
    """Let trials last, and XLA have been timed."""
    patch.setattr(choosing, "TRIAL_SHARE", 1e9)
    patch.setattr(choosing, "pace_of", lambda *_: Pace(1.0, float("inf"), 16))


@pytest.fixture
def worth_it(monkeypatch):
    make_worth_it(monkeypatch)


@needs_compiler
def test_a_kernel_that_agrees_and_wins_is_taken(worth_it, monkeypatch):
    monkeypatch.setattr(choosing, "race", lambda *_: [2.0, 1.0])
    found = chosen()
    assert found.name == "cpu"
    assert found.reason.startswith("agreed with XLA to ")
    assert "2 network-steps per processor-second against 1 by XLA" in found.reason


@needs_compiler
def test_a_kernel_that_loses_is_not(worth_it, monkeypatch):
    monkeypatch.setattr(choosing, "race", lambda *_: [1.0, 2.0])
    found = chosen()
    assert found.name == "xla"
    assert found.reason.startswith("faster: the cpu kernel does 1 network-steps")


@needs_compiler
def test_the_race_is_between_programs_that_take_the_same_steps():
    contenders = [opened(name)[0] for name in ("cpu", "xla")]
    speeds = trials.race(contenders, 2, 16, Patience(lambda: False))
    assert all(speed > 0 for speed in speeds)
    taken = [trials.timed(programs, 16, 2).done.units for programs in contenders]
    assert taken[0] == taken[1] > 0


@pytest.mark.parametrize(
    ("rates", "known", "calls"),
    [((1, 2), 0, 6), ((1, 4), 0, 2), ((4, 1), 0, 2), ((4, 1), 1, 1), ((2, 1), 1, 6)],
)
def test_a_race_ends_once_it_is_decided(rates, known, calls, monkeypatch):
    raced = []

    def timed(rate, *_):
        raced.append(rate)
        return trials.Timing(1.0, 1.0, Rehearsed(rate, 0))

    monkeypatch.setattr(trials, "timed", timed)
    assert trials.race(rates, 1, 16, Patience(lambda: False), (0.0, known)) == list(rates)
    assert len(raced) == calls


def test_the_pace_of_xla_counts_how_long_runs_are(xla, monkeypatch):
    """Of 8 lanes, each with some steps until it ends: their mean, where all of them have."""
    monkeypatch.setattr(trials, "CALL_SECONDS", float("inf"))  # to the longest call
    found = trials.pace_of(xla, 1, Patience(lambda: False))
    states = xla.advance(*xla.first_segment(1000, xla.example))
    assert found.units_per_run == pytest.approx(np.mean(states.step))
    assert np.std(states.step) > 0
    seconds = found.seconds(opened(source={"runs": 600})[1])
    assert seconds == pytest.approx(600 * np.mean(states.step) / found.rate)


def test_of_runs_of_which_none_has_ended_each_takes_all_its_steps():
    found = Pace(rate=10.0, units_per_run=float("inf"), length=16)
    assert found.seconds(opened()[1]) == 12 * 60 / 10


def test_a_bucket_that_xla_ends_soon_is_left_to_it(monkeypatch):
    """A tenth of what XLA was seen to take is less than a trial; and the build is ended."""
    monkeypatch.setattr(choosing, "UNIT_SECONDS", 1.0)  # but that was thought to take minutes
    monkeypatch.setattr(choosing, "pace_of", lambda *_: Pace(1e9, float("inf"), 16))
    ended = []
    monkeypatch.setattr(TrainPrograms, "build", lambda self: None)
    monkeypatch.setattr(native, "end_compilers", lambda: ended.append(True))
    found = chosen()
    assert found.name == "xla"
    assert found.reason.startswith("too little work for a kernel: XLA takes")
    assert ended


def test_a_trial_ends_when_its_share_of_the_time_is_over(monkeypatch):
    """The compiler hangs; 720 steps at 1 s each give it a 7,200th of a second of patience."""
    make_worth_it(monkeypatch)
    monkeypatch.setattr(choosing, "TRIAL_SHARE", 1e-7)
    monkeypatch.setattr(choosing, "TRIAL_SECONDS", 0.0)
    hangs = threading.Event()
    monkeypatch.setattr(TrainPrograms, "build", lambda self: hangs.wait())
    found = chosen()
    hangs.set()
    assert found.name == "xla"
    assert found.reason.startswith("a trial of the cpu kernel takes more than it may")


def test_a_signal_does_not_wait_for_a_compiler(worth_it, monkeypatch):
    hangs, asked = threading.Event(), threading.Event()

    def build(self):
        asked.set()
        hangs.wait()

    monkeypatch.setattr(TrainPrograms, "build", build)
    with pytest.raises(Interrupted, match="kernels were tried"):
        choose(*opened(), threads=1, should_stop=asked.is_set)
    assert not hangs.is_set(), "nobody has let the compiler go on"
    hangs.set()


def test_what_is_asked_for_is_taken_whoever_is_faster(monkeypatch):
    monkeypatch.setattr(choosing, "race", None)
    assert chosen("xla") == Choice("xla", "asked for")
    assert chosen("cpu").reason.startswith("asked for; agreed")


@pytest.mark.parametrize(("name", "device"), [("cuda", "gpu"), ("tpu", "tpu")])
def test_a_kernel_for_another_device_is_refused(name, device):
    with pytest.raises(CannotBuild, match=f"needs a {device}, and this is a cpu"):
        chosen(name)
    assert "not verified on this device" in expect(*opened(name)).reason


def test_without_a_compiler_auto_says_so_and_takes_xla(worth_it, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    never_built = {"task": SWEEP["task"] | {"train": 8}}
    implementations.cpu.build.cache_clear()
    found = chosen(**never_built)
    assert found.name == "xla"
    assert "no C++ compiler" in found.reason
    with pytest.raises(PlanError, match=r"execution.implementation: no C\+\+ compiler"):
        run(sweep("cpu", **never_built), tmp_path / "out")


def wrong(field, factor):
    def train(case, checks, state, hyper, *rest, num_records):
        hyper = hyper._replace(**{field: factor * getattr(hyper, field)})
        return plain.train_segment(case, checks, state, hyper, *rest, num_records=num_records)

    return train


def one_step_too_few(case, checks, state, hyper, limits, data, segment, *, num_records):
    fewer = segment._replace(num_turns=jnp.maximum(segment.num_turns - 1, 0))
    return plain.train_segment(
        case, checks, state, hyper, limits, data, fewer, num_records=num_records
    )


def other_examples(case, checks, state, hyper, limits, data, segment, *, num_records):
    rolled = segment._replace(indices=jnp.roll(segment.indices, 1, axis=1))
    return plain.train_segment(
        case, checks, state, hyper, limits, data, rolled, num_records=num_records
    )


WRONG = {
    "rate": wrong("learning_rate", 1.05),
    "momentum": wrong("momentum", 0.9),
    "l2": wrong("l2", 0.8),
    "weight decay": wrong("weight_decay", 0.8),
    "steps": one_step_too_few,
    "examples": other_examples,
}
SUBTLE = {"momentum", "l2", "examples"}
"""Left to the long tests, because each compiles a program."""


@pytest.fixture(scope="module")
def xla():
    return opened("xla")[0]


@needs_compiler
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.long] * (n in SUBTLE)) for n in WRONG]
)
def test_the_self_test_catches_a_wrong_kernel(name, xla, monkeypatch):
    monkeypatch.setitem(implementations.TRAIN, "cpu", WRONG[name])
    with pytest.raises(Disagrees, match="differs from XLA"):
        self_test(xla.by("cpu"), xla)


def test_the_self_test_passes_what_is_right(xla, monkeypatch):
    """The kernels' own reference: another program for the same training."""
    monkeypatch.setitem(implementations.TRAIN, "cpu", plain.train_segment)
    assert self_test(xla.by("cpu"), xla).startswith("agreed with XLA to")


@pytest.mark.long
def test_the_tpu_kernel_passes_the_self_test_where_it_is_interpreted(xla, monkeypatch):
    monkeypatch.setitem(implementations.TRAIN, "tpu", raw.tpu_interpreted)
    assert self_test(xla.by("tpu"), xla).startswith("agreed with XLA to")


# --- on an accelerator, in whose place the CPU stands --------------------------------------


@pytest.fixture
def on_gpu(worth_it, monkeypatch, tmp_path):
    """`auto` finds a GPU, and a kernel for it that is the reference: it passes the self-test."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(TrainPrograms, "build", lambda self: None)
    monkeypatch.setitem(implementations.TRAIN, "cuda", plain.train_segment)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return monkeypatch


def seconds_by_the_clock(patch, **clocks):
    """Have calls take these seconds by the clock; none takes processor time to speak of."""

    def timed(programs, length, threads):
        return trials.Timing(1e-9, clocks[programs.implementation], Rehearsed(6, 0))

    patch.setattr(trials, "timed", timed)


def notes(cache):
    return list(cache.glob("sweep_engine/self_tests/*"))


def test_on_a_device_a_kernel_that_agrees_and_wins_by_the_clock_is_taken(on_gpu, tmp_path):
    seconds_by_the_clock(on_gpu, cuda=2.0, xla=3.0)
    found = chosen()
    assert found.name == "cuda"
    assert found.reason.startswith("agreed with XLA to ")
    assert found.reason.endswith("; 3 network-steps per second against 2 by XLA")
    assert not notes(tmp_path / "cache"), "a self-test that has ended leaves none"


def test_on_a_device_a_kernel_that_loses_by_the_clock_is_not(on_gpu):
    seconds_by_the_clock(on_gpu, cuda=3.0, xla=2.0)
    found = chosen()
    assert found.name == "xla"
    assert found.reason.startswith("faster: the cuda kernel does 2 network-steps per second")


def test_on_a_device_a_kernel_that_disagrees_is_not(on_gpu):
    on_gpu.setattr(choosing, "race", None)
    on_gpu.setitem(implementations.TRAIN, "cuda", WRONG["rate"])
    found = chosen()
    assert found.name == "xla"
    assert found.reason.startswith("the cuda kernel differs from XLA by ")


def test_a_kernel_that_the_device_refuses_is_not_and_by_name_that_is_said(on_gpu, tmp_path):
    def refuse(*_, **__):
        raise jax.errors.JaxRuntimeError("INTERNAL: illegal address")

    on_gpu.setitem(implementations.TRAIN, "cuda", refuse)
    said = "the cuda kernel fails on this device: INTERNAL: illegal address"
    assert chosen() == Choice("xla", said)
    with pytest.raises(CannotBuild, match=said):
        chosen("cuda")
    assert not notes(tmp_path / "cache")


def test_a_self_test_that_ended_its_process_is_not_tried_again_but_by_name(on_gpu, tmp_path):
    on_gpu.setattr(TrainTrial, "self_test", lambda *_: "agreed")
    seconds_by_the_clock(on_gpu, cuda=2.0, xla=3.0)
    with subprocess.Popen(["true"]) as ended:
        pass
    with attempts.noted("cuda", trials._device_kind()):
        (note,) = notes(tmp_path / "cache")
        assert chosen().name == "cuda", "whoever tests it now is alive"
    note.write_text(str(ended.pid))
    found = chosen()
    assert found.name == "xla"
    assert "a self-test of the cuda kernel ended its process on this device" in found.reason
    assert chosen("cuda").reason.startswith("asked for; agreed")
    assert chosen().name == "cuda", "it has passed"


def test_a_self_test_whose_user_left_is_tried_again_but_not_one_that_was_stuck(
    on_gpu, tmp_path, monkeypatch
):
    for stuck, kept in ((attempts.STUCK_SECONDS, 0), (0.0, 1)):
        monkeypatch.setattr(attempts, "STUCK_SECONDS", stuck)
        stop = stopping.Stop(lambda _: None, lambda _: None)
        monkeypatch.setattr(stopping, "_current", stop)
        with attempts.noted("cuda", "a GPU"):
            stop.heed(signal.SIGINT)
            assert len(notes(tmp_path / "cache")) == kept


def test_a_note_that_cannot_be_written_is_done_without(monkeypatch):
    def full(name):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(attempts, "cache_folder", full)
    with attempts.noted("cuda", "a GPU"):
        assert not attempts.ended_its_process("cuda", "a GPU")


def test_of_several_devices_one_is_timed_for_all(on_gpu):
    """Two devices do in 5 s what one does in 10: a tenth of it is less than a trial's 0.9 s."""
    paces = []

    def pace_of(programs, threads, patience):
        paces.append(threads)
        return Pace(72.0, float("inf"), 16)  # 12 runs of 60 steps

    on_gpu.setattr(choosing, "pace_of", pace_of)
    on_gpu.setattr(choosing, "expect", lambda *_: Choice("auto", ""))
    on_gpu.setattr(choosing, "TRIAL_SHARE", 0.1)
    on_gpu.setattr(choosing, "TRIAL_SECONDS", 0.9)
    found, _ = choose(*opened(), threads=2, should_stop=lambda: False)
    assert found.reason.startswith("too little work for a kernel")
    assert paces == [1]


def test_what_no_kernel_of_the_platform_knows_is_left_to_xla(monkeypatch):
    with for_platform("gpu"):
        found = expect(*opened(model=MODEL | {"widths": [1024]}))
        assert found == Choice("xla", "the cuda kernel does not know layers of more than 512 units")
    with for_platform("rocm"):
        found = expect(*opened())
        assert found == Choice("xla", "there is no kernel of network-steps for rocm")


# --- frozen, and said ---------------------------------------------------------------------


class Notes(Quiet):
    """Keeps what a run says."""

    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A complete sweep whose kernel won, and what was said meanwhile; copied for each test."""
    out, notes = tmp_path_factory.mktemp("first") / "out", Notes()
    with pytest.MonkeyPatch.context() as patch:
        make_worth_it(patch)
        patch.setattr(choosing, "race", lambda *_: [2.0, 1.0])
        assert run(sweep(), out, display=notes).is_complete
    return out, notes.lines


@pytest.fixture
def begun(first, worth_it, monkeypatch, tmp_path):
    """That sweep, whose race nobody may run again."""
    shutil.copytree(first[0], tmp_path / "out")
    monkeypatch.setattr(choosing, "race", None)
    monkeypatch.setattr(choosing, "self_test", None)
    return tmp_path / "out"


def implementation_of(out):
    return list(read_manifest(OutputDirectory(out)).frozen.implementation.values())


@needs_compiler
def test_the_first_run_says_what_it_tries_and_what_it_takes(first):
    _, lines = first
    assert lines[0] == "building and testing kernels for 1 bucket(s)"
    assert "is trained by cpu: agreed with XLA to" in lines[1]


def test_a_plan_says_what_can_be_known(worth_it, monkeypatch, tmp_path, capsys):
    """It builds and races nothing."""
    for name in ("choose", "race", "self_test"):
        monkeypatch.setattr(choosing, name, None)
    monkeypatch.setattr(TrainPrograms, "build", None)
    for asked, said in {
        "auto": "trained by auto: the first run times XLA (about",
        "cpu": "trained by cpu: asked for; built and tested at the first run",
        "cuda": "trained by cuda: asked for; not verified on this device",
    }.items():
        path = tmp_path / "sweep.yaml"
        path.write_text(json.dumps(SWEEP | {"execution": {"implementation": asked}}))
        monkeypatch.setattr(sys, "argv", ["sweep-engine", "plan", str(path)])
        with pytest.raises(SystemExit):
            cli.main()
        assert said in capsys.readouterr().out


def test_a_trial_that_is_interrupted_freezes_nothing(worth_it, monkeypatch, tmp_path):
    """A signal may stop the compiler too, which must not pass for a reason against the kernel."""
    stopped = []

    def refuse(*_):
        stopped.append(True)
        raise CannotBuild("the compiler failed")

    monkeypatch.setattr(TrainPrograms, "build", refuse)
    with pytest.raises(Interrupted, match="kernels were tried"):
        run(sweep(), tmp_path / "out", should_stop=lambda: bool(stopped))
    assert not (tmp_path / "out" / "sweep.json").exists()


@pytest.mark.parametrize("num_tried", [1, 2])
def test_choices_made_before_an_interruption_are_kept(num_tried, worth_it, monkeypatch, tmp_path):
    out, tried = tmp_path / "out", []
    three = sweep(source={"runs": 2}, axes={"model.widths": [[3], [4], [5]]})

    def agree(kernel, xla):
        tried.append(kernel.bucket.setting.model.widths)
        return "agreed"

    def lose(contenders, threads, length, patience, known):
        patience.go_on()
        return [1.0, 1.0 + len(tried)]

    monkeypatch.setattr(TrainPrograms, "build", lambda self: None)
    monkeypatch.setattr(choosing, "self_test", agree)
    monkeypatch.setattr(choosing, "race", lose)
    with pytest.raises(Interrupted):
        run(three, out, should_stop=lambda: len(tried) > num_tried)
    kept = implementation_of(out)
    assert len(kept) == num_tried
    assert call("status", out).code == 0
    del tried[:]
    assert run(three, out).is_complete
    assert len(tried) == 3 - num_tried, "what was found is not found out again"
    assert implementation_of(out)[:num_tried] == kept
    assert len(implementation_of(out)) == 3


def test_buckets_alike_share_one_trial(worth_it, monkeypatch, tmp_path):
    """Laws differ, and the kernel is the same; of another width it is another."""
    tried, notes = [], Notes()
    laws = [{"kind": "gaussian"}, {"kind": "fan_in"}]
    axes = {"sources.sgd.init": laws, "model.widths": [[3], [4]]}
    many = sweep(source={"runs": 2}, axes=axes)

    def agree(kernel, xla):
        tried.append(kernel.bucket.setting.model.widths)
        return "agreed"

    monkeypatch.setattr(TrainPrograms, "build", lambda self: None)
    monkeypatch.setattr(choosing, "self_test", agree)
    monkeypatch.setattr(choosing, "race", lambda *_: [1.0, 2.0])
    assert run(many, tmp_path / "out", display=notes).is_complete
    assert sorted(tried) == [(3,), (4,)]
    choices = implementation_of(tmp_path / "out")
    assert len(choices) == 4
    assert {choice.name for choice in choices} == {"xla"}
    assert notes.lines[0] == "building and testing kernels for 4 bucket(s)"
    assert "and 1 like it is trained by xla" in notes.lines[1]


@needs_compiler
def test_a_choice_is_frozen_and_kept_when_the_sweep_grows(begun):
    (before,) = implementation_of(begun)
    assert before.name == "cpu"
    assert run(sweep(source={"runs": 20}), begun).is_complete
    assert implementation_of(begun) == [before]
    assert len(open_results(begun).runs()) == 20


@needs_compiler
def test_a_resume_that_cannot_build_the_kernel_says_what_to_do(begun, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another_machine"))
    monkeypatch.setenv("PATH", str(tmp_path))
    implementations.cpu.build.cache_clear()
    rows = len(open_results(begun).runs())
    with pytest.raises(OutputError, match=r"begun with a kernel.*apt-get.*another --out"):
        run(sweep(source={"runs": 20}), begun)
    assert len(open_results(begun).runs()) == rows


@needs_compiler
def test_a_worker_that_cannot_build_the_kernel_fails_its_shards(begun, tmp_path, monkeypatch):
    """As one of another machine than the one that was asked before the start."""
    grown = sweep(source={"runs": 20})
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(programs_module, "check_frozen", lambda programs: None)
        elsewhere.setenv("XDG_CACHE_HOME", str(tmp_path / "another_machine"))
        elsewhere.setenv("PATH", str(tmp_path))
        implementations.cpu.build.cache_clear()
        assert run(grown, begun).failed == 1
    (failure,) = read_failures(OutputDirectory(begun).files).values()
    assert "no C++ compiler" in failure.error
    assert run(grown, begun).is_complete
    assert [choice.name for choice in implementation_of(begun)] == ["cpu"]


@needs_compiler
def test_the_choice_and_its_reason_stand_everywhere(begun, monkeypatch, capsys):
    reason = implementation_of(begun)[0].reason

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["sweep-engine", *map(str, words)])
        cli.main()
        return capsys.readouterr().out

    with pytest.raises(SystemExit):
        call("status", begun)
    assert f"sgd is trained by cpu: {reason}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call("status", begun, "--json")
    (said,) = json.loads(capsys.readouterr().out)["implementation"].values()
    assert said == {"name": "cpu", "reason": reason}
    (path,) = begun.glob("runs/*/*/*.parquet")
    metadata = file_metadata(pq.read_schema(path))
    assert (metadata["implementation"], metadata["implementation_reason"]) == ("cpu", reason)
    provenance = dict(_provenance(OutputDirectory(begun), Study.open(begun)))
    assert provenance["sgd trained by"] == f"cpu: {reason}"
