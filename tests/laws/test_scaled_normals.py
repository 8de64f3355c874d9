"""Test that laws that only scale normals say so, and where each goes; others do not."""

import numpy as np
import pytest

from sweep_engine import laws
from tests.laws.cases import LAYOUT, law_of

GAUSSIAN = {"kind": "gaussian", "std": 0.7}
ARRAYS = {
    "kind": "arrays",
    "arrays": [
        {"array": "second/bias", "law": GAUSSIAN},
        {"array": "first/kernel", "law": {"kind": "gaussian", "std": 2.0}},
        {"array": "second/kernel", "law": GAUSSIAN},
        {"array": "first/bias", "law": {"kind": "gaussian", "std": 0.1}},
    ],
}
"""Takes its normals in another order than that of theta."""

SCALED = {
    "gaussian": GAUSSIAN,
    "fan in": {"kind": "fan_in", "weight_std": 1.4, "bias_std": 0.1},
    "fan in, biases fixed": {"kind": "fan_in"},
    "initialiser": {"kind": "he_normal"},
    "layers": {"kind": "layers", "layers": [{"kind": "fan_in"}, {"kind": "gaussian"}]},
    "arrays": ARRAYS,
}
OTHERS = {
    "box": {"kind": "box"},
    "truncated": {"kind": "he_truncated_normal"},
    "sphere": {"kind": "sphere", "radius": 3.0},
    "a value": {"kind": "constant", "value": 0.5},
    "one layer": {"kind": "layers", "layers": [{"kind": "gaussian"}, {"kind": "laplace"}]},
}


@pytest.mark.parametrize("name", SCALED)
def test_theta_is_the_scale_times_each_normal_in_its_place(name):
    law = law_of(**SCALED[name])
    found = laws.scaled_normals(law, LAYOUT)
    z = np.random.default_rng(0).normal(size=laws.num_normals(law, LAYOUT)).astype(np.float32)
    theta = np.asarray(laws.from_normals(law, LAYOUT, z))
    assert np.isfinite(theta).all()
    np.testing.assert_allclose(found.scale * found.spread(z), theta, rtol=1e-6, strict=True)
    np.testing.assert_array_equal(found.gather(found.spread(z)), z)
    misplaced = np.roll(found.spread(z), 1)
    assert np.abs(found.scale * misplaced - theta).max() > 0.01


@pytest.mark.parametrize("name", OTHERS)
def test_a_law_that_does_more_does_not_say_so(name):
    assert laws.scaled_normals(law_of(**OTHERS[name]), LAYOUT) is None
