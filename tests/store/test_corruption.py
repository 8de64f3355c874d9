"""Damage of every kind is named by `verify` and refused by the reader."""

import contextlib
import random
import shutil

import pytest

from sweep_engine.errors import CorruptResults
from sweep_engine.store import open_results, read_ledger, verify

RUNS_FILE = "runs/source=box/bucket=b0/s00002.parquet"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "out"


def read_table(files, path):
    return open_results(files.root).table(path.split("/")[0]).read()


def assert_refused(files, path):
    assert any(line.startswith(path) for line in verify(files).problems)
    with pytest.raises(CorruptResults, match=path):
        open_results(files.root)


@pytest.mark.parametrize(
    "num_flips", [200, pytest.param(10_000, marks=pytest.mark.long)], ids="flips={}".format
)
def test_no_flipped_bit_is_read_as_data(files, num_flips):
    """Verify names the file every time; a reader refuses it, or what it reads is unharmed."""
    choices, refused = random.Random(0), 0
    whole = {path: read_table(files, path) for path in read_ledger(files).files}
    for _ in range(num_flips):
        path = choices.choice(list(whole))
        original = files.read(path)
        flip(files.root / path, choices.randrange(8 * len(original)))
        assert verify(files).problems == [f"{path}: its SHA-256 is not the one that was committed"]
        refused += is_refused(files, path, whole[path])
        (files.root / path).write_bytes(original)
    assert refused > 0.9 * num_flips
    assert verify(files).problems == []


def is_refused(files, path, whole):
    with contextlib.suppress(CorruptResults):
        assert read_table(files, path) == whole
        return False
    with pytest.raises(CorruptResults, match=path):
        read_table(files, path)
    return True


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_flipped_bit_in_the_ledger(files, where):
    path = files.root / "ledger/s00002.json"
    num_bits = 8 * path.stat().st_size
    flip(path, {"first": 0, "middle": num_bits // 2, "last": num_bits - 1}[where])
    assert_refused(files, "ledger/s00002.json")


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(data)


def test_truncations(files):
    path = files.root / RUNS_FILE
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 200):
        path.write_bytes(whole[:length])
        assert_refused(files, RUNS_FILE)


def test_missing_file(files):
    (files.root / RUNS_FILE).unlink()
    assert_refused(files, RUNS_FILE)


@pytest.mark.parametrize("copy", ["runs/source=box/bucket=b0/copy.parquet", "runs/notes.txt"])
def test_stray_file(files, copy):
    shutil.copy(files.root / RUNS_FILE, files.root / copy)
    assert_refused(files, copy)


def test_duplicated_ledger_entry(files):
    shutil.copy(files.root / "ledger/s00002.json", files.root / "ledger/s00099.json")
    assert_refused(files, "ledger/s00099.json")


def test_zeros_in_the_place_of_a_file(files):
    path = files.root / RUNS_FILE
    path.write_bytes(bytes(path.stat().st_size))
    assert any(line.startswith(RUNS_FILE) for line in verify(files).problems)
    with pytest.raises(CorruptResults, match=RUNS_FILE):
        read_table(files, RUNS_FILE)


def test_a_file_that_goes_while_the_results_are_open(files):
    results = open_results(files.root)
    (files.root / RUNS_FILE).unlink()
    with pytest.raises(CorruptResults, match=RUNS_FILE):
        results.runs()
