"""Balanced starts: what gradient flow conserves, the product's law, and what is refused."""

import functools
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sweep_engine import laws
from sweep_engine.models import build, end_to_end
from sweep_engine.spec.base import traced_fields, with_traced
from sweep_engine.spec.models import (
    DeepLinear,
    Diagonal,
    InfinitelyDeepLinear,
    MatrixFactorisation,
    Mlp,
)
from tests.laws.cases import CONVOLUTION, law_of
from tests.statistics import assert_catches, assert_ks

DRAWS = 1000


def name_of(value):
    return getattr(value, "kind", None)


THIN = build(DeepLinear(depth=4, width=2), (3,), 2)
BIASED = build(Mlp(widths=(4, 3), activation="linear"), (3,), 2)
SQUARE = build(MatrixFactorisation(depth=3, width=3), (3, 3), 1)
BALANCED = law_of("balanced", std=0.7, scale=0.5)
RELAXED = law_of("relaxed_balanced", std=0.7, imbalance=0.6)
PATTERNED = law_of("relaxed_balanced", imbalance=-0.5, pattern=[1.0, -3.0, 0.0], scale=0.8)
CASES = [
    (BALANCED, BIASED, (0, 0)),
    (RELAXED, SQUARE, (0.6, 0.6)),
    (PATTERNED, THIN, (-0.5, 1.5, 0)),
]
every_case = pytest.mark.parametrize(("law", "network", "imbalances"), CASES, ids=name_of)


def normals_of(law, network):
    z = np.random.default_rng(0).normal(size=(DRAWS, laws.num_normals(law, network.layout)))
    return z.astype(np.float32)


@functools.cache
def program(law, network):
    return jax.jit(jax.vmap(lambda z: laws.from_normals(law, network.layout, z)))


@functools.cache
def drawn(law, network):
    return np.asarray(program(law, network)(normals_of(law, network)))


def kernels_of(network, theta):
    """Every W_l, one draw a row; W_l is the kernel transposed."""
    return [
        theta[:, leaf.offset : leaf.offset + leaf.size].reshape(-1, *leaf.shape).swapaxes(1, 2)
        for leaf in network.layout.leaves
        if not leaf.is_bias
    ]


def check_balance(network, imbalances):
    def check(theta):
        factors = kernels_of(network, theta.astype(float))
        for (below, above), imbalance in zip(pairwise(factors), imbalances, strict=True):
            gap = above.swapaxes(1, 2) @ above - below @ below.swapaxes(1, 2)
            size = np.sum(above**2, axis=(1, 2)) + np.sum(below**2, axis=(1, 2))
            excess = np.abs(gap - imbalance * np.eye(gap.shape[1])).max(axis=(1, 2))
            assert np.all(excess < 2e-6 * size)

    return check


@every_case
def test_factors_are_as_much_out_of_balance_as_they_are_to_be(law, network, imbalances):
    theta = drawn(law, network)
    check_balance(network, imbalances)(theta)
    first = network.layout.leaves[0].size
    wrong = np.hstack([1.001 * theta[:, :first], theta[:, first:]])
    with pytest.raises(AssertionError):
        check_balance(network, imbalances)(wrong)
    for leaf in network.layout.leaves:
        assert leaf.is_bias == (not theta[:, leaf.offset : leaf.offset + leaf.size].any())


@every_case
def test_the_product_has_independent_gaussian_entries(law, network, imbalances):
    theta = drawn(law, network)
    products = np.asarray(jax.vmap(lambda x: end_to_end(network, x))(theta)).astype(float)
    depth = sum(not leaf.is_bias for leaf in network.layout.leaves)
    entries = products.reshape(len(theta), -1) / (law.std * law.scale**depth)

    def check(entries):
        mix = np.random.default_rng(1).normal(size=entries.shape[1])
        assert_ks(entries[:, 0], stats.norm.cdf)
        assert_ks(entries @ mix / np.linalg.norm(mix), stats.norm.cdf)
        assert_ks(np.sum(entries**2, axis=1), stats.chi2(entries.shape[1]).cdf)

    check(entries)
    assert_catches(check, lambda: 1.2 * entries)


