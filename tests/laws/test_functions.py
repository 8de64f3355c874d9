"""Bias-free ReLU networks: laws that differ in every layer's scale only draw one function law.

Such a network is homogeneous in the weights of every layer, so that its signs depend on the
layers' directions only, which ball, sphere and Gaussian draw alike, per layer or together.
"""

import functools

import jax
import numpy as np
import pytest

from sweep_engine import laws
from sweep_engine.models import build
from sweep_engine.spec.models import Mlp
from tests.laws.cases import assert_same_functions, law_of, normals
from tests.statistics import assert_catches

DRAWS = 40_000
INPUTS = np.array(list(np.ndindex(2, 2, 2)), np.float32)
LAWS = {
    "gaussian": law_of("gaussian", std=2.0),
    "sphere": law_of("sphere", radius=0.5),
    "sphere_per_layer": law_of("sphere", radius=3.0, per_layer=True),
    "ball_per_layer": law_of("ball", radius=0.2, per_layer=True),
    "layers": law_of(
        "layers", layers=[{"kind": "ball", "radius": 0.5}, {"kind": "gaussian", "std": 0.1}]
    ),
    "box": law_of("box"),
    "box_in_one_layer": law_of("layers", layers=[{"kind": "box"}, {"kind": "sphere"}]),
}


@functools.cache
def _counts(name, *, bias=False, seed=1):
    """How many draws compute each of the 256 functions of three bits."""
    network = build(Mlp(widths=(4,), activation="relu", bias=bias), (3,), 1)
    law = LAWS[name]

    @jax.jit
    @jax.vmap
    def outputs(z):
        theta = laws.from_normals(law, network.layout, z)
        return network.apply(network.layout.unflatten(theta), INPUTS)[:, 0] > 0

    bits = np.asarray(outputs(normals(law, network.layout, DRAWS, seed)))
    return np.bincount(np.packbits(bits, axis=1)[:, 0], minlength=256)


@pytest.mark.parametrize("name", ["sphere", "sphere_per_layer", "ball_per_layer", "layers"])
def test_one_law_over_functions(name):
    assert_same_functions([_counts("gaussian"), _counts(name, seed=2)])


@pytest.mark.parametrize("name", ["sphere_per_layer", "ball_per_layer", "layers"])
def test_with_biases_they_differ(name):
    wrong = [_counts("gaussian", bias=True), _counts(name, bias=True, seed=2)]
    assert_catches(assert_same_functions, lambda: wrong)


@pytest.mark.parametrize("name", ["box", "box_in_one_layer"])
def test_a_law_that_is_not_isotropic_in_a_layer_differs(name):
    wrong = [_counts("gaussian"), _counts(name, seed=2)]
    assert_catches(assert_same_functions, lambda: wrong)
