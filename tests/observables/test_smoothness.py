"""Smoothness along lines of inputs: functions known by hand, and networks against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep_engine.models import build, canonicalise
from sweep_engine.observables import contours, observables, smoothness
from sweep_engine.observables.input_lines import input_lines
from sweep_engine.spec.models import Linear, Mlp
from sweep_engine.spec.observables import InputGradient, Smoothness
from sweep_engine.tasks import LOGISTIC, SQUARED, cross_entropy
from tests.observables.outcomes import outcome_at

curvature, mean_frequency, total_variation, contour_length = map(
    jax.jit,
    (
        smoothness.curvature,
        smoothness.mean_frequency,
        smoothness.total_variation,
        contours.contour_length,
    ),
)
RNG = np.random.default_rng(0)
POINTS = 33
T = np.linspace(0, 1, POINTS)


def lines(*rows):
    """Outputs (L, n, 1) of one output along a few lines."""
    return jnp.asarray(np.array(rows)[:, :, None], jnp.float32)


# --- functions of one variable --------------------------------------------------------------------


def wave(k):
    return np.cos(np.pi * k * (np.arange(POINTS) + 0.5) / POINTS)


@pytest.mark.parametrize("k", [1, 2, 7, 32])
def test_a_wave_has_its_frequency(k):
    assert mean_frequency(lines(3 + 5 * wave(k))) == pytest.approx(k / 2, rel=1e-4)


def test_frequencies_are_weighted_by_power():
    both = (3 / 2 + 4 * 10 / 2) / 5
    assert mean_frequency(lines(wave(3) + 2 * wave(10))) == pytest.approx(both, rel=1e-5)
    assert mean_frequency(lines(wave(3), 2 * wave(10))) == pytest.approx(both, rel=1e-5)


def test_the_spectrum_by_scipy():
    outputs = RNG.normal(size=(3, POINTS, 2))
    power = (scipy.fft.dct(outputs, axis=1) ** 2).sum(axis=(0, 2))[1:]
    expected = power @ np.arange(1, POINTS) / 2 / power.sum()
    assert mean_frequency(jnp.asarray(outputs, jnp.float32)) == pytest.approx(expected, rel=1e-5)


def test_a_constant_has_no_frequency():
    noise = 1 + 1e-7 * RNG.normal(size=POINTS)
    for row in (np.zeros(POINTS), np.full(POINTS, 2.5), noise):
        assert np.isnan(mean_frequency(lines(row)))
    assert not np.isnan(mean_frequency(lines(1 + 1e-4 * wave(3))))


@pytest.mark.parametrize(
    ("rows", "variation", "bend"),
    [
        ([3 * T], 3, 0),
        ([np.abs(2 * T - 1)], 2, 4),
        ([np.abs(2 * T - 1), 0 * T], 1, 2),
        ([np.maximum(0, 4 * T - 1) - np.maximum(0, 8 * T - 4)], 1 + 2, 4 + 8),
    ],
    ids=["straight", "one kink", "mean over lines", "two kinks"],
)
def test_variation_and_curvature_by_hand(rows, variation, bend):
    """The last: slope 4 from t = 1/4, to 1 at t = 1/2; then slope -4, to -1."""
    assert total_variation(lines(*rows)) == pytest.approx(variation, rel=1e-5)
    assert curvature(lines(*rows)) == pytest.approx(bend, abs=1e-3)


def test_the_path_of_several_outputs_has_a_length():
    """Once around a circle, by the chords."""
    circle = np.stack([np.cos(2 * np.pi * T), np.sin(2 * np.pi * T)], axis=1)[None]
    chords = 2 * (POINTS - 1) * np.sin(np.pi / (POINTS - 1))
    assert total_variation(jnp.asarray(circle, jnp.float32)) == pytest.approx(chords, rel=1e-5)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_turns_of_the_outputs_change_nothing(seed):
    """Orthogonal maps, of which permutations and signs of classes are some, and shifts."""
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(2, 9, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = jnp.asarray(outputs @ turn + rng.normal(size=3), jnp.float32)
    for measure in (mean_frequency, total_variation, curvature):
        one, other = measure(jnp.asarray(outputs, jnp.float32)), measure(moved)
        assert other == pytest.approx(float(one), rel=1e-4)
    doubled = jnp.asarray(2 * outputs, jnp.float32)
    assert mean_frequency(doubled) == pytest.approx(float(mean_frequency(moved)), rel=1e-4)
    assert total_variation(doubled) == pytest.approx(2 * float(total_variation(moved)), rel=1e-4)


# --- contours -------------------------------------------------------------------------------------

SIDE = 17
GRID = np.linspace(-1, 1, SIDE)
STEP = GRID[1] - GRID[0]
X1, X2 = np.meshgrid(GRID, GRID, indexing="ij")


def length(values):
    return float(contour_length(jnp.asarray(values, jnp.float32), STEP, STEP))


def chord(normal, offset):
    """Length of normal . x = offset in the square, by its ends on the four sides."""
    a, b = normal
    ends = [((offset - b * s) / a, s) for s in (-1, 1) if a]
    ends += [(s, (offset - a * s) / b) for s in (-1, 1) if b]
    inside = [end for end in ends if max(map(abs, end)) <= 1 + 1e-9]
    return max((np.hypot(p[0] - q[0], p[1] - q[1]) for p in inside for q in inside), default=0)


@given(st.floats(0, np.pi), st.floats(-1.3, 1.3))
@settings(max_examples=40)
def test_a_straight_boundary_is_exact(angle, offset):
    normal = np.cos(angle), np.sin(angle)
    values = normal[0] * X1 + normal[1] * X2 - offset
    # A point of the grid on the contour may be cut off or not, by rounding: a sliver of 0.
    assert length(values) == pytest.approx(chord(normal, offset), abs=2e-3)


def test_a_circle():
    """A polygon with corners on it; counting changes of label would measure a staircase."""
    values = X1**2 + X2**2 - 0.6**2
    around = 2 * np.pi * 0.6
    assert 0.99 * around < length(values) < around
    assert length(-values) == pytest.approx(length(values), rel=1e-5)
    is_in = values < 0
    changes = (is_in[1:] != is_in[:-1]).sum() + (is_in[:, 1:] != is_in[:, :-1]).sum()
    assert changes * STEP > 1.15 * around
    assert length(np.ones_like(values)) == 0
    assert np.isnan(length(np.full_like(values, np.nan)))


def test_steps_may_differ():
    values = jnp.asarray(X1 - 0.3, jnp.float32)
    assert contour_length(values, STEP, 3 * STEP) == pytest.approx(6, rel=1e-5)
    assert contour_length(values.T, STEP, 3 * STEP) == pytest.approx(2, rel=1e-5)


# --- lines through the data -----------------------------------------------------------------------

DATA = RNG.normal(size=(6, 4)).astype(np.float32)


@pytest.mark.parametrize("extent", [1.0, 3.0])
def test_lines_run_through_pairs_of_inputs(extent):
    spec = Smoothness(points=31, lines=8, extent=extent)
    points = np.asarray(input_lines(spec, jnp.asarray(DATA)).points)
    assert points.shape == (8, 31, 4)
    at = 0 if extent == 1 else 10
    for line in points:
        start, end = (np.argmin(np.abs(DATA - line[i]).sum(axis=1)) for i in (at, 30 - at))
        assert start != end
        np.testing.assert_allclose(line[[at, 30 - at]], DATA[[start, end]], atol=1e-5)


def test_a_square_in_the_plane_of_three_inputs():
    points, steps = input_lines(Smoothness(on="plane", points=9), jnp.asarray(DATA))
    rows, columns = points[:9], points[9:]
    np.testing.assert_array_equal(rows, np.swapaxes(columns, 0, 1))
    flat = np.asarray(rows, float).reshape(-1, 4)
    centre = flat.mean(axis=0)
    sizes = np.linalg.svd(flat - centre, compute_uv=False)
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-4), "a square"
    assert sizes[2] < 1e-5 * sizes[0], "in a plane"
    neighbours = [np.linalg.norm(rows[place] - rows[0, 0]) for place in ((1, 0), (0, 1))]
    np.testing.assert_allclose(steps, neighbours, rtol=1e-4)
    basis = np.linalg.svd(flat - centre)[2]
    off_plane = np.linalg.norm((DATA - centre) @ basis[2:].T, axis=1)
    away = np.linalg.norm(DATA - centre, axis=1)
    spanning = off_plane < 1e-4 * away
    assert spanning.sum() == 3
    assert np.max(away[spanning]) == pytest.approx(4 * float(steps[0]), rel=1e-4)


def test_the_box_around_the_data():
    points, steps = input_lines(Smoothness(on="grid", points=5, extent=2), jnp.asarray(DATA[:, :2]))
    low, high = DATA[:, :2].min(axis=0), DATA[:, :2].max(axis=0)
    flat = np.asarray(points[:5]).reshape(-1, 2)
    np.testing.assert_allclose(flat.min(axis=0), low - (high - low) / 2, rtol=1e-5)
    np.testing.assert_allclose(flat.max(axis=0), high + (high - low) / 2, rtol=1e-5)
    np.testing.assert_allclose(steps, (high - low) / 2, rtol=1e-5)
    (line,), none = input_lines(Smoothness(on="grid", points=5), jnp.asarray(DATA[:, :1]))
    assert line.shape == (5, 1)
    assert none is None


# --- of networks ----------------------------------------------------------------------------------

RELU = build(Mlp(widths=(6, 5)), (4,), 1)
THETA = RNG.normal(size=RELU.layout.num_params).astype(np.float32)
LABELS = np.arange(6) % 2


def compute(spec, network, theta, loss=LOGISTIC, x=DATA, y=LABELS):
    (observable,) = observables((spec,))
    found = jax.jit(lambda theta: observable.compute(outcome_at(network, theta, loss, x, y)))(
        np.asarray(theta, np.float32)
    )
    return {name: np.asarray(value) for name, value in found.items()}


def hidden(theta, x):
    """What the units of both layers are given."""
    parts = np.split(theta.astype(float), np.cumsum([24, 6, 30, 5, 5]))
    w1, b1, w2, b2, w3, b3 = parts
    one = x @ w1.reshape(4, 6) + b1
    two = np.maximum(one, 0) @ w2.reshape(6, 5) + b2
    return one, two, np.maximum(two, 0) @ w3.reshape(5, 1) + b3


def switching(given):
    """How many units of a layer are switched on or off along a line, in the mean over lines."""
    return np.sum((given[:, 1:] > 0) != (given[:, :-1] > 0), axis=(1, 2)).mean()


def test_the_columns_of_a_relu_network_by_numpy():
    spec = Smoothness(points=64, lines=5, extent=2)
    found = compute(spec, RELU, THETA)
    points = np.asarray(input_lines(spec, jnp.asarray(DATA)).points, float)
    one, two, outputs = hidden(THETA, points)
    expected = np.abs(np.diff(outputs[..., 0], axis=1)).sum(axis=1).mean()
    assert found["line_total_variation"] == pytest.approx(expected, rel=1e-4)
    bends = np.abs(np.diff(outputs[..., 0], 2, axis=1)).sum(axis=1).mean() * 63
    assert found["line_curvature"] == pytest.approx(bends, rel=1e-2)
    switches = sum(switching(given) for given in (one, two))
    assert found["line_linear_pieces"] == pytest.approx(1 + switches)
    fine = np.linspace(points[:, 0], points[:, -1], 20001, axis=1)
    truth = sum(switching(given) for given in hidden(THETA, fine)[:2])
    assert truth - 0.5 <= switches <= truth, "a lower bound, and few are missed"
    assert switching(one) == switching(one[:, [0, -1]]), "the first layer's: once at most"


def test_what_changes_no_function_changes_nothing():
    """The order of units, and relu units' scale."""
    spec = Smoothness(points=16, lines=3)
    found = compute(spec, RELU, THETA)
    canonical = jax.jit(lambda theta: canonicalise(RELU, theta, scaling=True).theta)(THETA)
    moved = compute(spec, RELU, canonical)
    for name, value in found.items():
        np.testing.assert_allclose(moved[name], value, rtol=1e-3, err_msg=name)
    rough = compute(spec, RELU, np.concatenate([3 * THETA[:54], THETA[54:]]))
    assert rough["line_total_variation"] > 2 * found["line_total_variation"]


