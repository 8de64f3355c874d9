"""Programs stay for the next run of a process, and only where it would make the same ones."""

import copy
from collections import Counter
from typing import Any

import numpy as np
import pytest

from sweep_engine.execution import Programs, run
from sweep_engine.execution.programs.kept import KEPT, Kept
from sweep_engine.lanes import Program
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep
from sweep_engine.spec.load import pin_files
from tests.execution.test_resume import tables

SWEEP: dict[str, Any] = {
    "name": "kept",
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 3},
    "model": {"kind": "mlp", "widths": [2]},
    "accept": {"train_error": 0.0},
    "sources": {"sgd": {"kind": "train", "optimizer": {"kind": "sgd", "learning_rate": 0.1},
                        "stop": {"max_steps": 20}, "runs": 8}},
    "observables": ["norms"],
    "execution": {"lanes": 4, "implementation": "xla"},
}  # fmt: skip

OTHERS = {
    "sources.sgd.runs": 9, "sources.sgd.optimizer.kind": "adam", "task.target": "x2",
    "sources.sgd.init": {"kind": "he_normal"}, "task.train": 4, "model.widths": [3],
    "accept.train_error": 0.5, "observables": ["norms", "function"], "execution.lanes": 8,
    "execution.precision": "fast", "seed": 1,
}  # fmt: skip
"""List what decides a program, or may: all but a traced value."""


def with_value(path: str, value: Any) -> dict[str, Any]:
    """Copy the sweep with another value at a path."""
    changed = copy.deepcopy(SWEEP)
    *places, last = path.split(".")
    target = changed
    for place in places:
        target = target[place]
    target[last] = value
    return changed


def opened(document: dict[str, Any]) -> Any:
    """Open the programs of a sweep of one bucket, as a run does."""
    planned = plan(pin_files(Sweep.model_validate(document)))
    (bucket,) = planned.buckets
    return Programs(planned).of(bucket)


def test_a_second_run_compiles_nothing_and_has_the_same_bits(tmp_path):
    KEPT.clear()
    sweep = Sweep.model_validate(SWEEP)
    run(sweep, tmp_path / "first")
    before = Program.num_compilations
    run(sweep, tmp_path / "second")
    assert Program.num_compilations == before
    KEPT.clear()
    run(sweep, tmp_path / "anew")
    assert Program.num_compilations > before
    assert tables(tmp_path / "first") == tables(tmp_path / "second") == tables(tmp_path / "anew")


def test_another_step_size_is_an_argument_of_the_same_program(tmp_path):
    changed = with_value("sources.sgd.optimizer.learning_rate", 0.2)
    assert opened(changed) is opened(SWEEP)
    run(Sweep.model_validate(SWEEP), tmp_path / "slow")
    run(Sweep.model_validate(changed), tmp_path / "shared")
    KEPT.clear()
    run(Sweep.model_validate(changed), tmp_path / "anew")
    assert tables(tmp_path / "shared") == tables(tmp_path / "anew") != tables(tmp_path / "slow")


@pytest.mark.parametrize("path", OTHERS)
def test_whatever_may_shape_a_program_makes_another(path):
    assert opened(with_value(path, OTHERS[path])) is not opened(SWEEP)


def test_widths_that_follow_the_runs_are_not_mistaken():
    free = with_value("execution", {"implementation": "xla"})
    few, many = copy.deepcopy(free), copy.deepcopy(free)
    few["sources"]["sgd"]["runs"], many["sources"]["sgd"]["runs"] = 16, 4096
    assert opened(few).bucket.lanes < opened(many).bucket.lanes


def test_a_data_file_may_be_another_by_the_next_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("rows.npz", x=np.eye(4, dtype=np.float32), y=np.array([0, 1, 0, 1]))
    document = SWEEP | {"task": {"kind": "file", "path": "rows.npz", "train": 3}}
    assert opened(document) is not opened(document)


def test_those_asked_for_last_stay():
    made = Counter[str]()

    def ask(name: str) -> Any:
        def make() -> Any:
            made[name] += 1
            return object()

        return kept.of(name, make)

    kept = Kept(most=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        ask(name)
    assert made == {"a": 1, "b": 2, "c": 1}


def test_programs_that_failed_to_open_are_tried_again():
    kept = Kept()

    def refuse() -> Any:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            kept.of("a", refuse)
