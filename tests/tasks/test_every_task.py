"""Every task that a sweep file can name, or Python can give, in one table of cases.

A new kind is met by being listed in the union; `CASES` says what it is tried with.
"""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter

from sweep_engine.spec.base import kinds
from sweep_engine.spec.tasks import CustomTask, TaskSpec
from sweep_engine.tasks import load_task
from sweep_engine.tasks.mnist1d import Signals

POINTS = {"points": [[0, 1], [1, 0], [2, 2]], "labels": [0, 1, 1]}
CASES = {
    "boolean": [
        {"bits": 4, "train": 6},
        {"bits": 3, "train": [0, 3, 5], "loss": "squared", "inputs": "plus_minus"},
        {"bits": 4, "train": 6, "poison": {"examples": 2}},
        {"bits": 4, "train": 6, "ood": {"kind": "mask", "share": 0.5}},
    ],
    "regression": [
        {"examples": 6, "inputs": 2, "test_examples": 3, "noise": 0.5},
        {"examples": 6, "inputs": 2, "test_examples": 3, "ood": {"kind": "noise", "std": 0.5}},
        {"x": [[1, 2], [0, 1]], "y": [1, 2], "test_x": [[3, 3]], "test_y": [0]},
        {"examples": 6, "inputs": 2, "outputs": 3, "test_examples": 3, "noise": 0.5},
        {"x": [[1, 2], [0, 1]], "y": [[1, 2], [3, 4]], "test_x": [[3, 3]], "test_y": [[0, 1]]},
    ],
    "matrix_sensing": [
        {"size": 3, "examples": 4, "rank": 2, "ood": {"kind": "noise", "std": 0.5}},
        {"size": 3, "examples": 4, "measurements": "entries", "seed": 5},
    ],
    "planar": [{"set": "kink", "examples": 6}, {"set": "slabs", "loss": "softmax"},
               {"set": "tents", "loss": "hinge"}, {"set": "swiss_roll", "loss": "exponential"},
               {"set": "two_slab", "poison": {"examples": 3}},
               POINTS, {"set": "kink", "probe": {"points": 3}, "poison": {"examples": 3}}],
    "digits": [{"train": 20, "ood": {"kind": "shuffle"}},
               {"train": 20, "classes": [3, 8], "seed": 5},
               {"train": 20, "stratified": True, "test": 7, "label_noise": 0.25,
                "steps": [{"kind": "mean_pool"}]}],
    "mnist": [{"train": 20, "test": 9, "ood": {"kind": "shuffle"}},
              {"train": 20, "classes": [0, 7], "label_smoothing": 0.1, "poison": {"examples": 2}},
              {"train": 20, "shape": "image", "steps": [{"kind": "normalise", "mean": 0.1307,
               "std": 0.3081}, {"kind": "max_pool"}]}],
    "mnist1d": [{"train": 20, "ood": {"kind": "noise", "std": 0.1}}, {"train": 9, "test": 30}],
    "modular": [{"modulus": 5, "train": 9}, {"modulus": 7, "train": 9, "operation": "divide",
                "inputs": "tokens", "label_noise": 0.2}],
    "teacher": [{"model": {"kind": "mlp", "widths": [3]}, "inputs": 2, "examples": 6},
                {"model": {"kind": "linear"}, "inputs": 2, "outputs": 3, "examples": 6},
                {"model": {"kind": "linear"}, "inputs": 2, "outputs": 2, "examples": 6,
                 "says": "values", "noise": 0.1}],
    "file": [{"path": "data.npz", "train": 8}, {"path": "data.npz", "train": 8, "poison":
              {"examples": 1}, "seed": 2},
             {"path": "data.npz", "train": 8, "ood": {"kind": "columns", "x": "x2", "y": "y2"}},
             {"path": "data.npz", "train": 8, "loss": "squared", "probe": {"levels": 3}}],
}  # fmt: skip


def _specs():
    for kind in kinds(TaskSpec):
        if kind is CustomTask:
            yield CustomTask.wrap(Signals(train=30))
            continue
        name = kind.model_fields["kind"].default
        yield from (kind(**fields) for fields in CASES.get(name, [{}]))


every_task = pytest.mark.parametrize("spec", list(_specs()), ids=lambda spec: spec.kind)


