"""Truncated normal initialisers against those of jax."""

import jax
import numpy as np
import pytest
from jax.nn import initializers
from scipy import stats

from sweep_engine import laws
from tests.laws.cases import VARIANCES, law_of, layout_of, sample
from tests.statistics import assert_catches, assert_mean_within, assert_same_law

SHAPE = (150, 250)
JAX = {
    "lecun": initializers.lecun_normal,
    "glorot": initializers.glorot_normal,
    "he": initializers.he_normal,
}


@pytest.mark.parametrize("family", VARIANCES)
def test_truncated_normals_are_those_of_jax(family):
    (ours,) = sample(law_of(f"{family}_truncated_normal"), layout_of(dense_kernel=SHAPE), 1)
    theirs = np.asarray(JAX[family]()(jax.random.key(1), SHAPE)).ravel()
    variance = VARIANCES[family](*SHAPE)
    edge = 2 * np.sqrt(variance) / stats.truncnorm(-2, 2).std()
    assert 0.99 * edge < np.abs(ours).max() <= edge * (1 + 1e-6)

    def check(values):
        values = values.astype(float)
        assert_mean_within(values**2, variance)
        assert_mean_within(values**4, stats.truncnorm(-2, 2).moment(4) * (edge / 2) ** 4)
        assert_same_law(values, theirs)

    check(ours)
    normal = np.random.default_rng(0).normal(size=len(ours)) * np.sqrt(variance)
    assert_catches(check, lambda: normal)  # truncated or not, the variance is the same
    assert_catches(check, lambda: ours * stats.truncnorm(-2, 2).std())  # not rescaled


NETWORK = layout_of(
    conv_kernel=(2, 2, 3, 5), conv_bias=(5,), norm_gain=(5,), norm_bias=(5,), table_embedding=(7, 2)
)


@pytest.mark.parametrize(
    ("law", "deviations"),
    [
        (law_of("torch", scale=2.0), [(2 / 6, 2 / 6), (0, 0), (2,)]),
        (law_of("fan_in", bias_std=0.3), [(12**-0.5, 0.3), (0.3, 0.3), (1,)]),
        (law_of("he_uniform"), [(6**-0.5, 0), (0, 0), (2**0.5,)]),
        (law_of("glorot_normal"), [(16**-0.5, 0), (0, 0), (1.5**-0.5,)]),
        (law_of("gaussian", std=0.7), [(0.7, 0.7), (0.7, 0.7), (0.7,)]),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_deviations_of_convolutions_norms_and_embeddings(law, deviations):
    """Fan-in: of a convolution window x channels, here 12; of a table 1, whatever its rows."""
    each = [value for layer in deviations for value in layer]
    for leaf, expected in zip(NETWORK.leaves, each, strict=True):
        values = laws.std(law, NETWORK)[leaf.offset : leaf.offset + leaf.size]
        np.testing.assert_allclose(values, expected, rtol=1e-6)
