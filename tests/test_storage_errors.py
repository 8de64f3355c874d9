"""What the operating system refuses ends in a line, the right exit code and a remedy."""

import errno
import json
import os
import shutil

import pytest

from sweep_engine.errors import StorageFailed, explain
from sweep_engine.execution.driver.heartbeat import PATH, Heartbeat, read_heartbeat
from sweep_engine.execution.driver.progress import Standing
from sweep_engine.execution.driver.run import _size
from sweep_engine.spec.sources import sizes
from sweep_engine.store import LocalFiles, directory, open_results
from tests.shell import call

BAD_INPUT, INTERRUPTED = 2, 3
SWEEP = {
    "name": "storage",
    "task": {"kind": "boolean", "bits": 2, "target": "x1", "train": 2},
    "model": {"kind": "linear"},
    "accept": {"train_error": 0.0},
    "sources": {
        "init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 256},
        "wide": {"kind": "prior", "law": {"kind": "gaussian", "std": 2.0}, "draws": 256},
    },
    "observables": ["norms"],
    "compare": [{"source": "init", "reference": "wide", "observable": "l2_norm"}],
    "execution": {"lanes": 4, "implementation": "reference"},
}


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "RUNS_PER_SHARD", 32)
        yield


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("storage") / "sweep.yaml"
    path.write_text(json.dumps(SWEEP))
    return path


@pytest.fixture(scope="module")
def complete(spec):
    out = spec.parent / "complete"
    assert call("run", spec, "--out", out).code == 0
    return out


def assert_one_line(ended, code, *words):
    assert ended.code == code, ended.err
    assert len(ended.err.strip().splitlines()) == 1, ended.err
    for word in words:
        assert word in ended.err


# --- at the door --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("file", "is a file"),
        ("file/below", "is a file"),
        ("file/far/below", "is a file"),
        ("n" * 300, "give a shorter name"),
        ("folder/" + "n" * 300 + "/out", "give a shorter name"),
        ("loop/out", "symbolic links"),
        ("", "has no name"),
    ],
)
@pytest.mark.parametrize("command", ["run", "status", "compare"])
def test_where_no_folder_can_be(spec, tmp_path, monkeypatch, command, out, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    ended = call("run", spec, "--out", out) if command == "run" else call(command, out)
    assert_one_line(ended, BAD_INPUT, says)
    assert not list((tmp_path / "folder").iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_every_refusal_has_a_remedy(number):
    said = explain(OSError(number, os.strerror(number), "/out/file"))
    assert said.startswith(f"/out/file: {os.strerror(number)} (")
    same = StorageFailed.of(OSError(number, os.strerror(number), "/out/file"))
    assert explain(same) == said
    assert StorageFailed.of(same) is same


def test_an_error_without_a_number_is_told_in_a_line():
    assert explain(OSError("When reading: no\nmore of it")) == "When reading: no"


def test_sizes_that_differ_do_not_read_alike():
    assert (_size(812.0), _size(61_440.0)) == ("812 B", "61.4 kB")
    assert (_size(49_000_000.0), _size(2.5e12)) == ("49 MB", "2,500.0 GB")


# --- read-only ----------------------------------------------------------------------------


@pytest.fixture
def read_only(monkeypatch):
    """As a disk that is mounted so: also root cannot write, and is told that it cannot."""

    def refuse(files, data):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(files.root))

    monkeypatch.setattr(LocalFiles, "_write_temporary", refuse)
    monkeypatch.setattr(directory.os, "access", lambda _, mode: mode != os.W_OK)


def test_a_complete_sweep_that_may_only_be_read_is_complete(spec, complete, read_only):
    before = {p: p.read_bytes() for p in complete.rglob("*") if p.is_file()}
    ended = call("run", spec, "--out", complete)
    assert ended.code == 0, ended.err
    assert "(0 now" in ended.out
    assert {p: p.read_bytes() for p in complete.rglob("*") if p.is_file()} == before


def test_what_is_missing_cannot_be_added_where_one_may_only_read(spec, complete, tmp_path, request):
    out = shutil.copytree(complete, tmp_path / "out")
    sorted(out.glob("ledger/*.json"))[0].unlink()
    request.getfixturevalue("read_only")
    assert_one_line(call("run", spec, "--out", out), BAD_INPUT, "may only be read", "1 shards")


def test_estimates_that_cannot_be_kept_are_shown(complete, read_only):
    ended = call("compare", complete)
    assert "L2 norm" in ended.out
    assert_one_line(ended, BAD_INPUT, "not kept", "read-only")


def test_a_report_that_cannot_be_written_is_told(complete, read_only):
    assert_one_line(call("report", complete), BAD_INPUT, "read-only")


# --- while it runs ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("table", [True, False], ids=["a table", "a ledger entry"])
def test_storage_that_fails_in_mid_run_interrupts_it(
    spec, complete, tmp_path, monkeypatch, number, table
):
    """And the same command goes on, once there is room: to the same rows."""
    out = tmp_path / "out"
    write = LocalFiles._write_temporary

    def full_after_two(files, data):
        is_table = data.startswith(b"PAR1")
        if is_table == table and len(list(out.glob("ledger/*.json"))) >= 2:
            raise OSError(number, os.strerror(number), str(out))
        return write(files, data)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "_write_temporary", full_after_two)
        ended = call("run", spec, "--out", out)
    assert ended.code == INTERRUPTED
    last = ended.err.strip().splitlines()[-1]
    assert os.strerror(number) in last
    assert "run again to go on" in last
    assert not list(out.glob("failed/*"))
    assert (read_heartbeat(LocalFiles(out)) or {}).get("state") != "running"
    assert call("run", spec, "--out", out).code == 0
    rows = [open_results(root).runs().sort_by("run_id") for root in (out, complete)]
    assert rows[0].equals(rows[1])


def test_a_full_disk_still_says_that_no_run_is_on(complete, tmp_path, monkeypatch):
    """What was written before makes room for the last word."""
    files = LocalFiles(tmp_path)
    standing = Standing(1, 2, 3, 4, 0, 1.0, 0)
    Heartbeat(files).beat(standing)
    write = LocalFiles._write_temporary

    def no_room(files, data):
        if files.exists(PATH):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(files, data)

    monkeypatch.setattr(LocalFiles, "_write_temporary", no_room)
    Heartbeat(files).last(standing, "stopped")
    assert read_heartbeat(files)["state"] == "stopped"