@pytest.fixture
def load(tmp_path):
    """Loads a task, with its data file where it has one."""
    rng = np.random.default_rng(1)
    x, x2, y = *rng.normal(size=(2, 12, 2)), np.arange(12) % 3
    np.savez(tmp_path / "data.npz", x=x, y=y, x2=x2[:7], y2=y[:7])
    digest = hashlib.sha256((tmp_path / "data.npz").read_bytes()).hexdigest()

    def load(spec, seed=0):
        pinned = {"sha256": digest} if spec.data_files else {}
        return load_task(spec.model_copy(update=pinned), seed, tmp_path)

    return load


def arrays(task):
    parts = filter(None, (task.train, task.test, task.ood))
    return [array for part in parts for array in (part.x, part.y)]


@every_task
def test_data_that_a_network_can_be_trained_on(spec, load):
    task = load(spec)
    for part in filter(None, (task.train, task.test, task.ood)):
        assert part.x.dtype == np.float32
        assert part.x.shape[1:] == task.input_shape
        assert np.all(np.isfinite(part.x))
        size = task.loss.target_size
        assert part.y.shape == ((len(part.x),) if size == 1 else (len(part.x), size))
        if task.loss.num_labels is not None:
            assert part.y.dtype == np.int32
            assert 0 <= part.y.min() <= part.y.max() < task.loss.num_labels
        outputs = jnp.zeros((len(part), task.loss.num_outputs()))
        assert jax.eval_shape(task.loss.per_example, outputs, part.y).shape == (len(part),)


@every_task
def test_probe_inputs_are_inputs_each_once(spec, load):
    task = load(spec)
    assert 0 < len(task.probe_inputs) == len(set(task.probe_inputs.tolist()))
    assert 0 <= task.probe_inputs.min() <= task.probe_inputs.max() < len(task.inputs)


@every_task
def test_the_seed_that_it_names_decides_all(spec, load):
    """Its own, or the sweep's; a random sample is another one for another seed."""
    again = zip(arrays(load(spec)), arrays(load(spec)), strict=True)
    assert all(np.array_equal(a, b) for a, b in again)
    same = [np.array_equal(a, b)
            for a, b in zip(arrays(load(spec, 0)), arrays(load(spec, 1)), strict=True)]  # fmt: skip
    if spec.data_seed(0) == spec.data_seed(1):
        assert all(same)
    elif spec.is_random_sample:
        assert not all(same)


@every_task
def test_wrong_labels_are_added_to_the_right_ones(spec, load):
    if spec.wrong_labels is None:
        assert getattr(spec, "poison", None) is None
        return
    assert not spec.is_random_sample
    clean, spoiled = load(spec.model_copy(update={"poison": None})), load(spec)
    extra = len(spoiled.train) - len(clean.train)
    assert extra == spec.wrong_labels.examples
    assert np.array_equal(spoiled.train.y[:-extra], clean.train.y)
    probed = [task.inputs[task.probe_inputs] for task in (clean, spoiled)]
    np.testing.assert_array_equal(*probed)


@every_task
def test_a_share_of_the_labels_is_changed(spec, load):
    if spec.relabelled is None:
        return
    assert not spec.is_random_sample
    clean, noisy = load(spec.model_copy(update={"label_noise": None})), load(spec)
    assert np.sum(clean.train.y != noisy.train.y) == round(spec.relabelled * len(clean.train))
    unchanged = [(clean.train.x, noisy.train.x), (clean.test.x, noisy.test.x),
                 (clean.test.y, noisy.test.y)]  # fmt: skip
    assert all(np.array_equal(*pair) for pair in unchanged)


@every_task
def test_there_is_a_second_set_where_one_is_named(spec, load):
    assert (load(spec).ood is None) == (spec.second_set is None)


@every_task
def test_the_only_target_is_that_of_the_input_one(spec, load):
    task = load(spec)
    if spec.only_target is None:
        assert len(task.train) > 1 or task.train.x.size > 1
    else:
        assert arrays(task) == [np.ones((1, 1)), np.array([spec.only_target], np.float32)]


@every_task
def test_it_comes_back_from_sweep_json(spec):
    adapter = TypeAdapter(TaskSpec)
    stored = adapter.dump_json(spec)
    again = adapter.validate_json(stored, context="stored")
    assert type(again) is type(spec)
    assert adapter.dump_json(again) == stored