def test_a_linear_network_is_straight():
    network = build(Linear(bias=False), (4,), 1)
    weights = RNG.normal(size=4)
    spec = Smoothness(points=16, lines=5, extent=3)
    found = compute(spec, network, weights, SQUARED, y=DATA[:, 0])
    ends = np.asarray(input_lines(spec, jnp.asarray(DATA)).points, float)[:, [0, -1]]
    expected = np.abs((ends[:, 1] - ends[:, 0]) @ weights).mean()
    assert found["line_total_variation"] == pytest.approx(expected, rel=1e-5)
    assert found["line_curvature"] == pytest.approx(0, abs=1e-4 * expected)
    ramp = scipy.fft.dct(np.arange(16.0))[1:] ** 2
    frequency = ramp @ np.arange(1, 16) / 2 / ramp.sum()
    assert found["line_mean_frequency"] == pytest.approx(frequency, rel=1e-4)
    assert set(found) == {"line_total_variation", "line_curvature", "line_mean_frequency"}


CORNERS = np.array([[-1.0, -1], [1, 1], [1, -1]])


def test_the_decision_boundary_of_linear_classifiers():
    """Of two classes x1 = 1/4; of three, rays from 0 at 60, 180 and 300 degrees."""
    spec = Smoothness(on="grid", points=32)
    two = build(Linear(), (2,), 1)
    found = compute(spec, two, [4, 0, -1], x=CORNERS, y=[0, 1, 1])
    assert found["grid_boundary_length"] == pytest.approx(2, rel=1e-4)
    three = build(Linear(bias=False), (2,), 3)
    angles = np.radians([0, 120, 240])
    weights = np.stack([np.cos(angles), np.sin(angles)])
    found = compute(spec, three, weights.ravel(), cross_entropy(3), CORNERS, [0, 1, 2])
    rays = 2 / np.sin(np.radians(60)) + 1
    assert found["grid_boundary_length"] == pytest.approx(rays, abs=2 / 31)


