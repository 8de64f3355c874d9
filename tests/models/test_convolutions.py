"""Convolutions by patches: values and gradients are those of the sums, by hand in float64."""

from itertools import product

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sweep_engine.bench.training.networks import mnist1d_module
from sweep_engine.lanes import for_platform
from sweep_engine.models.convolutions import MOST_IN_COLUMNS, as_products, by_columns, by_patches
from sweep_engine.models.layout import Layout
from sweep_engine.models.network import Network

CASES = {
    "MNIST-1D's first": ((4, 40, 1), (5, 1, 25), (2,), ((1, 1),)),
    "MNIST-1D's second": ((4, 19, 25), (3, 25, 25), (2,), ((1, 1),)),
    "two axes": ((2, 6, 7, 3), (2, 3, 3, 4), (1, 2), ((0, 1), (2, 0))),
}
"""Shapes of inputs and kernel, strides, padding."""


def by_hand(x, kernel, strides, padding):
    """The defining sum, one output position after another, in float64."""
    x = np.pad(x.astype(float), ((0, 0), *padding, (0, 0)))
    window = kernel.shape[:-2]
    lengths = [(n - w) // s + 1 for n, w, s in zip(x.shape[1:-1], window, strides, strict=True)]
    y = np.zeros((len(x), *lengths, kernel.shape[-1]))
    for at in product(*map(range, lengths)):
        slices = tuple(slice(s * m, s * m + w) for s, m, w in zip(strides, at, window, strict=True))
        y[(slice(None), *at)] = np.tensordot(x[(slice(None), *slices)], kernel, len(window) + 1)
    return y


def gradients_by_hand(x, kernel, weights, strides, padding):
    """Of sum(weights y): the convolution is linear, so that unit inputs and kernels give them."""

    def along(like, value):
        found = np.zeros(like.shape)
        for at in np.ndindex(like.shape):
            unit = np.zeros(like.shape)
            unit[at] = 1
            found[at] = np.sum(weights * value(unit))
        return found

    of_kernel = along(kernel, lambda unit: by_hand(x, unit, strides, padding))
    of_x = along(x[:1], lambda unit: by_hand(unit, kernel, strides, padding))
    return of_x, of_kernel


def rounding(terms):
    """A sum of n products in float32 errs by n u times the sum of their sizes, at most."""
    return (terms + 2) * np.finfo(np.float32).eps / 2


@pytest.fixture(params=CASES)
def case(request):
    shape, window, strides, padding = CASES[request.param]
    rng = np.random.default_rng(0)
    x, kernel = (rng.normal(size=s).astype(np.float32) for s in (shape, window))
    return x, kernel, strides, padding


@pytest.fixture(params=[by_patches, by_columns], ids=["rows", "columns"])
def form(request):
    return request.param


def compute(form, x, kernel, strides, padding):
    return np.asarray(form(x, kernel, strides, padding, precision="highest"))


def assert_agrees(found, case):
    x, kernel, strides, padding = case
    sizes = by_hand(np.abs(x), np.abs(kernel), strides, padding)
    error = np.abs(found - by_hand(x, kernel, strides, padding))
    assert np.all(error <= rounding(np.prod(kernel.shape[:-1])) * sizes)


def test_values(form, case):
    x, kernel, strides, padding = case
    assert_agrees(compute(form, *case), case)
    flipped = compute(form, x, kernel[::-1], strides, padding)
    with pytest.raises(AssertionError):
        assert_agrees(flipped, case)


def test_gradients(form):
    x, kernel, strides, padding = (
        np.random.default_rng(1).normal(size=(1, 9, 2)).astype(np.float32),
        np.random.default_rng(2).normal(size=(3, 2, 4)).astype(np.float32),
        (2,),
        ((1, 1),),
    )
    weights = np.random.default_rng(3).normal(size=(1, 5, 4)).astype(np.float32)

    def objective(x, kernel):
        return jnp.sum(weights * form(x, kernel, strides, padding, precision="highest"))

    found = jax.grad(objective, (0, 1))(x, kernel)
    truth = gradients_by_hand(x, kernel, weights, strides, padding)
    sizes = gradients_by_hand(np.abs(x), np.abs(kernel), np.abs(weights), strides, padding)
    for one, true, size, terms in zip(found, truth, sizes, (3 * 4, 5), strict=True):
        assert np.all(np.abs(one - true) <= rounding(terms) * size)


@pytest.mark.parametrize(("num_examples", "left"), [(4, 3), (32, 0), (MOST_IN_COLUMNS + 1, 3)])
def test_a_tpu_takes_columns_of_few_examples(num_examples, left):
    """Leave checks on all examples, images, and whatever a GPU does, to convolutions."""
    module = mnist1d_module()
    x = jax.ShapeDtypeStruct((num_examples, 40), np.float32)
    params = jax.eval_shape(module.init, jax.random.key(0), x)["params"]
    network = Network(module, (40,), Layout.of(params))
    for name, expected in (("tpu", left), ("gpu", 3), ("cpu", 0)):
        with for_platform(name):
            # Another function each time: what JAX has traced it keeps.
            text = str(jax.make_jaxpr(lambda p, x: network.apply(p, x))(params, x))
        assert text.count("conv_general_dilated") == expected


def test_flax_convolutions_are_computed_so_and_agree():
    """On a CPU no convolution is left in an engine's network; flax's own has three."""
    module = mnist1d_module()
    x = np.random.default_rng(4).normal(size=(8, 40)).astype(np.float32)
    params = jax.jit(module.init)(jax.random.key(0), x)["params"]
    network = Network(module, (40,), Layout.of(params))

    def plain(params, x):
        return module.apply({"params": params}, x)

    assert str(jax.make_jaxpr(network.apply)(params, x)).count("conv_general_dilated") == 0
    assert str(jax.make_jaxpr(plain)(params, x)).count("conv_general_dilated") == 3
    with jax.default_matmul_precision("highest"):
        ours, theirs = jax.jit(network.apply)(params, x), jax.jit(plain)(params, x)
    with jax.enable_x64(True):
        truth = jax.jit(plain)(*jax.tree.map(lambda a: np.asarray(a, float), (params, x)))
    assert truth.dtype == np.float64

    def error(found):
        return np.sqrt(np.mean((found - np.asarray(truth)) ** 2))

    # Alike in size: a term in 125 that were missing would be 1e4 times as large.
    assert error(ours) <= 10 * error(theirs)


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": "SAME"},
        {"padding": "CIRCULAR"},
        {"strides": 2, "padding": "VALID"},
        {"kernel_dilation": 2},
        {"feature_group_count": 2},
        {"input_dilation": 2, "padding": 1},
    ],
    ids=str,
)
def test_every_setting_of_flax(settings):
    module = nn.Conv(4, (3,), **settings)
    x = np.random.default_rng(5).normal(size=(2, 8, 2)).astype(np.float32)
    variables = jax.jit(module.init)(jax.random.key(0), x)
    with jax.default_matmul_precision("highest"):
        theirs = jax.jit(lambda v, x: module.apply(v, x))(variables, x)
        with as_products():  # another lambda: jit remembers what it has traced
            ours = jax.jit(lambda v, x: module.apply(v, x))(variables, x)
    np.testing.assert_allclose(ours, theirs, atol=rounding(6) * 6 * 4)


def test_a_users_own_convolution_is_left_alone():
    met = []

    def own(*args, **kwargs):
        met.append(1)
        return lax.conv_general_dilated(*args, **kwargs)

    module = nn.Conv(4, (3,), conv_general_dilated=own)
    x = np.ones((1, 8, 2), np.float32)
    variables = module.init(jax.random.key(0), x)
    met.clear()
    with as_products():
        module.apply(variables, x)
    assert met == [1]
