"""One compilation per (bucket, program), whatever is swept and however many shards there are."""

import contextlib

import jax
import pytest

from sweep_engine import execution, planning
from sweep_engine.execution.programs.kept import KEPT
from sweep_engine.lanes import Program
from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.stepped.single_run import SteppedRun
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.sources import sizes

TASK = {
    "task": {"kind": "boolean", "bits": 3, "target": "x1 & x2", "train": 6},
    "model": {"kind": "mlp", "widths": [5]},
    "observables": ("norms", "function"),
    "execution": {"lanes": 16},
}
INIT = {"kind": "lecun_normal", "scale": 1.0}
STOP = {"max_steps": 60}

SOURCES = {
    "sgd": (
        {
            "kind": "train",
            "init": INIT,
            "optimizer": {
                "kind": "sgd",
                "schedule": {"kind": "cosine", "steps": 40},
            },
            "batch_size": 4,
            "stop": STOP | {"train_loss": 1e-3},
            "runs": 24,
        },
        {
            "init.scale": [0.5, 1.0, 2.0],
            "optimizer.learning_rate": [0.01, 0.1, 1.0],
            "optimizer.momentum": [0.0, 0.5, 0.9],
            "optimizer.l2": [0.0, 0.1, 0.2],
            "optimizer.weight_decay": [0.2, 0.1, 0.0],
            "optimizer.schedule.steps": [10, 20, 40],
            "optimizer.schedule.final_fraction": [0.0, 0.1, 1.0],
            "stop.max_steps": [20, 40, 60],
            "stop.train_loss": [1e-3, 1e-2, 1e-1],
        },
    ),
    "adam": (
        {
            "kind": "train",
            "init": {"kind": "fan_in"},
            "optimizer": {"kind": "adam"},
            "stop": STOP,
            "runs": 24,
        },
        {
            "init.weight_std": [1.0, 2.0],
            "init.bias_std": [0.0, 0.1],
            "optimizer.learning_rate": [0.01, 0.1],
            "optimizer.b1": [0.8, 0.9],
            "optimizer.b2": [0.99, 0.999],
            "optimizer.eps": [1e-8, 1e-4],
        },
    ),
    "box": (
        {"kind": "prior", "law": {"kind": "box"}, "draws": 200, "keep": 20},
        {"law.half_width": [0.5, 1.0, 2.0]},
    ),
    "guess": (
        {"kind": "guess_and_check", "law": {"kind": "gaussian"}, "draws": 200},
        {"law.std": [0.5, 1.0, 2.0]},
    ),
}
"""What each source runs, and the fields that are swept over the runs of its one program."""

PROGRAMS = {"sgd": 2, "adam": 2, "box": 3, "guess": 3}
"""Training: advance, observe. Drawing: scan, draw, observe."""

AHEAD = {name: (source, PROGRAMS[name]) for name, (source, _) in SOURCES.items()} | {
    "posterior": (
        {
            "kind": "posterior",
            "law": {"kind": "gaussian"},
            "method": "hmc",
            "integration_steps": 2,
            "chains": 2,
            "draws": 10,
            "warmup": 4,
        },
        3,
    ),
    "teacher": (
        {
            "kind": "posterior",
            "method": "sgld",
            "start": "teacher",
            "step_size": 1e-3,
            "chains": 2,
            "draws": 4,
            "warmup": 2,
        },
        3,
    ),
    "splitting": (
        {
            "kind": "splitting",
            "law": {"kind": "gaussian"},
            "particles": 128,
            "repetitions": 1,
            "moves": 8,
        },
        5,
    ),
}
"""Sources, and how many programs each has. Sampling: start, advance, observe. Splitting: start,
select, move, end, observe."""


def _sweep(*names, axes=None):
    swept = [
        {f"sources.{name}.{path}": values for path, values in SOURCES[name][1].items()}
        for name in names
    ]
    return Sweep(
        name="compilations",
        sources={name: SOURCES[name][0] for name in names},
        axes=axes or {"zip": swept},
        **TASK,
    )


