"""Programs of buckets that are done are let go: memory does not grow with their number."""

import gc
import threading
import weakref
from functools import partial
from pathlib import Path

import pytest

from sweep_engine.execution import Programs, run
from sweep_engine.execution.programs.kept import KEPT
from sweep_engine.execution.worker import worker as worker_module
from sweep_engine.execution.worker.idle import Idle
from sweep_engine.lanes import Program
from sweep_engine.machine import usable_cores
from sweep_engine.spec import Sweep


class Gone(list[str]):
    """The buckets that were let go, in order."""


def work(idle: Idle, *buckets: str) -> None:
    for bucket in buckets:
        with idle.working_on(bucket):
            pass


def test_the_one_that_was_left_first_goes_first() -> None:
    gone = Gone()
    work(Idle(gone.append, kept=2), "a", "b", "a", "c", "d")
    assert gone == ["b", "a"]


def test_one_that_is_worked_on_stays_however_many_come_and_go() -> None:
    gone = Gone()
    idle = Idle(gone.append, kept=1)
    with idle.working_on("a"):
        work(idle, "a", *"bcde")
        assert gone == ["b", "c", "d"]
    work(idle, "a")
    assert gone == ["b", "c", "d", "e"]


def test_two_that_work_on_one_bucket_must_both_have_left() -> None:
    gone = Gone()
    idle = Idle(gone.append, kept=0)
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with idle.working_on("a"):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    work(idle, "a")
    assert gone == []
    leave.set()
    thread.join()
    assert gone == ["a"]


def sweep_of(widths: list[list[int]]) -> Sweep:
    return Sweep.model_validate(
        {
            "name": "widths",
            "task": {"kind": "boolean", "bits": 2, "target": "x1", "train": 2},
            "model": {"kind": "mlp", "widths": [2]},
            "sources": {"box": {"kind": "prior", "law": {"kind": "box"}, "draws": 4}},
            "axes": {"model.widths": widths},
            "execution": {"lanes": 4, "implementation": "xla"},
        }
    )


def test_a_run_keeps_the_programs_of_few_buckets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Program]] = []
    prepare = Program.__init__

    def remember(self: Program, *arguments: object, **options: object) -> None:
        prepare(self, *arguments, **options)  # type: ignore[arg-type]  # as they came
        made.append(weakref.ref(self))

    alive: list[int] = []
    let_go = Programs.let_go

    def count(self: Programs, name: str) -> None:
        let_go(self, name)
        gc.collect()
        programs = [each() for each in made]
        alive.append(sum(each is not None and each._compiled is not None for each in programs))

    monkeypatch.setattr(Program, "__init__", remember)
    monkeypatch.setattr(Programs, "let_go", count)
    monkeypatch.setattr(worker_module, "Idle", partial(Idle, kept=1))
    monkeypatch.setattr(KEPT, "most", 0)
    assert run(sweep_of([[1], [2], [3], [4]]), tmp_path / "out").is_complete
    assert len(alive) == 3
    a_bucket, cores = 3, usable_cores()  # draw, scan, observe
    assert max(alive) <= a_bucket * (1 + cores)
