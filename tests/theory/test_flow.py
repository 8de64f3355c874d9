"""Gradient flow against closed forms: what it conserves, where it lands, where it is at time t."""

import functools

import numpy as np
import pytest
from scipy import integrate, stats

from sweep_engine.models.closed_forms import balanced_two_layer_flow
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from tests.statistics import assert_catches, assert_ks, assert_mean_within
from tests.theory.test_diagonal import GammaStart
from tests.theory.test_scalar_factorisation import _flow_cdf

AB = {"task": {"kind": "factorisation"}, "model": {"kind": "scalar_factorisation"}}
START = {"kind": "gaussian", "shared": True}
"""Run i starts at the same place in every source and setting."""

ROUNDING = 2e-5
"""Of an O(1) parameter, at the tolerance 1e-5 a step of `flow` as it comes."""


def _finish(source, runs, *, axes=None, accept=None, **problem):
    """The solutions of all settings, one after the other; they share one program."""
    sweep = Sweep(
        name="flow",
        sources={"source": source | {"runs": runs}},
        accept=accept or {"train_loss": 1e-12},
        axes={"zip": [{f"sources.source.{k}": v for k, v in axes.items()}]} if axes else {},
        **(AB | problem),
    )
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    return work(programs, [Piece(setting, 0, runs) for setting in found], Control()).solutions


def _flow(max_time, times=(), **fields):
    kept = {"times": list(times), "snapshots": True} if times else {}
    return {"kind": "flow", "stop": {"max_time": max_time, "fit": False}} | kept | fields


# --- ab = y: what is conserved, and the law of where the flow lands ---------------------------

NUM_RUNS, TIME = 256, 2.0
RATES = [0.1, 0.05, 0.025]


def _c(theta):
    return theta[..., 0] ** 2 - theta[..., 1] ** 2


@functools.cache
def _by_tolerance():
    """theta at the start and at time 1, by tolerance: (4, R, 2) each."""
    tolerances = [1e-2, 1e-3, 1e-4, 1e-5]
    axes = {"rtol": tolerances, "atol": tolerances}
    found = _finish(_flow(1.0, [0.0], init=START), NUM_RUNS, axes=axes)
    shape = (len(tolerances), NUM_RUNS, 2)
    return [theta.astype(float).reshape(shape) for theta in (found.snapshots[:, 0], found.theta)]


def test_the_flow_conserves_c_to_its_tolerance():
    """With a tenth of the tolerance c drifts 3 to 10 times less; and it never drifts by more."""
    start, end = _by_tolerance()
    drift = np.abs(_c(end) - _c(start)).mean(axis=1)
    assert np.all(drift[:-1] > 2.5 * drift[1:])
    assert 3**3 < drift[0] / drift[-1] < 10**3
    assert np.all(drift < 5 * np.array([1e-2, 1e-3, 1e-4, 1e-5]))
    moved = np.abs(_a_plus_b_squared(end) - _a_plus_b_squared(start)).mean(axis=1)
    assert np.all(moved > 0.1)  # which is not conserved


def _a_plus_b_squared(theta):
    return np.sum(theta, axis=-1) ** 2


@functools.cache
def _at_equal_time():
    """theta at time 2: of gradient descent by rate, of the flow, and of the corrected by rate."""
    steps = [round(TIME / rate) for rate in RATES]
    # With momentum m a step is 1 / (1 - m) times as long in the end: equal time by rate (1 - m).
    axes = {
        "optimizer.learning_rate": [*RATES, 0.1 * RATES[-1]],
        "optimizer.momentum": [0.0, 0.0, 0.0, 0.9],
        "stop.max_steps": [*steps, steps[-1]],
    }
    train = {"kind": "train", "init": START, "stop": {"fit": False}}
    *plain, momentum = _finish(train, NUM_RUNS, axes=axes).theta.reshape(4, NUM_RUNS, 2)
    flow = _finish(_flow(TIME, init=START, rtol=1e-6), NUM_RUNS).theta
    corrected = _finish(
        _flow(TIME, init=START, rtol=1e-6, correction={"learning_rate": 0.1}),
        NUM_RUNS,
        axes={"correction.learning_rate": RATES},
    ).theta.reshape(3, NUM_RUNS, 2)
    return [np.asarray(each, float) for each in (plain, momentum, flow, corrected)]


def _ratios(error):
    """By how much the median run's error falls when the rate is halved, twice."""
    error = np.median(np.abs(error).reshape(len(RATES), NUM_RUNS, -1).max(axis=-1), axis=1)
    return error[:-1] / error[1:]


