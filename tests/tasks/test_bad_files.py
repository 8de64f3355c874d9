"""Data files that cannot be used: said at once, with the place, the column and what is allowed."""

import io
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep_engine.errors import SpecError
from sweep_engine.execution import Programs
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.arange(12) % 2


def problem(folder, task, model="mlp", sources=None):
    """The one problem of a sweep."""
    made = {"kind": "prior", "draws": 8}
    data = {
        "name": "bad",
        "task": {"kind": "file", "train": 8} | task,
        "model": {"kind": model},
        "sources": sources or {"init": made},
    }
    sweep = Sweep.model_validate(data)
    sweep._folder = folder
    with pytest.raises(SpecError) as error:
        Programs(plan(sweep)).open_all()
    assert len(error.value.problems) == 1
    return error.value.problems[0]


def npz(folder, **arrays):
    np.savez(folder / "data.npz", **{"x": X, "y": Y, **arrays})
    return {"path": "data.npz"}


def parquet(folder, columns):
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns),
                   folder / "data.parquet")  # fmt: skip
    return {"path": "data.parquet"}


def zipped(folder, x=None, method=zipfile.ZIP_STORED, names=("x.npy", "y.npy")):
    """A .npz whose first member has the bytes `x`."""
    with zipfile.ZipFile(folder / "data.npz", "w", method) as archive:
        for name in names:
            buffer = io.BytesIO()
            np.save(buffer, X if name == "x.npy" else Y)
            archive.writestr(name, x if x and name == "x.npy" else buffer.getvalue())
    return {"path": "data.npz"}


def claiming(shape):
    """The bytes of an array whose header says a shape, with a few numbers behind it."""
    header = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)


@pytest.mark.parametrize("model", ["mlp", "linear", "diagonal"])
@pytest.mark.parametrize("shape", [(12, 8, 8, 3), (12, 2, 2)])
def test_images_for_a_model_of_rows(tmp_path, model, shape):
    images = np.zeros(shape, np.uint8)
    found = problem(tmp_path, npz(tmp_path, x=images), model)
    assert found == (
        f"task.x: inputs of shape {shape[1:]}: model {model} takes rows of numbers, flatten them"
    )


def test_a_source_s_own_task_has_its_own_place(tmp_path):
    npz(tmp_path, x=np.zeros((12, 4, 4)))
    own = {"kind": "file", "path": "data.npz", "train": 8}
    found = problem(
        tmp_path,
        {"kind": "boolean", "bits": 4, "train": 8},
        sources={"a": {"kind": "prior", "draws": 4, "task": own}},
    )
    assert found.startswith("sources.a.task.x: inputs of shape (4, 4)")


NO_DATA = {
    "no columns": ({"x": X[:, :0]}, "x: 'x': there are no columns: shape (12, 0)"),
    "no numbers": ({"x": np.zeros((12, 3, 0))}, "x: 'x': there are no columns"),
    "no examples": ({"x": X[:0], "y": Y[:0]}, "x: 'x': there are no examples"),
    "one axis": ({"x": X[:, 0]}, "x: 'x': expected shape (N, ...), got (12,)"),
    "targets of two axes": ({"y": Y[:, None]}, "y: 'y': expected 12 targets, one an example"),
    "a scalar": ({"x": np.float64(1)}, "x: 'x': expected shape (N, ...), got ()"),
    "text": ({"y": np.full(12, "a")}, "y: 'y': expected real numbers, got text"),
    "dates": ({"x": X.astype("M8[s]")}, "x: 'x': expected real numbers, got dates"),
    "one NaN": (
        {"x": np.where(np.arange(36).reshape(12, 3) == 10, np.nan, X)},
        "x: 'x', number 1 (from 0) of each example: all must be finite numbers, example 3",
    ),
    "an infinite label": ({"y": np.where(Y, np.inf, 0)}, "y: 'y': all must be finite numbers"),
    "objects": ({"x": np.full((12, 3), None)}, "x: 'x' holds pickled objects"),
    "ids": (
        {"x": np.c_[X, 2**24 + 1.0 + np.arange(12)]},
        "x: 'x', number 3 (from 0) of each example: its 12 numbers from 16777217 to 16777228",
    ),
    "integer ids": (
        {"x": np.c_[np.arange(12), 2**24 + 1 + np.arange(12)]},
        "x: 'x', number 1 (from 0) of each example: its 12 integers are 7 numbers in float32",
    ),
}


@pytest.mark.parametrize(("arrays", "message"), NO_DATA.values(), ids=NO_DATA.keys())
def test_arrays_that_are_no_data(tmp_path, arrays, message):
    assert problem(tmp_path, npz(tmp_path, **arrays)).startswith(f"task.{message}")


def test_targets_that_float32_cannot_hold(tmp_path):
    found = problem(tmp_path, npz(tmp_path, y=Y * 1e39) | {"loss": "squared"})
    assert found.startswith("task.y: 'y': 1e+39 is beyond float32")
    merging = 1e9 + np.arange(12)
    assert "task.y: 'y': its 12" in problem(
        tmp_path, npz(tmp_path, y=merging) | {"loss": "squared"}
    )


@pytest.mark.parametrize(
    "shape", [(10**12,), (10**20, 3), (2**62, 2**62), (10**6, 10**6), (-1, 3), (12, 3)]
)
def test_a_header_that_says_more_than_there_is(tmp_path, shape):
    found = problem(tmp_path, zipped(tmp_path, claiming(shape)))
    assert found.startswith("task.x: 'x' says that it has ")


