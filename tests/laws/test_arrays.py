"""A law for every array by its name, and constants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError

from sweep_engine import laws
from sweep_engine.laws.laws import bind
from sweep_engine.spec.base import traced_fields
from tests.laws.cases import LAYOUT, from_normals, law_of, layout_of, log_density, normals

OWN = layout_of(centres=(1, 3), heights=(3, 1), scale=(3,))
HEIGHTS = {"array": "heights", "law": {"kind": "sphere", "radius": 2.0}}
CENTRES = {"array": "centres", "law": {"kind": "box", "half_width": 0.5}}
SCALE = {"array": "scale", "law": {"kind": "constant", "value": 3.0}}
LAW = law_of("arrays", arrays=[HEIGHTS, SCALE, CENTRES])  # in another order than theta


@pytest.mark.parametrize("draw", ["sample", "from_normals"])
def test_every_array_has_the_law_of_its_name(draw):
    if draw == "sample":
        keys = jax.random.split(jax.random.key(0), 50)
        theta = np.asarray(jax.vmap(lambda key: laws.sample(LAW, OWN, key))(keys))
    else:
        theta = from_normals(LAW, OWN, normals(LAW, OWN, 50))
    assert np.abs(theta[:, :3]).max() <= 0.5
    assert len(np.unique(theta[:, :3])) > 100
    np.testing.assert_allclose(np.linalg.norm(theta[:, 3:6], axis=1), 2, rtol=1e-6)
    assert np.all(theta[:, 6:] == 3)
    assert np.all(np.isfinite(log_density(LAW, OWN, theta)))
    for column in (0, 3, 6):
        moved = theta.copy()
        moved[:, column] += 5
        assert np.all(np.isneginf(log_density(LAW, OWN, moved)))


def test_arrays_of_layers_are_the_law_of_layers():
    """Arrays of which each is a layer: one law, written by number and by name."""
    layout = layout_of(first_kernel=(3, 4), second_kernel=(4, 2))
    of = [{"kind": "sphere"}, {"kind": "he_normal"}]
    names = [leaf.name for leaf in layout.leaves]
    named = [{"array": name, "law": law} for name, law in zip(names, of, strict=True)]
    assert bind(law_of("arrays", arrays=named), layout) == bind(law_of("layers", layers=of), layout)


def test_a_multiple_is_one_of_every_array():
    scaled = law_of("scaled", scale=2.0, law=LAW.model_dump())
    np.testing.assert_allclose(laws.std(scaled, OWN), 2 * laws.std(LAW, OWN), rtol=1e-6)
    z = jnp.asarray(normals(LAW, OWN, 1)[0])
    np.testing.assert_allclose(
        laws.from_normals(scaled, OWN, z), 2 * laws.from_normals(LAW, OWN, z), rtol=1e-6
    )
    paths = [path for path, _ in traced_fields(LAW)]
    assert paths == ["arrays.0.law.radius", "arrays.1.law.value", "arrays.2.law.half_width"]


def test_a_constant_is_one_point():
    points, log_probabilities = laws.enumerate_support(law_of("constant", value=-0.3), LAYOUT)
    assert points.shape == (1, LAYOUT.num_params)
    assert np.all(points == np.float32(-0.3))
    assert log_probabilities == [0]


@pytest.mark.parametrize(
    ("arrays", "layout", "says"),
    [
        ([HEIGHTS, CENTRES], OWN, "this model has centres, heights, scale; got heights, centres"),
        ([HEIGHTS, CENTRES, SCALE | {"array": "scales"}], OWN, "got heights, centres, scales"),
        (
            [{"array": "bias", "law": {"kind": "torch"}}],
            layout_of(bias=(3,)),
            "bias has no weights",
        ),
    ],
)
def test_names_that_the_model_does_not_have_are_refused(arrays, layout, says):
    with pytest.raises(ValueError, match=says):
        laws.check(law_of("arrays", arrays=arrays), layout)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ([], "give a law for every array"),
        ([HEIGHTS, HEIGHTS], "heights: give an array one law"),
        ([HEIGHTS | {"law": {"kind": "box", "shared": True}}], "shared is for the whole law"),
    ],
)
def test_lists_that_say_nothing_are_refused(arrays, says):
    with pytest.raises(ValidationError, match=says):
        law_of("arrays", arrays=arrays)
