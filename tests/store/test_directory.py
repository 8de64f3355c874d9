import subprocess
import sys

import pytest

from sweep_engine.errors import CorruptResults, OutputError
from sweep_engine.store import (
    LocalFiles,
    OutputDirectory,
    clear_failure,
    read_failures,
    record_failure,
)


@pytest.fixture
def directory(tmp_path):
    directory = OutputDirectory(tmp_path / "a" / "out")
    directory.create()
    return directory


def test_the_second_driver_is_refused(directory):
    with directory.lock():
        second = directory.lock()
        with pytest.raises(OutputError, match=r"in use by process \d+ on"):
            second.__enter__()
    with directory.lock():
        pass


def test_the_lock_dies_with_its_holder(directory):
    holder = (
        "import os, pathlib, sys; from sweep_engine.store import OutputDirectory\n"
        "OutputDirectory(pathlib.Path(sys.argv[1])).lock().__enter__(); os.abort()"
    )
    subprocess.run([sys.executable, "-c", holder, directory.root], check=False)
    with directory.lock():
        pass


def test_a_directory_may_be_taken_up_again(directory):
    directory.files.write("sweep.yaml", b"name: x")
    directory.create()
    assert directory.free_bytes() > 0


def test_the_directory_of_something_else(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(OutputError, match="give --out another directory"):
        OutputDirectory(tmp_path).create()


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        OutputDirectory(tmp_path / "out").create()


def test_failures_are_kept_until_cleared(tmp_path):
    files = LocalFiles(tmp_path)
    assert read_failures(files) == {}
    record_failure(files, "s1", 1, "Boom")
    record_failure(files, "s1", 2, "Boom again")
    assert read_failures(files)["s1"].attempts == 2
    assert read_failures(files)["s1"].error == "Boom again"
    clear_failure(files, "s1")
    clear_failure(files, "s1")
    assert read_failures(files) == {}


def test_a_failure_that_cannot_be_read(tmp_path):
    files = LocalFiles(tmp_path)
    files.write("failed/s1.json", b"{}")
    with pytest.raises(CorruptResults, match=r"failed/s1\.json"):
        read_failures(files)


def test_a_failure_cannot_leave_the_root(tmp_path):
    with pytest.raises(OutputError):
        record_failure(LocalFiles(tmp_path), "../x", 1, "Boom")
