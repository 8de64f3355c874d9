"""Truncated normal initialisers against those of jax."""

import jax
import numpy as np
import pytest
from jax.nn import initializers
from scipy import stats

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
