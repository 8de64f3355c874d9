"""The prior over functions: the perceptron's, and that of ReLU networks without biases.

Without bias, on all inputs of {0,1}^7, with weights symmetric under reflections, the number
T of inputs mapped to 1 is uniform on 0..127.
"""

import functools

import numpy as np
import pytest

from sweep_engine.observables import unpack
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from tests.laws.cases import assert_same_functions
from tests.statistics import assert_catches, assert_uniform_chi2

PERCEPTRON = {"kind": "linear", "bias": False}
DEEP_LINEAR = {"kind": "mlp", "widths": [5, 3], "activation": "linear", "bias": False}
RELU = {"kind": "mlp", "widths": [4], "activation": "relu", "bias": False}

LAWS = {
    "gaussian": {"kind": "gaussian", "std": 2.0},
    "box": {"kind": "box", "half_width": 0.5},
    "sphere": {"kind": "sphere", "radius": 3.0},
    "ball": {"kind": "ball", "radius": 0.1},
    "fan_in": {"kind": "fan_in", "weight_std": 1.5},
    "sphere_per_layer": {"kind": "sphere", "radius": 0.2, "per_layer": True},
    "ball_per_layer": {"kind": "ball", "radius": 5.0, "per_layer": True},
    "layers": {
        "kind": "layers",
        "layers": [{"kind": "gaussian", "std": 3.0}, {"kind": "sphere", "radius": 0.1}],
    },
    "fan_in_bias": {"kind": "fan_in", "weight_std": 1.5, "bias_std": 0.5},
}


def _functions(model, law, *, bits, draws, inputs="zero_one"):
    """The functions drawn, shape (F, 2^bits), and how often."""
    sweep = Sweep(
        name="perceptron",
        task={"kind": "boolean", "bits": bits, "inputs": inputs, "train": 4},
        model=model,
        sources={"prior": {"kind": "prior", "law": LAWS[law], "draws": draws, "keep": "none"}},
    )
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    (tally,) = work(programs, [Piece(setting, 0, draws)], Control()).tallies
    assert tally.counts.sum() == tally.draws == draws
    return unpack(tally.functions, 2**bits), tally.counts


def _ones(model, law, **options):
    """How many draws have T = 0, 1, ..., 2^bits."""
    functions, counts = _functions(model, law, bits=7, draws=50_000, **options)
    return np.bincount(functions.sum(axis=1), weights=counts, minlength=129)


def _check_uniform(counts):
    assert_uniform_chi2(counts[:128])


@pytest.mark.parametrize(
    ("model", "law"),
    [
        (PERCEPTRON, "gaussian"),
        (PERCEPTRON, "box"),
        (PERCEPTRON, "sphere"),
        (DEEP_LINEAR, "gaussian"),
        (DEEP_LINEAR, "fan_in"),
    ],
)
def test_number_of_ones_is_uniform(model, law):
    counts = _ones(model, law)
    _check_uniform(counts)
    assert counts[128] == 0  # the zero input's output is 0, whose label is 0


@pytest.mark.parametrize(
    ("model", "law", "inputs"),
    [
        ({"kind": "linear", "bias": True}, "fan_in_bias", "zero_one"),
        (PERCEPTRON, "gaussian", "plus_minus"),
    ],
)
def test_another_prior_is_caught(model, law, inputs):
    assert_catches(_check_uniform, lambda: _ones(model, law, inputs=inputs))


@functools.cache
def _function_counts(law, *, bias=False):
    """Counts of all 256 functions of 3 bits."""
    functions, counts = _functions(RELU | {"bias": bias}, law, bits=3, draws=100_000)
    return np.bincount(np.packbits(functions, axis=1)[:, 0], weights=counts, minlength=256)


@pytest.mark.parametrize(
    "law", ["sphere", "ball", "fan_in", "sphere_per_layer", "ball_per_layer", "layers"]
)
def test_functions_of_relu_networks_do_not_depend_on_the_scale(law):
    """Without biases a ReLU network is homogeneous in every layer's weights."""
    assert_same_functions([_function_counts("gaussian"), _function_counts(law)])


def test_with_biases_they_do():
    def biased():
        return [_function_counts(law, bias=True) for law in ("gaussian", "ball")]

    assert_catches(assert_same_functions, biased)
