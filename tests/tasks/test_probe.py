"""Functions on a grid of inputs: which inputs, how outputs are read, and P(f) where it is exact."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest

import sweep_engine as se
from sweep_engine.errors import FieldError
from sweep_engine.execution import run
from sweep_engine.observables import function_ids
from sweep_engine.sources import open_source
from sweep_engine.spec import Sweep, settings
from sweep_engine.spec.task_kind import Probe
from sweep_engine.spec.tasks import FileTask, Planar, Regression
from sweep_engine.store import open_results
from sweep_engine.tasks import levels, load_task
from tests.statistics import assert_probability

X = ((-2.0, -1.0), (2.0, 1.0), (2.0, -1.0))
PLANAR = Planar(points=X, labels=(0, 1, 1), probe=Probe(points=2))
LINE = Regression(x=((-1.0,), (1.0,)), y=(-1.0, 1.0), probe=Probe(points=2, levels=2))


def load(spec):
    return load_task(spec, 0, None)


def probe_inputs(spec):
    task = load(spec)
    return task.inputs[task.probe_inputs].tolist()


def with_probe(spec, **changes):
    return spec.model_copy(update={"probe": spec.probe.model_copy(update=changes)})


def test_the_grid_is_the_box_around_the_training_inputs():
    assert probe_inputs(PLANAR) == [[-2, -1], [-2, 1], [2, -1], [2, 1]]
    assert probe_inputs(with_probe(PLANAR, points=3))[:4] == [[-2, -1], [-2, 0], [-2, 1], [0, -1]]
    assert probe_inputs(with_probe(PLANAR, extent=1.5))[0] == [-3, -1.5]
    assert probe_inputs(with_probe(LINE, points=5, extent=2)) == [[-2], [-1], [0], [1], [2]]
    tested = LINE.model_copy(update={"test_x": ((9.0,),), "test_y": (0.0,)})
    assert probe_inputs(tested) == [[-1], [1]], "test inputs neither count nor are probed"
    assert load(tested).inputs.tolist() == [[-1], [1], [9], [-1], [1]]


def test_wrong_labels_change_no_probe_input():
    drawn = Planar(set="kink", examples=9, probe=Probe(points=4))
    poisoned = Planar(set="kink", examples=9, probe=Probe(points=4), poison={"examples": 5})
    assert len(load(poisoned).train) == len(load(drawn).train) + 5
    assert probe_inputs(poisoned) == probe_inputs(drawn)


def test_levels():
    """Equal widths from least to largest; the outer two are open; an edge belongs below."""
    outputs = jnp.array([[-9.0], [-0.5], [-0.49], [0], [0.1], [0.51], [9]])
    cut = levels(-1, 1, 4)
    assert (cut.num_labels, cut.edges) == (4, (-0.5, 0, 0.5))
    assert cut.labels(outputs).tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert levels(-1, 1, 2).labels(outputs).tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert load(PLANAR).label_rule.num_labels == 2
    assert load(LINE).label_rule.edges == (0,)
    assert load(LINE.model_copy(update={"probe": None})).label_rule is None


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        (with_probe(LINE, levels=None), ("probe", "levels"), "say how many levels"),
        (with_probe(PLANAR, levels=2), ("probe", "levels"), "has labels"),
        (LINE.model_copy(update={"y": (1.0, 1.0)}), ("probe", "levels"), "do not vary"),
        (LINE.model_copy(update={"x": ((1.0,), (1.0,))}), ("probe",), "do not vary"),
        (Regression(examples=4, inputs=3, probe=Probe(levels=2)), ("probe",), "one or two numbers"),
    ],
    ids=["no levels", "labels and levels", "one target", "one input", "three numbers"],
)
def test_what_it_does_not_suit_is_refused(spec, field, message):
    with pytest.raises(FieldError, match=message) as error:
        load(spec)
    assert error.value.field == field


def test_a_task_without_a_probe_is_written_as_before():
    """Ids are hashes of what is written."""
    for spec in (Planar(set="kink"), Regression(examples=2, inputs=1)):
        assert "probe" not in spec.model_dump(mode="json")
    assert set(FileTask(path="a.npz", train=1).model_dump()).isdisjoint({"probe", "labels"})
    assert PLANAR.model_dump()["probe"] == {"points": 2, "extent": 1.0, "levels": None}


def test_losses_are_those_without_a_probe():
    """Of training and test inputs; the grid, which comes behind them, is neither."""
    found = []
    for probe in ({}, {"probe": {"points": 3}}):
        sweep = Sweep.model_validate(
            {
                "name": "losses",
                "task": {"kind": "planar", "set": "kink", "examples": 5, "test_examples": 7}
                | probe,
                "model": {"kind": "mlp", "widths": [3]},
                "sources": {"prior": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 4}},
                "observables": ["confidence", "input_gradient"],
                "execution": {"lanes": 4},
            }
        )
        (setting,) = settings(sweep)
        programs = open_source(setting, 0, sweep.folder, sweep.observables, sweep.execution)
        _, start, *data = programs.bucket.observe_example()
        theta = np.random.default_rng(0).normal(size=(4, 13)).astype(np.float32)
        found.append(programs.bucket.observe(theta, start, *data))
    one, other = found
    assert (one.pop("function").shape, other.pop("function").shape) == ((4, 1), (4, 2))
    assert set(one) >= {"train_loss", "test_error", "test_brier", "input_gradient_norm"}
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-5, err_msg=name)


DRAWS = 4000


def counted(tmp_path, task, *, bias):
    """How often each function was drawn from N(0, 1), by its labels; and the results."""
    prior = {"kind": "prior", "law": {"kind": "gaussian", "std": 1.0}, "draws": DRAWS, "keep": 8}
    sweep = {
        "name": "probed",
        "task": task.model_dump(mode="json"),
        "model": {"kind": "linear", "bias": bias},
        "sources": {"prior": prior, "again": prior},
        "observables": ["complexity", "function", "compression"],
        "accept": {"train_loss": 1.0},
    }
    assert run(Sweep.model_validate(sweep), tmp_path).is_complete
    tallies = open_results(tmp_path).tallies().to_pandas()
    tallies = tallies[(tallies.source == "prior") & (tallies.what == "function")]
    labels = list(itertools.product((0, 1), repeat=len(load(task).probe_inputs)))
    names = dict(zip(function_ids(np.packbits(np.array(labels), axis=1)), labels, strict=True))
    ids, drawn = tallies["function_id"], tallies["count"]
    counts = {names[one]: count for one, count in zip(ids, drawn.tolist(), strict=True)}
    assert sum(counts.values()) == DRAWS
    return counts, open_results(tmp_path)


def test_functions_of_a_line_in_the_plane(tmp_path):
    """A line through 0 parts the corners (-2, -1) ... (2, 1) by x1 if |w2| < 2 |w1|."""
    counts, results = counted(tmp_path, PLANAR, bias=False)
    by_first, by_second = {(0, 0, 1, 1), (1, 1, 0, 0)}, {(0, 1, 0, 1), (1, 0, 1, 0)}
    assert set(counts) == by_first | by_second
    by_x1 = math.atan(2) / math.pi
    for function, count in counts.items():
        probability = by_x1 if function in by_first else 0.5 - by_x1
        assert_probability(count, DRAWS, probability)
    rows = results.runs().to_pandas()
    assert rows.complexity_lz.notna().all()
    assert rows.function_ones.tolist() == [2] * len(rows)
    estimate = se.compare(tmp_path, "again", "prior", "function")
    assert estimate.value == pytest.approx(0, abs=0.1)


def test_functions_of_a_regression(tmp_path):
    """b - 3w and b + 3w have correlation -0.8: both are above the edge in asin(.)/2pi + 1/4."""
    counts, results = counted(tmp_path, with_probe(LINE, extent=3), bias=True)
    same = 0.25 + math.asin(-0.8) / (2 * math.pi)
    assert len(counts) == 4
    for (one, other), count in counts.items():
        assert_probability(count, DRAWS, same if one == other else 0.5 - same)
    rows = results.runs().to_pandas()
    assert rows.function_id.notna().all()
    assert rows.deflate_bits.notna().all()
