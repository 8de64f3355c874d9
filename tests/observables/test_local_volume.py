"""Local volume of networks: costs, preconditioners and columns."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from sweep_engine.models import build
from sweep_engine.observables import observables
from sweep_engine.observables.local_volume.costs import mean_kl, rise_of
from sweep_engine.observables.local_volume.preconditioners import low_rank
from sweep_engine.spec.laws import Box, Gaussian
from sweep_engine.spec.models import Linear, Mlp
from sweep_engine.spec.observables import LocalVolume
from sweep_engine.tasks import LOGISTIC, SQUARED, SQUARED_LABELS, cross_entropy
from tests.observables.outcomes import outcome_at

SIZE, THRESHOLD = 10, 0.1
CURVATURE = np.geomspace(1e4, 1e7, SIZE)
RNG = np.random.default_rng(0)
ROTATION = np.linalg.qr(RNG.normal(size=(SIZE, SIZE)))[0]


def quadratic(rotation=None, *, copies=1):
    """A linear network at 0 whose training loss is sum h (v . w)^2 / 2, and residuals +-1 apart.

    With `copies` = 2 every input is there twice, with targets 1 and -1.
    """
    x = np.sqrt(SIZE * CURVATURE)[:, None] * (np.eye(SIZE) if rotation is None else rotation)
    x = np.repeat(x, copies, axis=0)
    y = np.zeros(len(x)) if copies == 1 else np.tile([1.0, -1.0], SIZE)
    network = build(Linear(bias=False), (SIZE,), 1)
    return outcome_at(network, np.zeros(SIZE), SQUARED, x, y.astype(np.float32))


def truth():
    """ln of N(0, I) of the ellipsoid: so small that the density is that at 0."""
    volume = SIZE / 2 * math.log(2 * THRESHOLD * math.pi) - math.lgamma(SIZE / 2 + 1)
    return volume - np.log(CURVATURE).sum() / 2 - SIZE / 2 * math.log(2 * math.pi)


def values(spec, outcome):
    (observable,) = observables((spec,))
    found = jax.jit(lambda: observable.compute(outcome))()
    assert set(found) == {column.name for column in observable.columns}
    return {name: np.asarray(value) for name, value in found.items()}


@pytest.mark.parametrize(
    ("preconditioner", "outcome", "rounding"),
    [
        ("hessian_diagonal", quadratic(), 1e-3),
        ("adam", quadratic(copies=2), 1e-3),
        ("low_rank", quadratic(), 0.03),
        ("low_rank", quadratic(ROTATION), 0.03),
    ],
)
def test_an_ellipsoid_is_measured_exactly(preconditioner, outcome, rounding):
    """To float32: 10 radii to 1e-6 multiplied.

    The low-rank map is 1 minus nearly 1 along its vectors: it is off by 6e-8 over its least
    width, here 5e-5, in each of 10 directions.
    """
    found = values(LocalVolume(preconditioners=(preconditioner,), directions=16), outcome)
    assert found["local_log_measure_loss"] == pytest.approx(truth(), abs=rounding)
    assert found["local_n_eff_loss"] == pytest.approx(16, abs=0.01)
    assert not found["local_is_lower_bound_loss"]
    assert found["local_nats_loss"] == -found["local_log_measure_loss"]


def test_the_landscape_of_the_first_examples_is_that_of_no_others():
    """Of every input twice the first half has the curvatures of the first half, and 0 elsewhere."""
    spec = LocalVolume(preconditioners=("hessian_diagonal",), directions=4, examples=SIZE)
    outcome = quadratic(copies=2)
    part = outcome_at(
        outcome.network,
        np.zeros(SIZE),
        SQUARED,
        np.asarray(outcome.train_inputs)[:SIZE],
        np.asarray(outcome.train_targets)[:SIZE],
    )
    found = values(spec, outcome)
    alone = values(spec.model_copy(update={"examples": None}), part)
    assert found == {f"{name}_{SIZE}": value for name, value in alone.items()}
    whole = values(spec.model_copy(update={"examples": None}), outcome)
    assert whole["local_nats_loss"] > found[f"local_nats_loss_{SIZE}"] + 1


@pytest.mark.parametrize(
    ("preconditioner", "outcome"),
    [("none", quadratic()), ("hessian_diagonal", quadratic(ROTATION))],
)
def test_a_preconditioner_that_does_not_fit_is_flagged(preconditioner, outcome):
    found = values(LocalVolume(preconditioners=(preconditioner,)), outcome)
    assert found["local_log_measure_loss"] < truth() - 0.5
    assert found["local_is_lower_bound_loss"]


def test_the_largest_bound_and_the_spread_over_the_preconditioners():
    spec = LocalVolume(preconditioners=("none", "low_rank"), directions=16)
    found = values(spec, quadratic())
    bounds = found["local_log_measures_loss"]
    assert found["local_log_measure_loss"] == bounds[1] == max(bounds)
    assert found["local_spread_loss"] == bounds[1] - bounds[0] > 0.5
    assert not found["local_is_lower_bound_loss"]


@pytest.mark.parametrize(
    ("weight", "threshold", "is_minimum"),
    [(2.0, 0.1, True), (2.3, 0.1, False), (2.3, 10.0, True), (9.0, 0.1, False)],
    ids=["minimum", "slope", "slope below a high rim", "far away"],
)
def test_a_network_that_is_no_minimum_of_the_loss_is_said_to_be_none(weight, threshold, is_minimum):
    """(w - 2)^2 / 2 has its minimum at 2; the bound of what lies around w holds all the same."""
    network = build(Linear(bias=False), (1,), 1)
    outcome = outcome_at(network, [weight], SQUARED, [[1.0]], np.float32([2.0]))
    spec = LocalVolume(preconditioners=("none",), threshold=threshold, law=Gaussian(std=3.0))
    found = values(spec, outcome)
    assert found["local_is_minimum_loss"] == is_minimum
    depth = (weight - 2) ** 2 / 2
    assert -depth - 1e-5 <= found["local_lowest_loss"] <= -0.5 * depth
    reach = math.sqrt((weight - 2) ** 2 + 2 * threshold)
    measure = stats.norm(scale=3.0).cdf([2 + reach, 2 - reach]) @ [1, -1]
    assert found["local_log_measure_loss"] == pytest.approx(math.log(measure), abs=0.3)


def test_a_network_that_errs_is_no_minimum_of_the_error_and_always_one_of_the_kl():
    network = build(Linear(bias=False), (1,), 1)
    spec = LocalVolume(cost="error", threshold=0.0, preconditioners=("law",), directions=8)
    for weight, is_minimum in ((0.7, True), (-0.7, False)):
        found = values(spec, outcome_at(network, [weight], LOGISTIC, [[1.0]], [1]))
        assert found["local_is_minimum_error"] == is_minimum
    kl = LocalVolume(cost="kl", preconditioners=("law",), directions=8)
    found = values(kl, outcome_at(network, [-0.7], LOGISTIC, [[1.0]], [1]))
    assert (found["local_is_minimum_kl"], found["local_lowest_kl"]) == (True, 0.0)


@pytest.mark.parametrize("cost", ["loss", "kl", "error"])
@pytest.mark.parametrize(
    ("weight", "law"), [(math.nan, Gaussian()), (math.inf, Gaussian()), (1.5, Box(half_width=1.0))]
)
def test_a_network_without_a_basin_has_no_estimate(weight, law, cost):
    """Not even that of an infinite number of nats, which a quantile would take for one."""
    network = build(Linear(bias=False), (1,), 1)
    spec = LocalVolume(cost=cost, law=law, preconditioners=("none",), directions=4)
    found = values(spec, outcome_at(network, [weight], SQUARED_LABELS, [[1.0]], [1]))
    assert np.isnan([found[f"local_log_measure_{cost}"], found[f"local_nats_{cost}"]]).all()
    assert not found[f"local_is_minimum_{cost}"]


def test_half_a_line_is_the_error_of_a_perceptron():
    """w > 0 fits f = wx on x = 1: half of N(0, 1), from any w whose line reaches -inf and 0."""
    network = build(Linear(bias=False), (1,), 1)
    spec = LocalVolume(cost="error", threshold=0.0, preconditioners=("none",), directions=64)
    found = values(spec, outcome_at(network, [0.7], LOGISTIC, [[1.0]], [1]))
    assert found["local_log_measure_error"] == pytest.approx(math.log(0.5), abs=0.2)
    wide = LocalVolume(cost="error", threshold=1.0, preconditioners=("none",), directions=64)
    everything = values(wide, outcome_at(network, [0.7], LOGISTIC, [[1.0]], [1]))
    assert everything["local_log_measure_error"] == pytest.approx(0.0, abs=0.3)


def test_the_nats_count_the_symmetric_copies():
    network = build(Mlp(widths=(4,), activation="tanh"), (2,), 1)
    theta = RNG.normal(size=network.layout.num_params)
    outcome = outcome_at(network, theta, LOGISTIC, RNG.normal(size=(5, 2)), [0, 1, 1, 0, 1])
    spec = LocalVolume(directions=8, rank=4, threshold=1e-4)
    found = values(spec, outcome)
    nats = -found["local_log_measure_loss"] - math.lgamma(5) - 4 * math.log(2)
    assert found["local_nats_loss"] == pytest.approx(nats, rel=1e-5)
    assert nats > 0
    again = values(spec, outcome)
    assert all(np.array_equal(again[name], found[name]) for name in found)


def test_copies_of_a_basin_that_holds_everything_count_once():
    network = build(Mlp(widths=(4,), activation="tanh"), (2,), 1)
    outcome = outcome_at(network, np.ones(17), LOGISTIC, np.ones((1, 2)), [1])
    spec = LocalVolume(cost="error", threshold=1.0, preconditioners=("law",), directions=4)
    found = values(spec, outcome)
    assert found["local_log_measure_error"] == pytest.approx(0.0, abs=1e-3)
    assert found["local_nats_error"] == 0
    assert not found["local_is_lower_bound_error"]


def test_a_low_rank_map_has_determinant_1():
    vectors = jnp.asarray(ROTATION[:, :3], jnp.float32)
    transform = low_rank(jnp.array([10.0, 3.0, -1.0]), vectors, 0.1)
    matrix = np.asarray(jax.vmap(transform)(jnp.eye(SIZE)), float)
    assert np.linalg.det(matrix) == pytest.approx(1.0, rel=1e-5)
    assert np.allclose(matrix, matrix.T, atol=1e-6)


@pytest.mark.parametrize("loss", [LOGISTIC, SQUARED, SQUARED_LABELS, cross_entropy(3)])
def test_the_kl_of_outputs(loss):
    size = loss.num_outputs()
    a, b = RNG.normal(size=(2, 6, size))
    if loss in (SQUARED, SQUARED_LABELS):
        truth = 0.5 * ((a - b) ** 2).mean() * size
    else:
        full = [np.concatenate([np.zeros((6, 1)), x], 1) if size == 1 else x for x in (a, b)]
        p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in full)
        truth = (p * np.log(p / q)).sum(1).mean()
    found = mean_kl(loss, jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32))
    assert float(found) == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize("cost", ["loss", "kl", "error"])
def test_every_cost_is_0_at_the_solution(cost):
    network = build(Linear(), (2,), 1)
    outcome = outcome_at(network, [1.0, -2.0, 0.3], LOGISTIC, RNG.normal(size=(8, 2)), [0, 1] * 4)
    rise = rise_of(cost, outcome)
    assert float(rise(outcome.theta)) == pytest.approx(0.0, abs=1e-7)
    assert float(rise(-outcome.theta)) != 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threshold": 0.0}, "threshold: 0 is for the error"),
        ({"law": {"kind": "fan_in"}}, "zero biases have no volume"),
        ({"law": {"kind": "sphere"}}, "sphere"),
        ({"preconditioners": ()}, "at least 1"),
    ],
)
def test_what_has_no_volume_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        LocalVolume(**fields)
