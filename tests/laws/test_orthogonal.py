"""Semi-orthogonal matrices: orthogonal to rounding, Haar, and their volume."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from sweep_engine import laws
from sweep_engine.laws.orthogonal import orthonormal_rows
from tests.laws.cases import (
    CONVOLUTION,
    DRAWS,
    assert_smallest,
    from_normals,
    law_of,
    layout_of,
    normals,
)
from tests.statistics import assert_catches

LAW = law_of("orthogonal", scale=1.7)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 5), (6, 6), (40, 40), (16, 100)])
def test_orthonormal_rows_are_those_of_a_qr_decomposition(rows, columns):
    z = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
    got = np.asarray(jax.jit(orthonormal_rows)(z), float)
    np.testing.assert_allclose(got @ got.T, np.eye(rows), atol=1e-6)
    q, r = np.linalg.qr(z.T.astype(float))
    # The last row of a square matrix is as ill-conditioned as the matrix.
    tolerance = 1e-6 * np.linalg.cond(z)
    np.testing.assert_allclose(got, (q * np.sign(np.diag(r))).T, atol=tolerance)


def test_nearly_dependent_rows_become_orthogonal():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(8, 1)) + 1e-5 * rng.normal(size=(8, 8))
    got = np.asarray(orthonormal_rows(jnp.asarray(z, jnp.float32)), float)
    np.testing.assert_allclose(got @ got.T, np.eye(8), atol=1e-6)


def test_kernels_are_semi_orthogonal_and_biases_zero():
    """A convolution's kernel has a column an output, as in jax's own initialiser."""
    for one in from_normals(LAW, CONVOLUTION, normals(LAW, CONVOLUTION, 5)).astype(float):
        params = CONVOLUTION.unflatten(one)
        tall, wide = params["conv"]["kernel"].reshape(12, 5), params["dense"]["kernel"]
        np.testing.assert_allclose(tall.T @ tall, 1.7**2 * np.eye(5), atol=1e-5)
        np.testing.assert_allclose(wide @ wide.T, 1.7**2 * np.eye(5), atol=1e-5)
        assert not params["conv"]["bias"].any()
        assert not params["dense"]["bias"].any()


def test_the_law_is_that_of_scipy():
    """Entries, determinants and traces of 3 x 3 matrices; QR without signs is caught."""
    law, layout = law_of("orthogonal"), layout_of(dense_kernel=(3, 3))
    ours = from_normals(law, layout, normals(law, layout, DRAWS)).reshape(-1, 3, 3)
    theirs = stats.ortho_group.rvs(3, size=DRAWS, random_state=5)

    def check(pair):
        views = [
            [x[:, 0, 0], x[:, 2, 2], np.trace(x, axis1=1, axis2=2), np.linalg.det(x).round()]
            for x in (np.asarray(x, float) for x in pair)
        ]
        p_values = [
            stats.ks_2samp(a, b, method="asymp").pvalue for a, b in zip(*views, strict=True)
        ]
        assert_smallest(p_values, "orthogonal matrices")

    check([ours, theirs])
    z = np.random.default_rng(0).normal(size=(DRAWS, 3, 3))
    assert_catches(check, lambda: [ours, np.linalg.qr(z)[0]])


def _semi_orthogonal(shape, scale):
    """theta from NumPy's own decomposition."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=sorted(shape, reverse=True)))
    return scale * (q if shape[0] >= shape[1] else q.T).reshape(-1)


def _density(shape, scale):
    theta = jnp.asarray(_semi_orthogonal(shape, scale), jnp.float32)
    law, layout = law_of("orthogonal", scale=scale), layout_of(dense_kernel=shape)
    return float(laws.log_density(law, layout, theta))


def test_density_of_plane_rotations_is_one_over_their_curves_length():
    def speed(angle):
        tangent = 1.3 * np.array([-np.sin(angle), -np.cos(angle), np.cos(angle), -np.sin(angle)])
        return np.linalg.norm(tangent)

    length, _ = integrate.quad(speed, 0, 2 * math.pi)
    # Rotations and reflections are two such curves.
    assert _density((2, 2), 1.3) == pytest.approx(-math.log(2 * length), rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 4), (3, 3), (5, 3), (3, 7)])
def test_volume_is_the_product_of_spheres(shape):
    """Each column is on a sphere orthogonal to the earlier ones; every pair adds sqrt(2)."""
    k, n = sorted(shape)
    log_volume = k * (k - 1) / 4 * math.log(2)
    for dimension in range(n, n - k, -1):
        log_area = math.log(2) + dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2)
        log_volume += log_area + (dimension - 1) * math.log(1.3)
    # A turn of two columns into each other moves both: k(k-1)/2 more directions.
    assert _density(shape, 1.3) == pytest.approx(-log_volume, rel=1e-5, abs=1e-6)


def test_a_single_column_has_the_spheres_density():
    theta = jnp.asarray(_semi_orthogonal((6, 1), 0.7), jnp.float32)
    sphere = laws.log_density(law_of("sphere", radius=0.7), layout_of(dense_kernel=(6, 1)), theta)
    assert _density((6, 1), 0.7) == pytest.approx(float(sphere), rel=1e-6)


def test_a_matrix_that_is_not_orthogonal_is_outside():
    off = _semi_orthogonal((3, 2), 1.7) * np.array([1, 1, 1, 1, 1, 1.001])
    theta = jnp.asarray(off, jnp.float32)
    assert laws.log_density(LAW, layout_of(dense_kernel=(3, 2)), theta) == -np.inf