def test_a_member_that_says_more_than_there_is(tmp_path):
    """Its length in the archive's directory is changed as well."""
    task = zipped(tmp_path, claiming((2**28,)))
    raw = (tmp_path / "data.npz").read_bytes()
    size = struct.pack("<I", len(claiming((2**28,))))
    (tmp_path / "data.npz").write_bytes(raw.replace(size, struct.pack("<I", 2**31 + 128)))
    assert problem(tmp_path, task).startswith("task.")


def test_an_encrypted_file(tmp_path):
    task = zipped(tmp_path)
    raw = bytearray((tmp_path / "data.npz").read_bytes())
    place = raw.index(b"PK\x01\x02")
    raw[place + 8] |= 1
    (tmp_path / "data.npz").write_bytes(bytes(raw))
    assert problem(tmp_path, task) == "task.x: 'x' is encrypted: save it without a password"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression(tmp_path, method):
    found = problem(tmp_path, zipped(tmp_path, method=method))
    assert found.startswith(f"task.x: 'x' is compressed by method {method}: use numpy.savez")


def test_two_arrays_of_one_name(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        task = zipped(tmp_path, names=("x.npy", "x.npy", "y.npy"))
    assert problem(tmp_path, task) == "task.x: data.npz has 2 arrays of the name 'x'"


def test_columns_of_parquet(tmp_path):
    table = {"a": X[:, 0], "b": ["t"] * 12, "y": Y, "l": [[1.0, 2.0]] * 11 + [[1.0]]}
    task = parquet(tmp_path, table)
    found = problem(tmp_path, task | {"x": ["a", "b"]})
    assert found == "task.x: 'b': expected real numbers, got string"
    found = problem(tmp_path, task | {"x": ["a", "c"]})
    assert found == "task.x: data.parquet has no column 'c', only 'a', 'b', 'y', 'l'"
    found = problem(tmp_path, task | {"x": "l"})
    assert found.startswith("task.x: 'l': all rows must be lists of numbers of one length")
    assert problem(tmp_path, task | {"x": ["a", "l"]}).startswith(
        "task.x: name one column of lists"
    )
    assert problem(tmp_path, task | {"x": "a", "y": "b"}).startswith("task.y: 'b': expected real")
    nulls = parquet(tmp_path, {"x": [1.0, None] * 6, "y": Y})
    assert problem(tmp_path, nulls).startswith(
        "task.x: 'x': all must be finite numbers, 6 are null"
    )
    twice = pa.Table.from_arrays([pa.array(X[:, 0])] * 2 + [pa.array(Y)], names=["x", "x", "y"])
    assert problem(tmp_path, parquet(tmp_path, twice)) == (
        "task.x: data.parquet has 2 columns of the name 'x'"
    )
    merging = parquet(tmp_path, {"a": X[:, 0], "id": 2**25 + np.arange(12), "y": Y})
    assert problem(tmp_path, merging | {"x": ["a", "id"]}).startswith("task.x: 'id': its 12 num")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"x": ["a", "y"]}, "x: 'y' is the target: a network would be given the answer"),
        ({"x": "y"}, "x: 'y' is the target"),
        ({"x": ["a", "b", "a"]}, "x: 'a' is listed twice"),
    ],
)
def test_columns_are_named_once(fields, message):
    with pytest.raises(ValueError, match=message):
        Sweep.model_validate(
            {"name": "s", "task": {"kind": "file", "path": "d.parquet", "train": 2} | fields,
             "model": {"kind": "linear"}, "sources": {"a": {"kind": "prior", "draws": 1}}}
        )  # fmt: skip


def test_more_training_examples_than_there_are(tmp_path):
    found = problem(tmp_path, npz(tmp_path) | {"train": 13})
    assert found == "task.train: asks for 13 examples of 12"


@pytest.mark.parametrize(
    "task",
    [
        {"kind": "regression", "examples": 4, "inputs": 2, "test_examples": 4 * 10**12},
        {"kind": "regression", "examples": 10**6, "inputs": 10**6},
        {"kind": "planar", "set": "kink", "test_examples": 4 * 10**12},
        {"kind": "planar", "set": "two_slab", "examples": 2**63},
    ],
)
def test_what_is_drawn_must_fit_into_memory(task):
    with pytest.raises(ValueError, match=r"examples: .* numbers; a task is held in memory"):
        Sweep.model_validate(
            {"name": "s", "task": task, "model": {"kind": "linear"},
             "sources": {"a": {"kind": "prior", "draws": 1}}}
        )  # fmt: skip


def test_a_file_that_inflates_beyond_memory(tmp_path):
    """A real one, of 128 MB of zeros, under a limit of half as much."""
    with zipfile.ZipFile(
        tmp_path / "data.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as archive:
        for name in ("x.npy", "y.npy"):
            with archive.open(name, "w") as file:
                shape = (2**24, 1) if name == "x.npy" else (2**24,)
                header = {"descr": "<f8", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for _ in range(8):
                    file.write(bytes(2**24))
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from sweep_engine.data_files import read_columns\n"
        "pages = int(Path('/proc/self/statm').read_text().split()[0])\n"
        "limit = pages * resource.getpagesize() + 2**26\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "try: read_columns(Path(sys.argv[1]), 'x', 'y')\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "data.npz")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "data.npz is larger than this machine's memory\n"
