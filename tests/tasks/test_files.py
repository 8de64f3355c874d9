"""Digits, and the user's own files."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_digits

from sweep_engine.errors import FieldError, SpecError
from sweep_engine.spec import Sweep
from sweep_engine.spec.load import pin_files
from sweep_engine.spec.tasks import Digits, FileTask
from sweep_engine.tasks import load_task
from sweep_engine.tasks.losses import SQUARED_LABELS

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 2, 0, 1, 2])


def npz(folder, name="data.npz", **arrays):
    np.savez(folder / name, **{"x": X, "y": Y, **arrays})
    return name


def parquet(folder, columns, name="data.parquet"):
    pq.write_table(pa.table(columns), folder / name)
    return name


def load(folder, name, seed=0, **fields):
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    spec = FileTask(path=name, **{"sha256": digest, "train": 4, **fields})
    if "labels" not in fields:
        spec = spec.model_copy(update={"labels": pinned_labels(spec, folder)})
    return load_task(spec, seed, folder)


def pinned_labels(spec, folder):
    return spec.filled_in(folder).labels


def rows(task):
    """All examples as sorted (x, y) rows."""
    y = np.concatenate([task.train.y, task.test.y])
    return sorted(map(tuple, np.column_stack([task.inputs, y]).tolist()))


EXPECTED = sorted(map(tuple, np.column_stack([X, Y]).tolist()))


# --- digits -------------------------------------------------------------------------------------


def test_digits(tmp_path):
    task = load_task(Digits(), 0, tmp_path)
    assert (len(task.train), len(task.test)) == (1437, 360)
    assert task.input_shape == (64,)
    assert (task.inputs.min(), task.inputs.max()) == (0, 1)
    assert set(task.train.y) == set(range(10))
    assert task.loss.num_outputs() == 10
    assert not task.finite


def test_digits_are_those_that_scikit_learn_loads(tmp_path):
    data = load_digits()
    task = load_task(Digits(), 0, tmp_path)
    labels = np.concatenate([task.train.y, task.test.y])
    found = sorted(map(tuple, np.column_stack([16 * task.inputs, labels]).tolist()))
    assert found == sorted(map(tuple, np.column_stack([data.data, data.target]).tolist()))


def test_two_digits_make_a_binary_task(tmp_path):
    task = load_task(Digits(classes=(3, 8), train=300), 0, tmp_path)
    assert (len(task.train), len(task.test)) == (300, 57)  # 183 threes, 174 eights
    assert np.concatenate([task.train.y, task.test.y]).sum() == 174
    assert task.loss.num_outputs() == 1


def test_a_label_is_the_position_in_classes(tmp_path):
    task = load_task(Digits(classes=(8, 3), train=300, loss="squared"), 0, tmp_path)
    assert task.loss is SQUARED_LABELS
    task = load_task(Digits(classes=(8, 3), train=300), 0, tmp_path)
    assert np.concatenate([task.train.y, task.test.y]).sum() == 183


def test_the_split_depends_on_the_seed_only(tmp_path):
    one, again, other = (load_task(Digits(), seed, tmp_path) for seed in (0, 0, 1))
    assert np.array_equal(one.train.x, again.train.x)
    assert not np.array_equal(one.train.x, other.train.x)
    fewer = load_task(Digits(train=100), 0, tmp_path)
    assert np.array_equal(fewer.train.x, one.train.x[:100])


def test_more_digits_than_there_are(tmp_path):
    with pytest.raises(ValueError, match="asks for 1,798 examples of 1,797"):
        load_task(Digits(train=1798), 0, tmp_path)
    assert load_task(Digits(train=1797), 0, tmp_path).test is None


# --- files --------------------------------------------------------------------------------------


def test_an_npz_file(tmp_path):
    task = load(tmp_path, npz(tmp_path))
    assert (len(task.train), len(task.test)) == (4, 2)
    assert rows(task) == EXPECTED
    assert task.loss.num_labels == 3
    assert np.array_equal(load(tmp_path, "data.npz").train.x, task.train.x)
    assert not np.array_equal(load(tmp_path, "data.npz", seed=1).train.x, task.train.x)


def test_parquet_files_with_columns_or_lists(tmp_path):
    name = parquet(tmp_path, {"a": X[:, 0], "b": X[:, 1], "label": Y})
    task = load(tmp_path, name, x=("a", "b"), y="label")
    assert rows(task) == EXPECTED
    lists = parquet(tmp_path, {"x": list(X), "y": Y}, "lists.parquet")
    assert rows(load(tmp_path, lists)) == EXPECTED


def test_inputs_may_have_any_shape(tmp_path):
    images = np.random.default_rng(0).normal(size=(6, 4, 4, 3))
    assert load(tmp_path, npz(tmp_path, x=images)).input_shape == (4, 4, 3)


def test_losses_of_a_file(tmp_path):
    binary = load(tmp_path, npz(tmp_path, y=Y % 2), loss="logistic")
    assert binary.loss.num_outputs() == 1
    real = load(tmp_path, npz(tmp_path, y=Y + 0.5), loss="squared")
    assert real.train.y.dtype == np.float32
    assert real.loss.labels is None


def test_a_file_that_has_changed_is_refused(tmp_path):
    name = npz(tmp_path)
    with pytest.raises(ValueError, match="has changed"):
        load(tmp_path, name, sha256="0" * 64)


BAD_ARRAYS = {
    "nan in x": {"x": np.where(X == 3, np.nan, X)},
    "infinity in x": {"x": np.where(X == 3, np.inf, X)},
    "nan in y": {"y": np.where(Y == 1, np.nan, Y)},
    "one class only": {"y": Y * 0},
    "no columns": {"x": X[:, :0]},
    "labels between integers": {"y": Y + 0.5},
    "fewer labels than inputs": {"y": Y[:5]},
    "labels of two axes": {"y": Y[:, None]},
    "inputs of one axis": {"x": X[:, 0]},
    "no examples": {"x": X[:0], "y": Y[:0]},
    "text for labels": {"y": np.array(list("abcabc"))},
    "text for inputs": {"x": np.full((6, 2), "a")},
    "pickled objects": {"x": np.full((6, 2), None, object)},
    "complex inputs": {"x": X * 1j},
    "too many classes": {"x": np.eye(300), "y": np.arange(300)},
    "labels beyond all integers of a double": {"y": Y * 2.0**60},
    "ids that merge in float32": {"x": X + [[2**24, 0]] + np.arange(6)[:, None] / 4},
    "integer ids that merge": {"x": X.astype(int) + 2**24},
    "numbers beyond float32": {"x": X * 1e39},
    "numbers below float32": {"x": X * 1e-46},
}


@pytest.mark.parametrize("arrays", BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_bad_data_is_a_value_error(tmp_path, arrays):
    with pytest.raises(ValueError, match=r"\w"):
        load(tmp_path, npz(tmp_path, **arrays))


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_bad_labels_for_another_loss(tmp_path, loss):
    labels = Y if loss == "logistic" else np.array(list("abcabc"))
    with pytest.raises(ValueError, match=r"\w"):
        load(tmp_path, npz(tmp_path, y=labels), loss=loss)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="no array"):
        load(tmp_path, npz(tmp_path), x="images")
    name = parquet(tmp_path, {"x": X[:, 0], "y": Y})
    with pytest.raises(ValueError, match="no column"):
        load(tmp_path, name, x=("x", "z"))
    with pytest.raises(ValueError, match="name one array"):
        load(tmp_path, "data.npz", x=("x", "z"))
    with pytest.raises(ValueError, match="asks for 7 examples of 6"):
        load(tmp_path, "data.npz", train=7)


def test_nulls_are_refused(tmp_path):
    name = parquet(tmp_path, {"x": X[:, 0], "y": [0, 1, None, 0, 1, 2]})
    with pytest.raises(ValueError, match="finite"):
        load(tmp_path, name)


NOT_FILES = {
    "garbage.npz": b"garbage",
    "zip.npz": b"PK\x03\x04garbage",
    "empty.npz": b"",
    "garbage.parquet": b"garbage",
    "footer.parquet": b"PAR1garbage\x07\x00\x00\x00PAR1",
    "empty.parquet": b"",
}


@pytest.mark.parametrize("name", NOT_FILES)
def test_a_file_that_is_something_else_is_a_value_error(tmp_path, name):
    (tmp_path / name).write_bytes(NOT_FILES[name])
    with pytest.raises(ValueError, match=name.split(".")[0]):
        load(tmp_path, name)


def test_a_single_array_is_no_npz_file(tmp_path):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"x\.npz"):
        load(tmp_path, "x.npz")


# --- the hash in the sweep ----------------------------------------------------------------------


def sweep(folder, **fields):
    made = Sweep.model_validate(
        {
            "name": "file",
            "task": {"kind": "file", "train": 4, **fields},
            "model": {"kind": "linear"},
            "sources": {"sgd": {"kind": "train", "runs": 1}},
        }
    )
    made._folder = folder
    return pin_files(made)


def test_the_content_becomes_part_of_the_sweep(tmp_path):
    name = npz(tmp_path)
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert sweep(tmp_path, path=name).task.sha256 == digest
    assert sweep(tmp_path, path=name, sha256=digest).task.sha256 == digest
    with pytest.raises(SpecError, match="not the file this sweep was made for"):
        sweep(tmp_path, path=name, sha256="0" * 64)
    with pytest.raises(SpecError, match="cannot read"):
        sweep(tmp_path, path="other.npz")


def test_a_link_cannot_lead_out_of_the_folder(tmp_path):
    (tmp_path / "inside").mkdir()
    npz(tmp_path, "secret.npz")
    (tmp_path / "inside" / "link.npz").symlink_to(tmp_path / "secret.npz")
    with pytest.raises(SpecError, match="leads out of the folder"):
        sweep(tmp_path / "inside", path="link.npz")


# --- a test set in a file of its own --------------------------------------------------------


def with_test_file(folder, x, y, **fields):
    """Fill in and load a task whose test set is x and y."""
    npz(folder)
    np.savez(folder / "test.npz", x=x, y=y)
    spec = FileTask(path="data.npz", train=4, test_file={"path": "test.npz"}, **fields)
    spec = spec.filled_in(folder)
    return spec, load_task(spec, 0, folder)


def test_the_test_set_is_the_other_file_and_what_does_not_train_is_left_out(tmp_path):
    x, y = X[:3] + 100, np.array([2, 2, 0])
    spec, task = with_test_file(tmp_path, x, y)
    assert len(task.train) == 4
    assert task.test.x.tolist() == x.tolist()
    assert task.test.y.tolist() == y.tolist()
    assert task.test.x.tolist() == task.inputs[task.probe_inputs].tolist()
    assert not spec.is_random_sample
    digest = hashlib.sha256((tmp_path / "test.npz").read_bytes()).hexdigest()
    assert spec.test_file.sha256 == digest
    np.savez(tmp_path / "test.npz", x=x + 1, y=y)
    with pytest.raises(FieldError, match=r"test\.npz has changed since") as caught:
        load_task(spec, 0, tmp_path)
    assert caught.value.field == ("test_file", "path")


def test_classes_of_the_test_file_are_numbered_as_those_that_train(tmp_path):
    npz(tmp_path, y=np.array([5, 7, 9, 5, 7, 9]))
    np.savez(tmp_path / "test.npz", x=X[:2], y=np.array([9, 5]))
    spec = FileTask(path="data.npz", train=4, test_file={"path": "test.npz"}).filled_in(tmp_path)
    assert load_task(spec, 0, tmp_path).test.y.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:3], np.array([0, 1, 8]), "the label 8 is none of the task's"),
        (X[:3, :1], np.array([0, 1, 2]), "different shapes"),
        (X[:3] * np.nan, np.array([0, 1, 2]), "finite|NaN|nan"),
    ],
)
def test_a_test_file_that_does_not_fit_is_refused_by_its_place(tmp_path, x, y, message):
    with pytest.raises(FieldError, match=message) as caught:
        with_test_file(tmp_path, x, y)
    assert caught.value.field == ("test_file", "path")


def test_two_test_sets_are_refused():
    with pytest.raises(ValidationError, match="test_file names another"):
        FileTask(path="data.npz", train=4, test=2, test_file={"path": "test.npz"})


def test_a_missing_test_file_is_said_where_it_is_named(tmp_path):
    npz(tmp_path)
    task = {"kind": "file", "path": "data.npz", "train": 4, "test_file": {"path": "none.npz"}}
    source = {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 1}
    sweep = Sweep(name="a", task=task, model={"kind": "linear"}, sources={"a": source})
    sweep._folder = tmp_path
    with pytest.raises(SpecError, match=r"task\.test_file\.path.*cannot read .*none\.npz"):
        pin_files(sweep)
