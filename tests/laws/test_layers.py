"""A law for every layer: which parameters are a layer's, and laws that do not fit."""

import numpy as np
import pytest
from pydantic import ValidationError

from sweep_engine import laws
from sweep_engine.laws.laws import bind
from sweep_engine.laws.product import layers
from tests.laws.cases import LAYOUT, N, from_normals, law_of, layout_of, log_density, normals

# A block with weights of its own, before and after those of the block inside it.
NESTED = layout_of(
    block_kernel=(2, 2), block_dense_kernel=(2, 3), block_dense_bias=(3,), block_bias=(2,)
)


def test_a_layer_is_the_arrays_of_one_module():
    assert [[leaf.name for leaf in layer] for layer in layers(NESTED)] == [
        ["block/kernel", "block/bias"],
        ["block/dense/kernel", "block/dense/bias"],
    ]


def test_every_layer_has_a_sphere_of_its_own():
    law = law_of("layers", layers=[{"kind": "sphere"}, {"kind": "sphere", "radius": 3.0}])
    theta = from_normals(law, NESTED, normals(law, NESTED, 20))
    outer, inner = theta[:, [0, 1, 2, 3, 13, 14]], theta[:, 4:13]
    np.testing.assert_allclose(np.linalg.norm(outer, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(inner, axis=1), 3, rtol=1e-6)
    deviations = np.repeat([1 / 6, 1.0, 1 / 6], [4, 9, 2]) ** 0.5
    np.testing.assert_allclose(laws.std(law, NESTED), deviations, rtol=1e-6)


@pytest.mark.parametrize("kind", ["ball", "sphere"])
def test_per_layer_is_that_law_for_every_layer(kind):
    one = {"kind": kind, "radius": 0.7}
    listed = law_of("layers", layers=[one, one])
    assert bind(law_of(**one, per_layer=True), LAYOUT) == bind(listed, LAYOUT)
    assert bind(law_of(**one), LAYOUT) != bind(listed, LAYOUT)


def test_the_log_density_is_the_sum_over_layers():
    first, second = {"kind": "student_t", "degrees_of_freedom": 4}, {"kind": "he_normal"}
    law = law_of("layers", layers=[first, second])
    theta = np.random.default_rng(0).normal(size=(20, N))
    theta[:, -2:] = 0
    # Layers one after the other, each a layout of its own.
    parts = [
        (first, layout_of(first_kernel=(3, 4), first_bias=(4,)), theta[:, :16]),
        (second, layout_of(second_kernel=(4, 2), second_bias=(2,)), theta[:, 16:]),
    ]
    expected = sum(log_density(law_of(**one), layout, part) for one, layout, part in parts)
    np.testing.assert_allclose(log_density(law, LAYOUT, theta), expected, rtol=1e-5)


def test_another_number_of_layers_is_refused():
    law = law_of("layers", layers=[{"kind": "box"}])
    with pytest.raises(
        ValueError, match=r"one law a layer: this model has 2, first, second; got 1"
    ):
        laws.check(law, LAYOUT)
    laws.check(law, layout_of(dense_kernel=(3, 1), dense_bias=(1,)))
    laws.check(law_of("module"), LAYOUT)


@pytest.mark.parametrize(
    "members",
    [
        [],
        [{"kind": "module"}],
        [{"kind": "layers", "layers": [{"kind": "box"}]}],
        [{"kind": "box", "shared": True}],
    ],
)
def test_members_that_make_no_sense_are_refused(members):
    with pytest.raises(ValidationError):
        law_of("layers", layers=members)


def test_a_law_of_layers_survives_json():
    law = law_of("layers", layers=[{"kind": "box", "half_width": 2.0}, {"kind": "orthogonal"}])
    assert law_of(**law.model_dump(mode="json")) == law