def test_gradient_descent_is_off_the_flow_by_its_rate_and_off_the_corrected_by_its_square():
    gd, _, flow, corrected = _at_equal_time()
    np.testing.assert_allclose(_ratios(gd - flow), 2, atol=0.2)
    np.testing.assert_allclose(_ratios(gd - corrected), 4, atol=0.3)
    # The other sign of the correction is off by the rate, twice as far as no correction is.
    other = 2 * flow - corrected
    np.testing.assert_allclose(_ratios(gd - other), 2, atol=0.2)
    assert np.median(np.abs(gd - other)) > 1.8 * np.median(np.abs(gd - flow))


def test_gradient_descent_drifts_as_its_rate_and_momentum_breaks_what_is_conserved():
    gd, momentum, *_ = _at_equal_time()
    start, _ = _by_tolerance()
    drift = _c(gd) - _c(start[0])
    np.testing.assert_allclose(_ratios(drift), 2, atol=0.2)
    least = np.median(np.abs(drift[-1]))
    assert np.median(np.abs(_c(momentum) - _c(start[0]))) > 5 * least


@functools.cache
def _places(rate=None):
    """u = ln|a/b| / 2 where the flow fits ab = 1 from N(0, 1), or its correction for a rate."""
    correction = {"correction": {"learning_rate": rate}} if rate else {}
    source = _flow(200.0, init=START, **correction) | {"stop": {"max_time": 200.0}}
    a, b = _finish(source, 4_000, accept={"max_residual": 1e-4}).theta.astype(float).T
    np.testing.assert_allclose(a * b, 1, atol=2e-4)
    return np.log(np.abs(a / b)) / 2


def test_the_law_of_where_the_flow_lands():
    """p(u) = (2 cosh 2u / pi) K0(|sinh 2u|), which a finite learning rate narrows."""
    cdf = _flow_cdf(1.0, 1.0)
    assert_ks(_places(), cdf)
    assert_catches(lambda u: assert_ks(u, cdf), lambda: _places(0.5))


# --- The diagonal network: a Dirichlet law ----------------------------------------------------


@functools.cache
def _shares(shape):
    """beta / y for one example x = (1, 1, 1), alpha_i^2 ~ Gamma(shape)."""
    found = _finish(
        _flow(50.0, init={"kind": "module"}),
        1_000,
        task={"kind": "regression", "x": [[1.0] * 3], "y": [1.5]},
        model=GammaStart(shape),
    )
    minus, plus = found.theta.astype(float).reshape(-1, 2, 3).transpose(1, 0, 2)
    return (plus - minus) * (plus + minus) / 1.5


def _check_dirichlet(shape):
    i, j = np.triu_indices(3)
    second = shape * (shape + (i == j)) / (3 * shape * (3 * shape + 1))

    def check(share):
        assert_mean_within(share, np.full(3, 1 / 3))
        assert_mean_within(share[:, i] * share[:, j], second)
        for column in share.T:
            assert_ks(column, stats.beta(shape, 2 * shape).cdf)

    return check


@pytest.mark.parametrize("shape", [1.0, 3.0])
def test_the_flow_of_a_diagonal_network_lands_by_dirichlet(shape):
    share = _shares(shape)
    np.testing.assert_allclose(share.sum(axis=1), 1, atol=1e-3)
    _check_dirichlet(shape)(share)
    assert_catches(_check_dirichlet(shape), lambda: _shares(3.0 if shape == 1.0 else 1.0))


# --- Where the flow is at time t ---------------------------------------------------------------

TIMES = np.array([0.5, 1.0, 2.0, 4.0])


def _check_at(found, truth, *, atol=ROUNDING):
    """Hold what the flow is at TIMES to a function of the time, and refuse two other clocks."""
    np.testing.assert_allclose(found, truth(TIMES), atol=atol)
    for wrong in (0.98, 1.02):
        assert np.abs(found - truth(wrong * TIMES)).max() > 20 * atol


def test_max_margin():
    """Loss sum ln(1 + e^-w_i) of orthonormal examples: e^w + w = t + 1 from 0.

    The engine's loss is the mean over the two examples: its time is half of t.
    """
    found = _finish(
        _flow(200.0, [2.0, 20.0, 200.0], init={"kind": "gaussian", "std": 1e-20}),
        1,
        task={"kind": "planar", "points": [[1.0, 0.0], [0.0, -1.0]], "labels": [1, 0]},
        model={"kind": "linear", "bias": False},
    )
    truth = np.array([0.442854, 2.177325, 4.568829])
    np.testing.assert_allclose(found.snapshots[0].T, np.tile(truth, (2, 1)), atol=ROUNDING)
    np.testing.assert_allclose(np.exp(truth) + truth, [2, 11, 101], rtol=5e-6)


def _product(start, depth, target):
    """The scalar product of balanced factors at TIMES; the product starts at start^depth > 0."""
    model = {"kind": "mlp", "widths": [1] * (depth - 1), "activation": "linear", "bias": False}
    found = _finish(
        _flow(4.0, TIMES.tolist(), init={"kind": "binary", "scale": start}),
        16,
        task={"kind": "regression", "x": [[1.0]], "y": [target]},
        model=model,
    )
    products = found.snapshots.astype(float).prod(axis=-1)
    return products[products[:, 0] > 0][0]


