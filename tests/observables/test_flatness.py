"""Flatness against Hessians that are known, in closed form or dense in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats

from sweep_engine.models import build
from sweep_engine.observables import observables
from sweep_engine.observables.curvature import eigenpairs, mean_of, probe
from sweep_engine.observables.flatness import MEASURES, average_rise, worst_rise
from sweep_engine.sources.train.optimizers import STEPPERS
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.models import Linear, Mlp, ScalarFactorisation
from sweep_engine.spec.observables import Flatness
from sweep_engine.spec.sources.optimizers import Adam, Cosine, Langevin, Sgd
from sweep_engine.tasks import LOGISTIC, SQUARED, cross_entropy
from tests.observables.outcomes import outcome_at

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 6)), RNG.normal(size=30)
LABELS = RNG.integers(0, 3, 30)
SPEC = Flatness()


def measured(model, loss, x, y, spec=SPEC, num_outputs=1):
    """Return theta -> the columns, compiled once, and the network."""
    network = build(model, np.shape(x)[1:], num_outputs)
    (observable,) = observables((spec,))

    def compute(theta):
        return observable.compute(outcome_at(network, theta, loss, x, y))

    return jax.jit(compute), network


def dense_hessian(network, loss, x, y, theta):
    """The Hessian in float64."""
    with jax.enable_x64(True):
        x = jnp.asarray(x, jnp.float64)

        def cost(theta):
            return loss.mean(network.apply(network.layout.unflatten(theta), x), jnp.asarray(y))

        return np.asarray(jax.jit(jax.hessian(cost))(jnp.asarray(theta, jnp.float64)))


def test_the_valley_of_ab_y():
    """The Hessian at a solution of ab = y has the eigenvalues a^2 + b^2 and 0."""
    model, y = ScalarFactorisation(), 1.5
    values_of, _ = measured(model, SQUARED, np.ones((1, 1)), np.array([y]))
    for a in (0.5, 1.0, 3.0):
        values, top = values_of(np.array([a, y / a])), a**2 + (y / a) ** 2
        np.testing.assert_allclose(values["hessian_eigenvalue_max"], top, rtol=1e-5)
        np.testing.assert_allclose(values["hessian_eigenvalue_min"], 0, atol=1e-5 * top)
        np.testing.assert_allclose(values["hessian_eigenvalues"][:2], [top, 0], atol=1e-5 * top)
        assert np.all(np.isnan(values["hessian_eigenvalues"][2:]))  # there are two parameters
        assert values["hessian_max_converged"]
        assert values["hessian_min_converged"]
        assert values["hessian_list_converged"]
        np.testing.assert_allclose(values["hessian_frobenius"], top, rtol=0.5)
        np.testing.assert_allclose(values["fisher_trace"], top, rtol=1e-5)  # no residual
        # D H D is [[y^2, y^2], [y^2, y^2]] wherever on the valley.
        np.testing.assert_allclose(values["relative_eigenvalue"], 2 * y**2, rtol=1e-5)


@pytest.fixture(scope="module")
def linear():
    """Least squares, away from its solution: Hessian X'X / n, theta, and the columns there."""
    theta = RNG.normal(size=6)
    values_of, _ = measured(Linear(bias=False), SQUARED, X, Y)
    return X.T @ X / len(X), theta, {k: np.asarray(v) for k, v in values_of(theta).items()}


def test_least_squares(linear):
    hessian, theta, values = linear
    spectrum = np.linalg.eigvalsh(hessian)[::-1]
    np.testing.assert_allclose(values["hessian_eigenvalues"], spectrum[:4], rtol=1e-4)
    np.testing.assert_allclose(values["hessian_eigenvalue_min"], spectrum[-1], rtol=1e-3)
    np.testing.assert_allclose(values["fisher_trace"], np.trace(hessian), rtol=1e-4)
    assert values["hessian_list_converged"]
    for name, truth in {
        "hessian_trace": np.trace(hessian),
        "hessian_frobenius": np.linalg.norm(hessian),
        "relative_trace": theta @ np.diag(np.diag(hessian)) @ theta,
        "sharpness_average": SPEC.radius**2 * np.trace(hessian) / 12,
        "sharpness_average_relative": 1e-4 * theta @ theta * np.trace(hessian) / 12,
    }.items():
        assert abs(values[name] - truth) < 4 * values[f"{name}_stderr"], name
        assert values[f"{name}_stderr"] < 0.2 * truth, name


def test_the_worst_rise_is_that_of_the_trust_region_problem(linear):
    """Its maximum on the sphere is (m - H) d = g, m above all eigenvalues, |d| = radius."""
    hessian, theta, values = linear
    gradient = X.T @ (X @ theta - Y) / len(X)
    size, relative = np.eye(6), SPEC.relative_radius * np.linalg.norm(theta)
    for name, radius in (("sharpness_worst", SPEC.radius), ("sharpness_worst_relative", relative)):

        def excess(multiplier, radius=radius):
            return np.linalg.norm(np.linalg.solve(multiplier * size - hessian, gradient)) - radius

        top = np.linalg.eigvalsh(hessian)[-1]
        multiplier = optimize.brentq(excess, top + 1e-9, top + 1e6)
        step = np.linalg.solve(multiplier * size - hessian, gradient)
        np.testing.assert_allclose(
            values[name], gradient @ step + step @ hessian @ step / 2, rtol=1e-3
        )