@every_case
def test_a_rotation_between_two_layers_changes_no_law(law, network, imbalances):
    """Every entry of a factor has the law of its mirror image, and of any other entry."""
    (first, *_) = kernels_of(network, drawn(law, network))
    entries = first.reshape(len(first), -1)
    p_value = stats.ks_2samp(entries[:, 0], -entries[:, -1]).pvalue
    assert p_value > 1e-6
    skewed = stats.ks_2samp(np.abs(entries[:, 0]), -entries[:, -1]).pvalue
    assert skewed < 1e-6


def test_traced_fields_at_their_own_values_and_far_from_them():
    """A product of 1e-3 of factors near 100, one near 1 of factors nearly balanced, the case's."""
    fields = {"std": [1e-3, 1.0, 1.0], "imbalance": [1e4, 1e-4, -0.5], "scale": [1.0, 1.0, 0.8]}
    assert {name: values[2] for name, values in fields.items()} == dict(traced_fields(PATTERNED))
    z = normals_of(PATTERNED, THIN)[0]

    def draw(fields):
        return laws.from_normals(with_traced(PATTERNED, fields), THIN.layout, z)

    lanes = jax.jit(jax.vmap(draw))({name: jnp.array(values) for name, values in fields.items()})
    for theta, imbalance in zip(np.asarray(lanes), fields["imbalance"], strict=True):
        assert np.all(np.isfinite(theta))
        check_balance(THIN, (imbalance, -3 * imbalance, 0))(theta[None])
    np.testing.assert_allclose(lanes[2], drawn(PATTERNED, THIN)[0], rtol=1e-4, atol=1e-5)


def test_a_product_of_rank_one_has_its_zeros():
    z = normals_of(RELAXED, SQUARE)
    z[:, :9] = 8.0
    theta = np.asarray(program(RELAXED, SQUARE)(z))
    assert np.all(np.isfinite(theta))
    check_balance(SQUARE, (0.6, 0.6))(theta)


def test_a_draw_is_the_image_of_its_keys_normals():
    layout, key = build(DeepLinear(depth=2, width=1), (2,), 1).layout, jax.random.key(3)
    z = jax.random.normal(key, (laws.num_normals(BALANCED, layout),))
    expected = laws.from_normals(BALANCED, layout, z)
    assert np.array_equal(laws.sample(BALANCED, layout, key), expected)


@pytest.mark.parametrize(
    "law",
    [
        BALANCED,
        law_of("balanced_units", law={"kind": "gaussian"}),
        law_of("unit_product", law={"kind": "gaussian"}),
    ],
)
def test_what_is_not_known_of_them_is_refused(law):
    layout = SQUARE.layout
    with pytest.raises(ValueError, match="volume 0: their law has no density"):
        laws.log_density(law, layout, jnp.zeros(layout.num_params))
    with pytest.raises(ValueError, match=r"deviations .* not known"):
        laws.std(law, layout)
    with pytest.raises(ValueError, match="not discrete"):
        laws.enumerate_support(law, layout)


@pytest.mark.parametrize(
    ("law", "model", "shape", "message"),
    [
        (BALANCED, DeepLinear(depth=3, width=1), (3,), "width 1 cannot pass on .* rank 2"),
        (RELAXED, DeepLinear(depth=3, width=4), (3,), "width 4 is out of balance .*: 2"),
        (PATTERNED, DeepLinear(depth=3, width=2), (3,), "pattern: .* has 2, got 3"),
        (BALANCED, InfinitelyDeepLinear(cells=2), (2,), "chain of dense layers or factors"),
        (law_of("balanced_units", law={"kind": "box"}), Diagonal(), (3,), "chain of dense"),
        (law_of("unit_product", law={"kind": "box"}), Mlp(widths=(3,)), (2,), "leave them out"),
    ],
)
def test_models_that_have_no_such_factors(law, model, shape, message):
    layout = build(model, shape, 1 if isinstance(model, Diagonal) else 2).layout
    with pytest.raises(ValueError, match=message):
        laws.check(law, layout)


def test_convolutions_are_no_chain():
    with pytest.raises(ValueError, match="chain of dense layers"):
        laws.check(BALANCED, CONVOLUTION)


def test_a_hidden_layer_in_balance_may_be_wide():
    law = law_of("relaxed_balanced", pattern=[1.0, 0.0])
    network = build(Mlp(widths=(2, 5), activation="linear", bias=False), (3,), 2)
    check_balance(network, (1.0, 0.0))(drawn(law, network))