def test_two_balanced_layers():
    """s(t) = y e^{2yt} / (e^{2yt} - 1 + y / s0)."""
    target, start = 1.5, 0.1

    def truth(t):
        grown = np.exp(2 * target * t)
        return target * grown / (grown - 1 + target / start**2)

    _check_at(_product(start, 2, target), truth)


WIDTH, NUM_NETWORKS = 3, 64


def _factors(depth, times, init):
    """W_1 to W_L of square networks at `times`, which learn a matrix Y from whitened inputs."""
    rng = np.random.default_rng(1)
    x = np.linalg.qr(rng.normal(size=(6, WIDTH)))[0] * 6**0.5
    target = rng.normal(size=(WIDTH, WIDTH))
    found = _finish(
        _flow(times[-1], times, init=init),
        NUM_NETWORKS,
        task={"kind": "regression", "x": x.tolist(), "y": (x @ target.T).tolist()},
        model={"kind": "deep_linear", "depth": depth, "width": WIDTH},
    )
    kernels = found.snapshots.astype(float).reshape(NUM_NETWORKS, len(times), depth, WIDTH, WIDTH)
    return kernels.swapaxes(-1, -2), target  # a kernel is W transposed


def test_two_balanced_layers_with_any_singular_vectors():
    """All entries of the product, against a Riccati equation; another clock is refused."""
    times = [0.0, 0.25, 0.5, 1.0]
    factors, target = _factors(2, times, {"kind": "balanced"})
    products = factors[:, :, 1] @ factors[:, :, 0]
    starts = [(w[0], w[1]) for w in factors[:, 0]]

    def check_at(clock):
        truth = [
            [balanced_two_layer_flow(*start, target, clock * t) for t in times] for start in starts
        ]
        np.testing.assert_allclose(products, truth, atol=5 * ROUNDING)

    check_at(1.0)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_at(1.01)


def test_a_relaxed_balanced_start_stays_one():
    """W_(l+1)'W_(l+1) - W_l W_l' = lambda_l I at all times; of another start it is not."""
    lambdas, times = np.array([0.7, -0.35]), [0.0, 0.5, 2.0]
    relaxed = {"kind": "relaxed_balanced", "imbalance": 0.7, "pattern": [1.0, -0.5]}

    def check(init):
        before, after = (_factors(3, times, init)[0][:, :, i] for i in (slice(2), slice(1, 3)))
        kept = after.swapaxes(-1, -2) @ after - before @ before.swapaxes(-1, -2)
        truth = lambdas[:, None, None] * np.eye(WIDTH)
        np.testing.assert_allclose(kept, np.broadcast_to(truth, kept.shape), atol=5 * ROUNDING)
        assert np.abs(before[:, -1] - before[:, 0]).max() > 0.1

    check(relaxed)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check({"kind": "lecun_normal"})


def test_a_product_of_any_depth():
    """ds/dt = L s^(2 - 2/L) (y - s)."""
    target, start, depth = 1.2, 0.5, 4

    def truth(t):
        def slope(_, s):
            return depth * s ** (2 - 2 / depth) * (target - s)

        found = integrate.solve_ivp(slope, (0, 5), [start**depth], t_eval=t, rtol=1e-10, atol=1e-12)
        return found.y[0]

    _check_at(_product(start, depth, target), truth)


def test_least_squares():
    """theta(t) is Gaussian: mean (I - e^-Ht) X+ y, covariance s^2 e^-2Ht."""
    std, rng = 0.5, np.random.default_rng(0)
    x, y = rng.normal(size=(4, 6)), rng.normal(size=4)
    found = _finish(
        _flow(1.0, init={"kind": "gaussian", "std": std}),
        4_000,
        task={"kind": "regression", "x": x.tolist(), "y": y.tolist()},
        model={"kind": "linear", "bias": False},
    )
    curvatures, axes = np.linalg.eigh(x.T @ x / 4)

    def check_at(time):
        def check(theta):
            decay = np.exp(-curvatures * time)
            mean = (1 - decay) * (axes.T @ np.linalg.pinv(x) @ y)
            white = (theta.astype(float) @ axes - mean) / (std * decay)
            assert_mean_within(white, np.zeros(6))
            products = white[:, :, None] * white[:, None, :]
            assert_mean_within(products.reshape(-1, 36), np.eye(6).ravel())
            assert_ks(np.sum(white**2, axis=1), stats.chi2(6).cdf)

        return check

    check_at(1.0)(found.theta)
    assert_catches(check_at(1.1), lambda: found.theta)
    assert_catches(check_at(-1.0), lambda: found.theta)
