"""The script for the day a GPU is at hand: its parts, and that one that fails stops no other."""

import ast
import inspect
import json
import subprocess
import sys

import pytest

from tests.benchmarks import gpu, gpu_parts, sanitizer
from tests.benchmarks.gpu import PARTS, TOTAL_SECONDS, Part, run_parts


def test_every_part_is_there_and_the_first_ones_fit():
    """What is told first fits the time of all; a part that is written is one that is run."""
    written = {name for name, f in inspect.getmembers(gpu_parts, inspect.isgeneratorfunction)
               if not name.startswith("_")}  # fmt: skip
    assert written == {part.name for part in PARTS}
    assert all(list(inspect.signature(getattr(gpu_parts, part.name)).parameters)
               == ["folder", "rehearse"] for part in PARTS)  # fmt: skip
    assert sum(part.seconds for part in PARTS[:6]) <= TOTAL_SECONDS


OPTIONAL = {"sweep_engine.bench.training.pytorch"}
"""Lists what is imported only where its packages are."""


def test_parts_import_nothing_that_a_bare_machine_lacks():
    """Its packages are listed in README.md of the benchmarks: none draws, and Ray is not there."""
    nodes = ast.walk(ast.parse(inspect.getsource(gpu_parts)))
    wanted = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    wanted = {name for name in wanted if name.startswith("sweep_engine")} - OPTIONAL
    assert "sweep_engine.bench.machine" in wanted
    lacking = "matplotlib", "plotly", "jinja2", "ray", "torch"
    code = f"import sys; sys.modules |= dict.fromkeys({lacking}); import {', '.join(wanted)}"
    subprocess.run([sys.executable, "-c", code], check=True)


CODE = {
    "works": "import json, sys; open(sys.argv[1], 'w').write(json.dumps({'found': 1}))",
    "fails": "import json, sys; open(sys.argv[1], 'w').write(json.dumps({'half': 1}));"
    "raise ValueError('no such device')",
    "hangs": "import time; time.sleep(60)",
    "ends": "import os; os._exit(7)",
}


@pytest.fixture
def ran(tmp_path):
    """Run them in an order in which something comes after each that goes wrong."""
    parts = [Part(name, 0.7 if name == "hangs" else 20) for name in ("fails", "hangs", "ends")]
    found = run_parts([*parts, Part("works", 20)], tmp_path, lambda part, place: [
        sys.executable, "-S", "-c", CODE[part.name], str(place)
    ])  # fmt: skip
    return found, tmp_path


def test_a_part_that_fails_or_hangs_says_why_and_the_next_goes_on(ran):
    found, folder = ran
    assert found["fails"]["failed"] == "ValueError: no such device"
    assert found["fails"]["half"] == 1  # what it had written stays
    assert found["hangs"]["failed"] == "out of time after 1 s"
    assert found["ends"]["failed"] == "exit code 7"
    assert found["works"]["found"] == 1
    assert "failed" not in found["works"]
    assert json.loads((folder / "gpu.json").read_text()) == found
    assert json.loads((folder / "hangs.json").read_text()) == found["hangs"]


def test_without_time_the_last_parts_are_left_out_and_say_so(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "LEAST_SECONDS", 0.5)

    def command(part, place):
        return [sys.executable, "-S", "-c", CODE["hangs"], str(place)]

    found = run_parts([Part("first", 60), Part("last", 60)], tmp_path, command, total=0.8)
    assert "out of time" in found["first"]["failed"]
    assert "left out" in found["last"]["failed"]


def as_sanitizer(folder, *lines, code=0):
    """Write a compute-sanitizer that checks nothing, says some lines and how it was called."""
    place = folder / "compute-sanitizer"
    said = "\n".join(f"echo '{line}'" for line in lines)
    place.write_text(f'#!/bin/sh\necho "$@" >> {folder}/called\n{said}\nexit {code}\n')
    place.chmod(0o755)
    return str(place)


def test_the_sanitizers_errors_are_told_with_the_first_of_them(tmp_path):
    lines = [
        "Invalid __global__ read of size 4 bytes",
        "    at train_segment",
        "ERROR SUMMARY: 2 errors",
    ]
    program = as_sanitizer(tmp_path, *(f"========= {line}" for line in lines), code=9)
    found = sanitizer.check(program, "memcheck", "cuda")
    assert (found["errors"], found["exit_code"]) == (2, 9)
    assert found["first"] == [f"========= {line}" for line in lines]
    hazards = as_sanitizer(tmp_path, "========= RACECHECK SUMMARY: 1 hazard displayed (1 error)")
    assert sanitizer.check(hazards, "racecheck", "cuda")["errors"] == 1
    none = as_sanitizer(tmp_path, "========= ERROR SUMMARY: 0 errors")
    assert sanitizer.check(none, "initcheck", "cuda") == {"errors": 0, "exit_code": 0}
    unable = as_sanitizer(tmp_path, "========= Error: no GPU", code=255)
    assert sanitizer.check(unable, "synccheck", "cuda") == {"failed": "========= Error: no GPU"}
    memory, races, initial, _ = (tmp_path / "called").read_text().splitlines()
    assert "--tool memcheck --error-exitcode 9 --kernel-name kernel_substring=train" in memory
    assert "--kernel-name kernel_substring=scan" in races
    assert "--kernel-name" not in initial  # other kernels write what ours read


def test_without_a_sanitizer_the_part_says_what_has_one(monkeypatch, tmp_path):
    monkeypatch.setattr(sanitizer.shutil, "which", lambda name: None)
    monkeypatch.setattr(sanitizer, "find_spec", lambda name: None)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    (found,) = gpu_parts.sanitizer(tmp_path, rehearse=False)
    assert "nvidia-cuda-sanitizer-api" in found["left_out"]
    (tmp_path / "bin").mkdir()
    as_sanitizer(tmp_path / "bin", "========= ERROR SUMMARY: 0 errors")
    done = list(gpu_parts.sanitizer(tmp_path, rehearse=False))
    assert [next(iter(part)) for part in done] == list(sanitizer.TOOLS)
    assert all(next(iter(part.values()))["errors"] == 0 for part in done)