@contextlib.contextmanager
def _compilations():
    """Collect what jax itself compiles."""
    found = []

    def listen(event, duration, **details):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(details)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_a_run_compiles_each_program_of_each_bucket_once(monkeypatch, tmp_path):
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 30)
    monkeypatch.setattr(sizes, "DRAWS_PER_SHARD", 250)
    sweep = _sweep(*SOURCES)
    KEPT.clear()
    before = Program.num_compilations
    summary = execution.run(sweep, tmp_path / "out")
    assert summary.is_complete
    assert len(summary.plan.settings) == 11
    assert len(summary.plan.buckets) == len(SOURCES)
    assert summary.computed > 2 * len(SOURCES)
    assert Program.num_compilations - before == sum(PROGRAMS.values())


@pytest.mark.parametrize("name", SOURCES)
def test_jax_compiles_nothing_more_for_other_values_and_numbers_of_runs(name):
    sweep = _sweep(name)
    first, *others = settings(sweep)
    programs = open_source(first, sweep.seed, sweep.folder, sweep.observables, sweep.execution)
    with _compilations() as compiled:
        work(programs, [Piece(first, 0, 200)], Control())
    assert len(compiled) >= PROGRAMS[name]
    with _compilations() as compiled:
        work(programs, [Piece(setting, 30, 60) for setting in others], Control())
        work(programs, [Piece(first, 200, 205), Piece(others[0], 0, 70)], Control())
    assert compiled == []


@pytest.mark.parametrize("name", AHEAD)
def test_what_can_be_compiled_before_is_all_that_a_shard_calls(name):
    source, count = AHEAD[name]
    sweep = Sweep.model_validate(TASK | {"name": "ahead", "sources": {name: source}})
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, sweep.observables, sweep.execution)
    before = Program.num_compilations
    for program, arguments in programs.to_compile():
        program.compiled(*arguments)
    assert Program.num_compilations - before == count
    work(programs, [Piece(setting, 0, planning.num_runs(setting))], Control())
    assert Program.num_compilations - before == count


def _opened(name, **changes):
    sweep = Sweep.model_validate(
        TASK | {"name": "once", "sources": {"sgd": SOURCES[name][0] | changes}}
    )
    (setting,) = settings(sweep)
    return open_source(setting, sweep.seed, sweep.folder, sweep.observables, sweep.execution)


def test_a_start_is_traced_once(monkeypatch):
    """Trace it for the shapes of its states, and not again in the program that trains."""
    starts, start = [], SteppedRun.start

    def counted(*arguments):
        starts.append(arguments)
        return start(*arguments)

    monkeypatch.setattr(SteppedRun, "start", counted)
    timed = _opened("sgd").timed()
    timed.program.lowered(*timed.arguments)
    assert len(starts) == 1


KEY, WORDS = 4, 1
LANGEVIN = {"kind": "langevin", "learning_rate": 0.1}


@pytest.mark.parametrize(
    ("changes", "evaluations"),
    [
        ({"batch_size": "full"}, KEY + WORDS),
        ({}, 2 * (KEY + WORDS)),
        ({"batch_size": "full", "optimizer": LANGEVIN}, 2 * KEY + WORDS),
    ],
    ids=["a start", "and orders", "and noise"],
)
def test_a_program_makes_the_keys_that_it_draws_by(changes, evaluations):
    """Fold purpose and run into a key by four evaluations of the generator."""
    timed = _opened("sgd", **changes).timed()
    assert timed.program.lowered(*timed.arguments).as_text().count("call @rounds") == evaluations


def test_a_static_field_makes_a_bucket_of_its_own(tmp_path):
    axes = {"model.widths": [[4], [5]], "sources.box.law.half_width": [0.5, 1.0]}
    KEPT.clear()
    before = Program.num_compilations
    summary = execution.run(_sweep("box", axes=axes), tmp_path / "out")
    assert (len(summary.plan.settings), len(summary.plan.buckets)) == (4, 2)
    assert Program.num_compilations - before == 2 * PROGRAMS["box"]


@pytest.mark.parametrize("name", SOURCES)
def test_an_open_source_has_all_its_programs_before_threads_share_it(name):
    """Made on demand, two threads could make one each, and compile both."""
    sweep = _sweep(name)
    programs = open_source(settings(sweep)[0], 0, sweep.folder, (), sweep.execution)
    values = [*vars(programs).values(), *vars(programs.bucket).values()]
    made = [value for value in values if isinstance(value, Program)]
    assert len(made) == PROGRAMS[name]
