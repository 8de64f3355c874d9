"""Whatever stands in a file, what is raised is our own, in time and within memory."""

import subprocess
import sys
from pathlib import Path

from tests.fuzz import mutants


def test_mutants_of_sweeps_and_of_data_files(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.mutants", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == f"tried {mutants.NUM_SWEEPS + mutants.NUM_FILES}\n"
    assert done.returncode == 0


def test_a_crash_would_be_told():
    assert mutants.complaint(lambda: {}["x"]) == "KeyError: 'x'"
    assert mutants.complaint(lambda: None) is None
