"""The linear neural ODE: its exponential, its grid, and the residual layers it is the limit of."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from sweep_engine.models import build, closed_forms, end_to_end
from sweep_engine.models.exponential import matrix_exponential
from sweep_engine.spec.models import InfinitelyDeepLinear

RATE = np.array([[0.3, -0.5], [0.8, -0.2]], np.float32)
TARGET = np.array([[1.2, 0.4], [-0.3, 0.5]], np.float32)
STEPS, TIME = 64, 1.0


@pytest.mark.parametrize("norm", [1e-3, 0.5, 3.0, 12.0])
def test_exponentials_are_scipys(norm):
    matrices = np.random.default_rng(0).normal(size=(6, 4, 4))
    matrices *= norm / np.linalg.norm(matrices, 2, axis=(1, 2), keepdims=True)
    found = np.asarray(matrix_exponential(jnp.asarray(matrices, jnp.float32)))
    for matrix, exponential in zip(matrices, found, strict=True):
        error = np.abs(exponential - expm(matrix.astype(np.float32).astype(float))).max()
        # 8 factors, and a norm of |M| roundings in what is exponentiated.
        assert error < 20 * (1 + norm) * 6e-8 * expm(np.abs(matrix)).max()


def test_the_exponential_of_a_nilpotent_matrix_is_exact():
    found = matrix_exponential(jnp.asarray([[[0.0, 0.5], [0.0, 0.0]]]))
    assert np.array_equal(found[0], [[1.0, 0.5], [0.0, 1.0]])


def network_of(cells, shape=(2,), outputs=2):
    return build(InfinitelyDeepLinear(cells=cells), shape, outputs)


def matrix_of(network, theta):
    return np.asarray(jax.jit(partial(end_to_end, network))(np.asarray(theta, np.float32)))


def test_cells_are_gone_through_in_their_order():
    """Z(1) = exp(A_K / K) ... exp(A_1 / K), in rows and in matrices."""
    rates = np.random.default_rng(1).normal(size=(4, 2, 2))  # theta_j, transposed as kernels are
    expected = np.eye(2)
    for rate in rates:
        expected = expm(rate.T / 2) @ expected
    for network in (network_of(4), network_of(4, (2, 2), 1)):
        np.testing.assert_allclose(matrix_of(network, rates.ravel()), expected, rtol=1e-5)


def test_a_halved_grid_has_the_same_networks():
    coarse = np.random.default_rng(2).normal(size=(4, 4))
    fine = np.repeat(coarse, 2, axis=0) / np.sqrt(2)
    np.testing.assert_allclose(np.sum(fine**2), np.sum(coarse**2))
    matrices = [matrix_of(network_of(k), x.ravel()) for k, x in ((4, coarse), (8, fine))]
    np.testing.assert_allclose(*matrices, rtol=1e-5, atol=1e-6)


def flow(slope, start):
    """Where the flow is at TIME, by Runge and Kutta's steps of fourth order."""

    h = TIME / STEPS
    stages = jnp.array([[0.0, 1 / 6], [0.5, 1 / 3], [0.5, 1 / 3], [1.0, 1 / 6]])

    def step(theta, _):
        def stage(carry, place):
            before, total = carry
            here = slope(theta + h * place[0] * before)
            return (here, total + place[1] * here), None

        still = jnp.zeros_like(theta)
        return theta + h * jax.lax.scan(stage, (still, still), stages)[0][1], None

    return jax.lax.scan(step, jnp.asarray(start, jnp.float32), length=STEPS)[0]


def trained(cells):
    """Z(1) at TIME, from A(s) = RATE on a grid of cells."""
    network = network_of(cells)

    def loss(theta):
        return jnp.sum((end_to_end(network, theta) - TARGET) ** 2) / 2

    start = np.tile(RATE.T.ravel() / np.sqrt(cells), cells)
    return np.asarray(
        jax.jit(lambda x: end_to_end(network, flow(lambda y: -jax.grad(loss)(y), x)))(start)
    )


def trained_layers(depth):
    """The product of as many residual layers I + A_l / L, at TIME divided by L."""

    def product(rates):
        layers = jnp.eye(2) + rates / depth
        return jax.lax.scan(lambda z, layer: (layer @ z, None), jnp.eye(2), layers)[0]

    def slope(rates):
        gradient = jax.grad(lambda x: jnp.sum((product(x) - TARGET) ** 2) / 2)(rates)
        # W = I + A / L, dW/dt = -gradient by W: L^2 times that by A, and time is divided by L.
        return -depth * gradient

    start = np.tile(RATE, (depth, 1, 1))
    return np.asarray(jax.jit(lambda x: product(flow(slope, x)))(start))


def test_the_answer_moves_by_a_quarter_when_the_grid_is_halved():
    two, four, eight = (trained(cells) for cells in (2, 4, 8))
    ratio = np.linalg.norm(two - four) / np.linalg.norm(four - eight)
    assert 3.5 < ratio < 4.5


def test_residual_layers_tend_to_it_as_their_number_grows():
    limit = trained(16)
    gaps = [np.linalg.norm(trained_layers(depth) - limit) for depth in (16, 32)]
    assert 1.8 < gaps[0] / gaps[1] < 2.2


@pytest.mark.parametrize("rates", [[0.0] * 4, [-1.0, 2.0, 0.5, -0.3]])
def test_one_number_obeys_the_closed_form_whatever_the_cells_hold(rates):
    """ds/dt = s^2 (y - s), with nothing to say of how A is spread over s."""
    network, target = network_of(4, (1,), 1), 2.0

    def loss(theta):
        return jnp.sum((end_to_end(network, theta) - target) ** 2) / 2

    theta = jax.jit(lambda x: flow(lambda y: -jax.grad(loss)(y), x))(np.array(rates) / 2)
    before, after = (matrix_of(network, x)[0, 0] for x in (np.array(rates) / 2, theta))
    time = closed_forms.time_to_product(after, before, target, np.inf)
    np.testing.assert_allclose(time, TIME, rtol=1e-4)


def test_rows_are_filled_up_and_cut_off():
    """Three inputs and one output, or one and three, share the 3 x 3 matrix."""
    theta = np.random.default_rng(3).normal(size=9)
    whole = matrix_of(network_of(1, (3,), 3), theta)
    assert np.array_equal(matrix_of(network_of(1, (3,), 1), theta), whole[:1])
    assert np.array_equal(matrix_of(network_of(1, (1,), 3), theta), whole[:, :1])


@pytest.mark.parametrize("shape", [(2, 3), (2, 2, 2)])
def test_inputs_it_cannot_take(shape):
    with pytest.raises(ValueError, match="rows or square matrices"):
        network_of(1, shape, 1)


def test_a_grid_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="power of 2"):
        InfinitelyDeepLinear(cells=12)
