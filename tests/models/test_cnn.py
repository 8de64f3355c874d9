"""Convolutional networks against sums by hand in float64, and what does not fit them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from sweep_engine.models import build
from sweep_engine.spec.models import Cnn, Lenet, ModelSpec
from tests.models.test_convolutions import by_hand


def pools(x, side, summary):
    """Windows one after the other; what is left over is dropped."""
    if side == 1:
        return x
    n, h, w, c = x.shape
    found = np.zeros((n, h // side, w // side, c))
    for i in range(h // side):
        for j in range(w // side):
            window = x[:, side * i : side * (i + 1), side * j : side * (j + 1)]
            found[:, i, j] = summary(window, axis=(1, 2))
    return found


def outputs_by_hand(params, x, summaries):
    """Two convolutions of images and two dense layers, in float64."""
    x = x.astype(float)
    for i, (stride, padding, sides) in enumerate([(1, 1, (2, 1)), (2, 0, (1, 2))]):
        layer = params[f"Conv_{i}"]
        at_ends = ((padding, padding),) * 2
        x = by_hand(x, np.asarray(layer["kernel"], float), (stride,) * 2, at_ends)
        x = np.maximum(x + np.asarray(layer["bias"], float), 0)
        for side, summary in zip(sides, summaries, strict=True):
            x = pools(x, side, summary)
    first, last = params["Dense_0"], params["Dense_1"]
    x = np.maximum(x.reshape(len(x), -1) @ first["kernel"] + first["bias"], 0)
    return x @ last["kernel"] + last["bias"]


def test_outputs_are_those_of_the_sums_by_hand():
    spec = Cnn(
        channels=(3, 4),
        kernel=(3, 2),
        stride=(1, 2),
        padding=(1, 0),
        max_pool=(2, 1),
        mean_pool=(1, 2),
        dense=(5,),
    )
    network = build(spec, (13, 11, 2), 3)
    rng = np.random.default_rng(0)
    theta = rng.normal(size=network.layout.num_params).astype(np.float32)
    x = rng.normal(size=(4, 13, 11, 2)).astype(np.float32)
    params = network.layout.unflatten(jnp.asarray(theta))
    with jax.default_matmul_precision("highest"):
        found = np.asarray(network.apply(params, x))

    def check(summaries):
        truth = outputs_by_hand(params, x, summaries)
        np.testing.assert_allclose(found, truth, atol=2e-5 * np.abs(truth).max())

    check((np.max, np.mean))
    for wrong in [(np.mean, np.mean), (np.max, np.max)]:
        with pytest.raises(AssertionError):
            check(wrong)


def test_rows_are_read_as_an_image_row_by_row():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 4, 5, 2)).astype(np.float32)
    whole = build(Cnn(channels=(3,)), (4, 5, 2), 2)
    rows = build(Cnn(channels=(3,), image=(4, 5, 2)), (40,), 2)
    params = whole.init(jax.random.key(0))
    assert np.array_equal(whole.apply(params, x), rows.apply(params, x.reshape(2, 40)))


def test_lenet_5_has_the_parameters_that_are_known():
    """61,706 of ten classes of 28 x 28 images: 156 + 2,416 + 48,120 + 10,164 + 850."""
    layout = build(Lenet(), (28, 28), 10).layout
    sizes = [leaf.size for leaf in layout.leaves]
    layers = [a + b for a, b in zip(sizes[::2], sizes[1::2], strict=True)]
    assert layers == [156, 2416, 48_120, 10_164, 850]


def test_one_number_is_one_for_each():
    each = Cnn(channels=(2, 3), kernel=(2, 2), padding=(1, 1))
    one = Cnn(channels=(2, 3), kernel=2, padding=1)
    assert build(each, (6,), 1).module == build(one, (6,), 1).module


@pytest.mark.parametrize(
    ("spec", "shape", "says"),
    [
        (Lenet(), (8, 8), "convolution 2 is given 4 x 4 positions and leaves none"),
        (Cnn(channels=(2,), max_pool=4), (5,), "convolution 1 is given 5 positions"),
        (Cnn(channels=(2,), image=(3, 3)), (8,), "no rows of an image of 3 x 3 numbers"),
        (Cnn(channels=(2,), image=(3, 3)), (3, 3), "no rows of an image"),
        (Cnn(channels=(2,)), (3, 3, 3, 1), r"give \(L,\), \(H, W\) or \(H, W, channels\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(spec, shape, says):
    with pytest.raises(ValueError, match=says):
        build(spec, shape, 2)


@pytest.mark.parametrize("field", Cnn.PER_LAYER)
def test_lists_have_a_number_for_every_convolution(field):
    with pytest.raises(ValidationError, match=rf"{field}: give one number for all convolutions"):
        TypeAdapter(ModelSpec).validate_python({"kind": "cnn", "channels": [2, 3], field: [1]})