def test_the_worst_rise_at_a_minimum_and_where_nothing_rises():
    spectrum = jnp.array([5.0, 2.0, 0.1])
    starts = jnp.concatenate([jnp.zeros((1, 3)), jnp.ones((1, 3))])

    def cost(z):
        return jnp.sum(spectrum * z**2) / 2

    rise = partial(worst_rise, theta=jnp.zeros(3), radius=jnp.float32(0.3), steps=40)
    np.testing.assert_allclose(rise(cost, starts=starts), 0.3**2 * 5 / 2, rtol=1e-5)
    assert rise(cost, starts=starts[:1]) == 0  # a gradient of 0 leads nowhere
    assert rise(lambda z: -cost(z), starts=starts) == 0


def test_a_constant_slope_has_no_average_rise():
    key, theta = jax.random.key(0), jnp.ones(5)
    average = average_rise(lambda z: 1e3 * jnp.sum(z), theta, jnp.float32(0.1), key, 64)
    assert abs(average.value) < 1e-3  # one point alone would give some 40


DENSE = [
    (Mlp(widths=(6, 5), activation="tanh"), LOGISTIC, LABELS // 2, 1),
    (Mlp(widths=(8,), activation="gelu"), cross_entropy(3), LABELS, 3),
]


@pytest.mark.parametrize(("model", "loss", "y", "num_outputs"), DENSE)
def test_the_spectrum_of_a_network_is_the_dense_one(model, loss, y, num_outputs):
    spec = Flatness(measures=("eigenvalues", "trace", "fisher"), steps=48)
    values_of, network = measured(model, loss, X, y, spec, num_outputs)
    theta = np.random.default_rng(3).normal(size=network.layout.num_params)
    values = values_of(theta)
    hessian = dense_hessian(network, loss, X, y, theta)
    spectrum = np.linalg.eigvalsh(hessian)[::-1]
    np.testing.assert_allclose(values["hessian_eigenvalues"], spectrum[:4], rtol=2e-3)
    np.testing.assert_allclose(values["hessian_eigenvalue_min"], spectrum[-1], rtol=2e-3)
    assert values["hessian_list_converged"]
    assert abs(values["hessian_trace"] - np.trace(hessian)) < 4 * values["hessian_trace_stderr"]
    norm, error = values["hessian_frobenius"], values["hessian_frobenius_stderr"]
    assert abs(norm - np.linalg.norm(hessian)) < 4 * error


def test_a_hessian_of_low_rank():
    """Fewer examples than parameters: most of the spectrum is 0."""
    x, y, theta = X[:3], Y[:3], RNG.normal(size=6)
    spec = Flatness(measures=("eigenvalues",))
    values = measured(Linear(bias=False), SQUARED, x, y, spec)[0](theta)
    spectrum = np.linalg.eigvalsh(x.T @ x / 3)[::-1]
    np.testing.assert_allclose(values["hessian_eigenvalues"], spectrum[:4], rtol=1e-4, atol=1e-5)
    assert values["hessian_list_converged"]


def test_the_fisher_information_is_that_of_sampled_labels():
    """Its trace is the mean over labels that the network itself draws of |gradient|^2."""
    loss, model = cross_entropy(3), Mlp(widths=(4,), activation="tanh")
    values_of, network = measured(model, loss, X, LABELS, Flatness(measures=("fisher",)), 3)
    theta = RNG.normal(size=network.layout.num_params).astype(np.float32)

    def square(x, label):
        def cost(theta):
            outputs = network.apply(network.layout.unflatten(theta), x[None])
            return loss.mean(outputs, label[None])

        return jnp.sum(jax.grad(cost)(theta) ** 2)

    x = jnp.asarray(X, jnp.float32)
    outputs = network.apply(network.layout.unflatten(theta), x)
    each = jax.vmap(jax.vmap(square, (None, 0)), (0, None))(x, jnp.arange(3))
    truth = jnp.mean(jnp.sum(jax.nn.softmax(outputs) * each, axis=1))
    np.testing.assert_allclose(values_of(theta)["fisher_trace"], truth, rtol=1e-4)


def test_what_rescaling_a_relu_unit_changes_and_what_it_does_not():
    values_of, network = measured(Mlp(widths=(5,)), SQUARED, X, Y)
    theta = np.random.default_rng(2).normal(size=network.layout.num_params).astype(np.float32)
    params = jax.tree.map(np.array, network.layout.unflatten(jnp.asarray(theta)))
    params["Dense_0"]["kernel"][:, 1] *= 4
    params["Dense_0"]["bias"][1] *= 4
    params["Dense_1"]["kernel"][1] /= 4
    before, after = values_of(theta), values_of(network.layout.flatten(params))
    key = "relative_eigenvalue"
    np.testing.assert_allclose(after[key], before[key], rtol=1e-3)
    error = np.hypot(before["relative_trace_stderr"], after["relative_trace_stderr"])
    assert abs(after["relative_trace"] - before["relative_trace"]) < 4 * error
    for changed in ("hessian_eigenvalue_max", "fisher_trace", "sharpness_worst"):
        assert abs(after[changed] / before[changed] - 1) > 0.1, changed


def test_what_has_not_converged_is_said():
    """64 eigenvalues of much the same size are not told apart in 3 steps."""
    spectrum, key = jnp.linspace(1, 2, 64), jax.random.key(0)
    few, all_of_them = (eigenpairs(lambda v: spectrum * v, key, 64, steps) for steps in (3, 64))
    assert few.residuals[0] > 1e-3 * few.values[0]
    assert np.all(all_of_them.residuals < 1e-4)
    np.testing.assert_allclose(all_of_them.values, spectrum[::-1], rtol=1e-5)


@pytest.mark.parametrize("spectrum", [[0, 0, 0], [2, 2, 2], [3, 0, 0], [3, 3, 1], [-1, -1, 5]])
def test_a_krylov_space_that_ends_is_gone_on_from(spectrum):
    pairs = eigenpairs(lambda v: jnp.array(spectrum, jnp.float32) * v, jax.random.key(1), 3, 32)
    np.testing.assert_allclose(pairs.values, sorted(spectrum)[::-1], atol=1e-5)
    np.testing.assert_allclose(pairs.vectors @ pairs.vectors.T, np.eye(3), atol=1e-5)
    assert np.all(pairs.residuals < 1e-5)


def test_a_diverged_network_has_no_flatness():
    values_of, network = measured(Mlp(widths=(5,)), SQUARED, X, Y)
    values = values_of(np.full(network.layout.num_params, np.nan))
    for name, value in values.items():
        assert not value if name.endswith("converged") else np.all(np.isnan(value)), name


def test_the_standard_error_of_a_trace_covers():
    """In 600 repetitions; an error half as large covers too little."""
    matrix = np.random.default_rng(1).normal(size=(12, 12)).astype(np.float32)
    matrix = matrix @ matrix.T
    samples = jax.jit(
        jax.vmap(lambda key: mean_of(probe(lambda v: matrix @ v, key, (12,), 32)[0]))
    )(jax.random.split(jax.random.key(0), 600))
    away = np.abs(samples.value - np.trace(matrix)) / samples.stderr
    limit = stats.t(31).ppf(0.975)
    allowed = 3 * np.sqrt(0.05 * 0.95 / 600) + 0.01  # s'Hs is a little skewed
    assert abs(np.mean(away < limit) - 0.95) < allowed
    assert abs(np.mean(away < limit / 2) - 0.95) > allowed


def test_a_measure_has_the_same_value_alone():
    """Up to rounding, which depends on the program."""
    model, theta = Linear(), RNG.normal(size=7)
    everything = measured(model, SQUARED, X, Y)[0](theta)
    for name in MEASURES:
        alone = measured(model, SQUARED, X, Y, Flatness(measures=(name,)))[0](theta)
        for column, value in alone.items():
            np.testing.assert_allclose(value, everything[column], rtol=1e-3, err_msg=column)


@pytest.mark.parametrize(
    "optimizer",
    [
        Sgd(learning_rate=0.2),
        Sgd(learning_rate=0.2, momentum=0.9),
        Sgd(learning_rate=0.2, momentum=0.9, nesterov=True),
        Sgd(learning_rate=0.2, momentum=0.5, l2=0.3, weight_decay=0.7),
        Langevin(learning_rate=0.2, l2=0.3, temperature=0.0),
    ],
)
def test_steps_grow_just_above_the_limit_of_curvature(optimizer):
    stepper = STEPPERS[type(optimizer)]

    def end(curvature):
        def step(carry, number):
            theta, state = carry
            run = jnp.zeros(2, jnp.uint32)
            context = StepContext(number, jax.random.key(0), run, jnp.bool_(True), 1)
            return stepper.update(
                optimizer, lambda z: curvature * jnp.sum(z**2) / 2, theta, state, context
            ), None

        start = (jnp.ones(1), stepper.initial(optimizer, jnp.ones(1)))
        return jax.lax.scan(step, start, jnp.arange(4000))[0][0][0]

    below, above = jax.jit(jax.vmap(end))(jnp.array([0.98, 1.02]) * optimizer.curvature_limit)
    assert abs(below) < 1e-3
    assert not abs(above) < 1e3


def test_what_has_no_limit_of_curvature():
    assert Adam().curvature_limit is None
    assert Sgd(schedule=Cosine(steps=10)).curvature_limit is None
