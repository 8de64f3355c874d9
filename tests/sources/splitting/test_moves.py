"""One move, and one selection: what each must leave as it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sweep_engine.sources.bucket import Data
from sweep_engine.sources.splitting.estimate import log_share, stderr_of_log
from sweep_engine.sources.splitting.particle import FULL_TURN, Particle, window_at
from sweep_engine.sources.splitting.population import select
from tests.sources.splitting.cases import LINEAR, Orthant, open_sweep, wrong_move
from tests.statistics import assert_catches, assert_ks, assert_mean_within, assert_uniform_chi2

THRESHOLD = -0.5
COUNT, SIZE = 4000, 3
ALONE = stats.truncnorm(THRESHOLD, np.inf)


def _moved(width, sweeps=3):
    """Exact draws of N(0, I) given that all coordinates are above the threshold, then moved.

    All draws are independent, before and after.
    """
    _, programs = open_sweep(Orthant(SIZE), LINEAR)
    climber = programs.climber
    data = Data(jnp.eye(SIZE), jnp.ones(SIZE))
    hyper = {"law.std": jnp.float32(2.0)}
    uniform = np.random.default_rng(0).uniform(size=(COUNT, SIZE))
    normals = jnp.asarray(ALONE.ppf(uniform), jnp.float32)
    levels = jax.vmap(climber.level, (0, None, None))(normals, hyper, data)
    np.testing.assert_allclose(levels, 2 * normals.min(axis=1), rtol=1e-6)

    @jax.jit
    def move(particles, keys):
        def one(particle, key):
            return climber.move(particle, key, 2 * THRESHOLD, width, hyper, data)

        return jax.vmap(one)(particles, keys)

    particles = Particle(normals, levels, jnp.arange(COUNT))
    found = []
    for sweep in range(sweeps):
        particles, accepted = move(particles, jax.random.split(jax.random.key(sweep), COUNT))
        found.append(np.asarray(accepted))
    np.testing.assert_allclose(particles.level, 2 * particles.normals.min(axis=1), rtol=1e-6)
    return np.asarray(particles.normals), np.asarray(normals), np.array(found)


def _check_law(normals):
    for column in normals.T:
        assert_ks(column, ALONE.cdf)
    mean, variance = ALONE.stats("mv")
    products = (normals - mean) * (np.roll(normals, 1, axis=1) - mean)
    assert_mean_within(
        np.column_stack([products, (normals - mean) ** 2]), [0.0] * 3 + [variance] * 3
    )


@pytest.mark.parametrize("width", [FULL_TURN, 0.5])
def test_a_move_leaves_the_law_above_the_threshold_as_it_is(width):
    normals, before, found = _moved(width)
    _check_law(normals)
    assert normals.min() > THRESHOLD
    assert 0.5 < found.mean() <= 1.0
    assert np.mean(np.any(normals != before, axis=1)) > 0.9


@pytest.mark.parametrize("wrong", ["any level", "not the law"])
def test_a_wrong_move_is_caught(wrong):
    def moved():
        with wrong_move(wrong):
            return _moved(0.5, sweeps=40)[0]

    assert_catches(_check_law, moved)


def test_windows_are_cyclic_runs_of_log_uniform_length_anywhere():
    size, count = 63, 20_000
    uniform = jax.random.uniform(jax.random.key(1), (2, count))
    windows = np.asarray(jax.vmap(lambda a, b: window_at(a, b, size))(*uniform))
    starts = windows & ~np.roll(windows, 1, axis=1)
    length = windows.sum(axis=1)
    assert np.all(starts.sum(axis=1) == (length < size))
    assert_uniform_chi2(starts[length < size].sum(axis=0))
    octave = np.floor(np.log2(length)).astype(int)  # 1, 2-3, 4-7, ..., 32-63
    assert_uniform_chi2(np.bincount(octave, minlength=6))


# --- Selection ----------------------------------------------------------------------------


def _select(levels, survivors=0.5, key=0):
    found = select(jnp.asarray(levels, jnp.float32), survivors, jax.random.key(key))
    return float(found.threshold), int(found.num_survivors), np.asarray(found.parent)


@pytest.mark.parametrize(
    ("levels", "threshold", "survivors"),
    [
        (np.arange(-8, 0), -5.0, 4),
        ([3, -1, 2, 5, 1, 4, 6, 7], 0.0, 7),
        ([3, 1, 2, 5, 1, 4, 6, 7], 0.0, 8),
        ([-1, -1, -1, -1, -1, -1, 2, 3], -1.0, 2),
        ([-np.inf] * 7 + [-2.0], -np.inf, 1),
        ([np.inf] * 8, 0.0, 8),
        ([-3.0] * 8, -3.0, 0),
        ([-np.inf] * 8, -np.inf, 0),
        ([0.0] * 8, 0.0, 0),
    ],
    ids=["half", "never above 0", "all", "ties", "one", "atom", "tied", "hopeless", "zero"],
)
def test_a_level_leaves_those_strictly_above_it(levels, threshold, survivors):
    levels = np.asarray(levels, float)
    found, number, parent = _select(levels)
    assert (found, number) == (threshold, survivors)
    alive = levels > threshold
    assert np.all(parent[alive] == np.flatnonzero(alive))
    if survivors:
        assert alive[parent].all()
    else:
        assert np.all(parent == np.arange(len(levels)))


@pytest.mark.parametrize(
    ("share", "survivors"), [(0.5, 512), (0.8, 819), (0.001, 1), (0.9999, 1023)]
)
def test_the_share_asked_for_survives(share, survivors):
    levels = np.random.default_rng(0).normal(size=1024) - 10
    assert _select(levels, share)[1] == survivors


def test_clones_are_spread_evenly_and_the_remainder_at_random():
    levels = np.where(np.arange(32) < 12, -1.0, -2.0)
    extra = np.zeros(12, int)
    for key in range(400):
        _, number, parent = _select(levels, 0.5, key)
        clones = np.bincount(parent, minlength=12) - 1
        assert number == 12
        assert clones.sum() == 20
        assert set(clones) == {1, 2}
        extra += clones - 1
    assert_uniform_chi2(extra)


# --- The error within a repetition --------------------------------------------------------


def test_the_error_from_ancestors_is_the_ideal_one_where_moves_forget():
    """Levels that leave half, offspring independent of descent: the variance is levels / N."""
    rng, count, levels = np.random.default_rng(0), 2048, 20
    found = []
    for _ in range(200):
        ancestor = np.arange(count)
        for _ in range(levels):
            alive = rng.permutation(count)[: count // 2]
            ancestor = ancestor[np.concatenate([alive, alive])]
        found.append(stderr_of_log(ancestor, np.ones(count, bool)) ** 2)
    assert np.mean(found) == pytest.approx(levels / count, rel=0.05)


def test_the_error_counts_the_accepted_alone_and_is_unknown_without_any():
    ancestor = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    assert stderr_of_log(ancestor, np.ones(8, bool)) == pytest.approx(np.sqrt(1 / 4 - 1 / 8))
    assert stderr_of_log(ancestor, ancestor < 2) == pytest.approx(np.sqrt(1 / 2 - 1 / 8))
    assert np.isnan(stderr_of_log(ancestor, np.zeros(8, bool)))
    assert log_share(0, 8) == -np.inf
