"""What every implementation of `Files` does: on a disk, and on two S3 servers."""

import hashlib
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyarrow.fs import FileSelector

from sweep_engine.errors import OutputError
from sweep_engine.store import open_files
from tests.s3 import new_place

OPERATIONS_ON_PATHS = {
    "write": (b"",),
    "put_if_absent": (b"",),
    "read": (),
    "exists": (),
    "sizes": (),
    "remove": (),
    "sha256": (),
    "publish": ("b",),
}


@pytest.fixture(params=["local", "moto", "localbucket"])
def place(request, tmp_path, endpoint_of):
    with new_place(request.param, tmp_path, endpoint_of) as place:
        yield place


@pytest.fixture
def files(place):
    return open_files(place)


def test_what_was_written_is_read(files):
    files.write("a/b=1/c.json", b"old")
    files.write_all({"a/b=1/c.json": b"newer", "d": b""})
    assert files.read("a/b=1/c.json") == b"newer"
    assert list(files.map(files.read, ["d", "a/b=1/c.json"])) == [b"", b"newer"]
    assert files.sha256("a/b=1/c.json") == hashlib.sha256(b"newer").hexdigest()


def test_the_last_bytes(files):
    files.write("a", b"0123456789")
    files.write("empty", b"")
    assert files.read("a", last=3) == b"789"
    assert files.read("a", last=30) == b"0123456789"
    assert files.read("empty", last=3) == b""


@pytest.mark.parametrize("read", ["read", "sha256"])
def test_a_file_that_is_not_there(files, read):
    with pytest.raises(FileNotFoundError):
        getattr(files, read)("a/b")
    with pytest.raises(FileNotFoundError):
        files.read("a/b", last=3)
    assert not files.exists("a/b")
    files.remove("a/b")


def test_megabytes_come_back_whole(files):
    data = bytes(range(256)) * 2**16
    files.write("a", data)
    assert files.sha256("a") == hashlib.sha256(data).hexdigest()
    assert files.read("a") == data


def test_put_if_absent(files):
    assert files.put_if_absent("ledger/x.json", b"mine")
    assert not files.put_if_absent("ledger/x.json", b"theirs")
    assert files.put_if_absent("ledger/x.json", b"mine"), "a repeat after a lost reply"
    assert files.read("ledger/x.json") == b"mine"


def test_of_many_at_once_one_puts(files):
    start = threading.Barrier(8)

    def put(writer):
        won = []
        for round_ in range(20):
            start.wait()
            if files.put_if_absent(f"ledger/{round_}", str(writer).encode()):
                won.append(round_)
        return won

    with ThreadPoolExecutor(8) as pool:
        won = [round_ for rounds in pool.map(put, range(8)) for round_ in rounds]
    assert sorted(won) == list(range(20))


def test_replace(files):
    assert not files.replace("a", b"1", previous=b"0"), "there is none"
    assert files.replace("a", b"1", previous=None)
    assert not files.replace("a", b"2", previous=None)
    assert files.replace("a", b"1", previous=None), "a repeat after a lost reply"


def test_replace_what_was_read(files, place, request):
    if "localbucket" in request.node.callspec.id:
        pytest.skip("localbucket does not know If-Match")
    files.write("a", b"1")
    assert files.replace("a", b"2", previous=b"1")
    assert not files.replace("a", b"3", previous=b"1")
    assert files.replace("a", b"2", previous=b"1"), "a repeat after a lost reply"
    assert files.read("a") == b"2"


def test_sizes_and_folders(files):
    assert files.is_empty()
    assert (files.sizes("runs"), files.folders(), files.at_root()) == ({}, [], [])
    assert files.below("runs") == []
    files.write_all({"runs/x=1/a": b"12", "runs/b": b"1", "runs2/c": b"", "top": b"1"})
    assert files.sizes("runs") == {"runs/x=1/a": 2, "runs/b": 1}
    assert sorted(files.below("runs")) == ["runs/b", "runs/x=1/a"]
    assert set(files.folders()) >= {"runs", "runs2"}
    assert "top" not in files.folders()
    assert files.at_root() == ["top"]
    assert not files.is_empty()


def test_many_files_are_all_listed(files):
    number = 10 if files.free_bytes() else 1100  # S3 lists a thousand at a time
    wanted = {f"ledger/{index:04d}.json": b"" for index in range(number)}
    files.write_all(wanted)
    assert files.sizes("ledger") == dict.fromkeys(wanted, 0)


def test_publish(files):
    files.write("staging/a", b"1")
    files.publish("staging/a", "runs/x=1/a")
    assert (files.sizes("staging"), files.read("runs/x=1/a")) == ({}, b"1")
    files.publish("staging/a", "runs/x=1/a")
    with pytest.raises(FileNotFoundError):
        files.publish("staging/b", "runs/b")


@pytest.mark.parametrize("operation", OPERATIONS_ON_PATHS)
def test_paths_that_leave_the_root(files, operation):
    for path in ("../x", "/etc/x", "a/../../x", "a//b", ".", ""):
        with pytest.raises(OutputError):
            getattr(files, operation)(path, *OPERATIONS_ON_PATHS[operation])


def test_arrow_sees_the_same(files):
    files.write("runs/x=1/a", b"0123")
    system = files.arrow()
    (found,) = (f for f in system.get_file_info(FileSelector("runs", recursive=True)) if f.is_file)
    assert (found.path, found.size) == ("runs/x=1/a", 4)
    with system.open_input_file("runs/x=1/a") as stream:
        assert stream.read_at(2, 1) == b"12"


def test_travels_to_another_process(files):
    files.write("a", b"1")
    twin = pickle.loads(pickle.dumps(files))
    assert (twin.location, twin.read("a")) == (files.location, b"1")


def test_create_and_lock(files):
    files.create(["ledger"])
    with files.lock():
        files.write("a", b"1")
    files.create(["ledger"])
    assert files.read("a") == b"1"
    assert files.free_bytes() is None or files.free_bytes() > 0