def test_inputs_on_one_line_span_no_plane():
    x = np.arange(6)[:, None] * np.array([1.0, 2, 0, -1])
    found = compute(Smoothness(on="plane", points=4), RELU, THETA, x=x)
    assert set(map(np.isnan, found.values())) == {np.True_}
    found = compute(Smoothness(on="plane", points=4), RELU, THETA)
    assert not any(np.isnan(value) for value in found.values())


def test_the_gradient_by_the_input():
    """Of a linear network |W|; of another by differences."""
    (observable,) = observables((InputGradient(),))

    def norm(network, theta):
        test = DATA[:3], DATA[:3, 0]

        def compute(theta):
            one = outcome_at(network, theta, SQUARED, DATA, DATA[:, 0], test)
            return observable.compute(one)["input_gradient_norm"]

        return float(jax.jit(compute)(theta))

    weights = RNG.normal(size=12)
    assert norm(build(Linear(bias=False), (4,), 3), weights) == pytest.approx(
        np.linalg.norm(weights), rel=1e-5
    )
    steps = 1e-6 * np.eye(4)
    slopes = [
        [hidden(THETA, x + d)[2] - hidden(THETA, x - d)[2] for d in steps]
        for x in DATA[:3].astype(float)
    ]
    expected = np.linalg.norm(np.array(slopes)[:, :, 0] / 2e-6, axis=1).mean()
    assert norm(RELU, THETA) == pytest.approx(expected, rel=1e-4)
