"""Tasks from arrays: what is checked, and a user's own task."""

import dataclasses

import numpy as np
import pytest

from sweep_engine.spec.tasks import CustomTask
from sweep_engine.tasks import LOGISTIC, SQUARED, cross_entropy, load_task, make_task

X = np.arange(8.0).reshape(4, 2)
Y = np.array([0, 1, 1, 0])


def test_arrays_become_a_task():
    task = make_task((X, Y), (X[:2] + 1, Y[:2]), LOGISTIC)
    assert task.train.x.dtype == np.float32
    assert task.train.y.dtype == np.int32
    assert np.array_equal(task.inputs, np.concatenate([X, X[:2] + 1]))
    assert task.input_shape == (2,)
    assert not task.finite
    assert make_task((X, Y / 2), None, SQUARED).train.y.dtype == np.float32


def test_the_test_inputs_identify_a_function_unless_there_are_none():
    assert make_task((X, Y), (X[:2], Y[:2]), LOGISTIC).probe_inputs.tolist() == [4, 5]
    assert make_task((X, Y), None, LOGISTIC).probe_inputs.tolist() == [0, 1, 2, 3]
    given = make_task((X, Y), None, LOGISTIC, probe_inputs=np.array([2, 0]))
    assert given.probe_inputs.tolist() == [2, 0]


def test_the_error_of_the_commonest_label():
    labels = np.array([1, 1, 0, 1])
    task = make_task((X, labels), (X, np.array([1, 0, 0, 0])), LOGISTIC)
    assert task.majority_error == 0.75
    assert make_task((X, labels), None, LOGISTIC).majority_error is None
    assert make_task((X, labels), (X, labels), SQUARED).majority_error is None


BAD = {
    "nan": (np.where(X == 3, np.nan, X), Y, LOGISTIC),
    "infinity": (X, np.array([0, 1, np.inf, 0]), SQUARED),
    "too large for float32": (np.where(X == 3, 1e300, X), Y, LOGISTIC),
    "lengths": (X, Y[:3], LOGISTIC),
    "no inputs": (X[:0], Y[:0], LOGISTIC),
    "vector": (X[:, 0], Y, LOGISTIC),
    "label 2 of two": (X, Y * 2, LOGISTIC),
    "label -1": (X, Y - 1, LOGISTIC),
    "label 3 of three": (X, Y * 3, cross_entropy(3)),
    "half a label": (X, Y / 2, LOGISTIC),
    "text": (X, np.array(list("abab")), LOGISTIC),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_bad_arrays_are_refused(case):
    x, y, loss = case
    with pytest.raises(ValueError, match=r"\w"):
        make_task((x, y), None, loss)
    with pytest.raises(ValueError, match=r"\w"):
        make_task((X, Y), (x, y), loss)


def test_training_and_test_inputs_have_one_shape():
    with pytest.raises(ValueError, match="different shapes"):
        make_task((X, Y), (X[:, :1], Y), LOGISTIC)


@dataclasses.dataclass(frozen=True)
class Own:
    shift: float

    def load(self, seed):
        if self.shift < 0:
            return X
        return make_task((X + self.shift + seed, Y), None, LOGISTIC)


def test_a_users_own_task(tmp_path):
    task = load_task(CustomTask.wrap(Own(2.0)), 3, tmp_path)
    assert np.array_equal(task.train.x, X + 5)
    with pytest.raises(ValueError, match="must return a Task"):
        load_task(CustomTask.wrap(Own(-1.0)), 3, tmp_path)
