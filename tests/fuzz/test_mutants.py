"""Whatever stands in a file, what is raised is our own, in time and within memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import mutants


@pytest.mark.parametrize(
    ("every", "at_least"),
    [
        pytest.param(20, 5, id="some opened"),
        pytest.param(1, 100, id="all opened", marks=pytest.mark.long),
    ],
)
def test_mutants_of_sweeps_and_of_data_files(tmp_path, every, at_least):
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.mutants", str(tmp_path), str(every)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.stderr == ""
    *said, num_opened = done.stdout.split(" opened ")
    assert said == [f"tried {mutants.NUM_SWEEPS + mutants.NUM_FILES}"]
    assert int(num_opened) >= at_least
    assert done.returncode == 0


def test_a_crash_would_be_told():
    assert mutants.complaint(lambda: {}["x"]) == "KeyError: 'x'"
    assert mutants.complaint(lambda: None) is None