# --- relu units ---------------------------------------------------------------------------------

UNITS = law_of("balanced_units", law={"kind": "fan_in", "bias_std": 0.5})


@pytest.mark.parametrize(("widths", "bias"), [((6, 4, 5), True), ((5,), False)])
def test_units_are_balanced_and_functions_are_those_of_the_law(widths, bias):
    network = build(Mlp(widths=widths, bias=bias), (3,), 2)
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    balanced, plain = drawn(UNITS, network)[:50], drawn(UNITS.law, network)[:50]
    layers = kernels_of(network, balanced)
    biases = [
        balanced[:, leaf.offset : leaf.offset + leaf.size]
        for leaf in network.layout.leaves
        if leaf.is_bias
    ]
    for i in range(len(widths)):
        incoming = np.sum(layers[i] ** 2, axis=2) + (biases[i] ** 2 if bias else 0)
        np.testing.assert_allclose(incoming, np.sum(layers[i + 1] ** 2, axis=1), rtol=1e-5)

    def outputs(theta):
        return jax.vmap(lambda row: network.apply(network.layout.unflatten(row), x))(theta)

    np.testing.assert_allclose(outputs(balanced), outputs(plain), rtol=1e-4, atol=1e-4)
    assert np.all(np.sum(balanced**2, axis=1) < np.sum(plain**2, axis=1))


# --- products of given norm ---------------------------------------------------------------------

UNIT = law_of("unit_product", scale=0.5, law={"kind": "fan_in", "weight_std": 3.0})


@pytest.mark.parametrize("network", [THIN, SQUARE])
def test_products_have_their_norm_and_the_direction_of_the_laws(network):
    def products(law):
        factors = kernels_of(network, drawn(law, network)[:50])
        return functools.reduce(lambda product, factor: factor @ product, factors)

    depth = len(network.layout.leaves)
    given, plain = products(UNIT), products(UNIT.law)
    sizes = np.linalg.norm(plain, axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(given, 0.5**depth * plain / sizes, rtol=1e-4, atol=1e-6)
    factors = drawn(UNIT, network)[:50] / drawn(UNIT.law, network)[:50]
    np.testing.assert_allclose(factors, factors[:, :1].repeat(factors.shape[1], 1), rtol=1e-5)


# --- scaled laws --------------------------------------------------------------------------------

SCALED = [
    (PATTERNED, THIN),
    (UNITS, BIASED),
    (UNIT, SQUARE),
    (law_of("layers", layers=[{"kind": "sphere"}, {"kind": "box"}, {"kind": "fan_in"}]), BIASED),
]


@pytest.mark.parametrize(("law", "network"), SCALED, ids=name_of)
def test_a_scaled_law_is_the_scale_times_a_draw(law, network):
    """The scale an array, as it is in a program."""
    scaled = law_of("scaled", scale=1.0, law=law.model_dump())
    assert next(path for path, _ in traced_fields(scaled)) == "scale"

    def draw(scale):
        moved = with_traced(scaled, {"scale": scale})
        return laws.from_normals(moved, network.layout, normals_of(law, network)[0])

    lanes = jax.jit(jax.vmap(draw))(jnp.array([0.01, 3.0]))
    expected = drawn(law, network)[0]
    for scale, theta in zip((0.01, 3.0), lanes, strict=True):
        np.testing.assert_allclose(theta / scale, expected, rtol=1e-4, atol=1e-5)


def test_supports_in_words():
    scaled = law_of("scaled", scale=2.0, law={"kind": "box", "half_width": 1.5})
    assert laws.support(scaled) == "[-3.0, 3.0]^P"
    assert laws.support(RELAXED) == "factors out of balance by 0.6 I with biases 0"
    assert laws.support(UNITS) == "balanced units, rescaled from: R^P"


@pytest.mark.parametrize("kind", ["scaled", "balanced_units", "unit_product"])
def test_shared_is_for_the_whole_law(kind):
    fields = {"scale": 1.0} if kind == "scaled" else {}
    with pytest.raises(ValueError, match="shared is for the whole law"):
        law_of(kind, law={"kind": "box", "shared": True}, **fields)


def test_units_without_weights_on_one_side_are_refused():
    with pytest.raises(ValueError, match="ternary draws units"):
        law_of("balanced_units", law={"kind": "layers", "layers": [{"kind": "ternary"}]})
