"""Estimators for any dimension against Gaussians whose divergences are known."""

import functools
import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

from sweep_engine.densities import Draws
from sweep_engine.densities.points import classifier, neighbours
from sweep_engine.densities.points.independent import points
from sweep_engine.densities.points.witness import Witness, kl_bound, tv_bound
from sweep_engine.densities.registry import ESTIMATORS
from sweep_engine.densities.trust import Trust
from sweep_engine.errors import IncomparableSources
from tests.densities import gaussians
from tests.densities.read import c2st, energy_distance, kde, knn_kl, mmd, wasserstein
from tests.statistics import assert_catches, assert_coverage, assert_mean_within

NO_TRUST = Trust("test", 2)


def repeated(estimator, repeats, *shift, seed=1):
    """The estimate of independent pairs of samples."""
    return [
        estimator(*gaussians.shifted(np.random.default_rng([seed, i]), *shift), seed=i)
        for i in range(repeats)
    ]


def covers(found, truth):
    return [one.low <= truth <= one.high for one in found]


def starts_below(found, truth):
    return [one.low <= truth for one in found]


# --- kernels: MMD and energy --------------------------------------------------------------


@pytest.mark.parametrize(("dimension", "distance"), [(1, 0.0), (3, 0.8)])
def test_mmd_covers_its_closed_form(dimension, distance):
    truth = gaussians.mmd_squared(distance, dimension, 1.5)
    found = repeated(
        lambda a, b, seed: mmd(a, b, seed=seed, bandwidth=1.5 / _scale(a, b)),
        120, 120, dimension, distance,
    )  # fmt: skip
    assert_coverage(covers(found, truth))
    if distance:
        assert_mean_within([one.value for one in found], truth)
        assert_catches(assert_coverage, lambda: covers(found, 2 * truth))


def _scale(a, b):
    """Columns are standardised first, so a bandwidth of the test's own units is too."""
    if a.values.ndim == 1:
        return 1.0
    rng = np.random.default_rng(0)
    return float(points(a, b, NO_TRUST, rng, max_draws=10**6).scale.mean())


def test_energy_distance_covers_its_closed_form():
    truth = gaussians.energy_distance(0.8)
    found = repeated(energy_distance, 120, 120, 1, 0.8)
    assert_coverage(covers(found, truth))
    assert_mean_within([one.value for one in found], truth)


def test_one_law_is_rarely_called_different():
    """Permutation p-values are valid: at most 5 % are below 0.05."""
    found = repeated(mmd, 150, 60, 4, 0.0)
    assert_coverage([one.p_value > 0.05 for one in found])
    different = repeated(mmd, 40, 60, 4, 0.8)
    assert_catches(assert_coverage, lambda: [one.p_value > 0.05 for one in different])


# --- dependence, weights, what is not finite ----------------------------------------------


def clones(rng, num_units=60, size=20):
    """Units of nearly equal draws: their number says nothing, that of the units does."""
    units = np.repeat(np.arange(num_units), size)
    values = rng.normal(size=num_units)[units] + 0.01 * rng.normal(size=len(units))
    return Draws.of(values, None, units)


def test_clones_are_thinned_and_not_called_different():
    def p_values(with_units, repeats):
        found = []
        for i in range(repeats):
            rng = np.random.default_rng([2, i])
            source, reference = clones(rng, size=12), Draws.of(rng.normal(size=100))
            if not with_units:
                source = Draws.of(source.values)
            found.append(energy_distance(source, reference, seed=i).p_value > 0.05)
        return found

    assert_coverage(p_values(with_units=True, repeats=40))
    assert_catches(assert_coverage, lambda: p_values(with_units=False, repeats=40))
    sample = points(clones(np.random.default_rng(0)), clones(np.random.default_rng(1)),
                    NO_TRUST, np.random.default_rng(2), max_draws=10**6)  # fmt: skip
    assert sample.n_eff == (60.0, 60.0), "one of each unit"
    assert any("thinned to 60" in warning for warning in sample.warnings)


def test_weighted_draws_are_those_of_the_law_they_stand_for():
    """N(0, 1) weighed to N(0.5, 1), against N(0.5, 1)."""

    def p_values(weighted, repeats):
        found = []
        for i in range(repeats):
            rng = np.random.default_rng([3, i])
            x = rng.normal(size=400)
            source = Draws.of(x, 0.5 * x if weighted else None)
            found.append(mmd(source, Draws.of(rng.normal(0.5, 1, 200)), seed=i).p_value > 0.05)
        return found

    assert_coverage(p_values(weighted=True, repeats=60))
    assert_catches(assert_coverage, lambda: p_values(weighted=False, repeats=16))


def test_what_is_not_finite_is_left_out_and_said():
    values = np.random.default_rng(0).normal(size=(300, 2))
    values[:7, 1] = np.nan
    found = mmd(Draws.of(values), Draws.of(values[50:]), seed=0)
    assert any("7 of 300 source draws are not finite" in warning for warning in found.warnings)
    assert found.n_eff_source == 293


SURVIVORS = ("energy", "mmd", "kde", "knn", "c2st", "mean", "wasserstein")


@pytest.mark.parametrize("name", SURVIVORS)
@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_survivors_are_no_sample(name, lost):
    """Of a side that lost more than one draw in 20, nothing is said of the others alone."""
    values, whole = np.random.default_rng(0).normal(size=(2, 300))
    few, many = values.copy(), values.copy()
    few[:9], many[:30] = lost, lost
    (first, *_) = ESTIMATORS[name].look(Draws.of(few), Draws.of(whole), 0).at(0.95)
    assert any("9 of 300 source draws" in w and "of the finite ones" in w for w in first.warnings)
    for sides in ((many, whole), (whole, many)):
        with pytest.raises(IncomparableSources, match="30 of 300 draws are not finite"):
            ESTIMATORS[name].look(*map(Draws.of, sides), 0)


# --- lower bounds from a learnt ratio -----------------------------------------------------


def witness_bounds(slope, repeats=300, num=1500, distance=1.0):
    found = []
    for i in range(repeats):
        rng = np.random.default_rng([4, i])
        source, reference = gaussians.shifted(rng, num, 1, distance)
        t = [slope * distance * (x.values - distance / 2) for x in (source, reference)]
        found.append((kl_bound(*t), tv_bound(*t)))
    return [list(each) for each in zip(*found, strict=True)]


def test_the_true_ratio_gives_the_divergences_themselves():
    kl, tv = witness_bounds(slope=1.0)
    assert_coverage(covers(kl, gaussians.kl(1.0)))
    assert_coverage(covers(tv, gaussians.total_variation(1.0)))
    assert_catches(assert_coverage, lambda: starts_below(kl, 0.8 * gaussians.kl(1.0)))


def test_a_wrong_ratio_still_bounds_from_below():
    kl, _ = witness_bounds(slope=0.4, repeats=100)
    assert_coverage(starts_below(kl, gaussians.kl(1.0)), 0.975)
    assert np.mean([one.value for one in kl]) < 0.9 * gaussians.kl(1.0)


def test_a_ratio_that_saw_the_draws_is_caught():
    """Why everything is cross-fitted: nearest neighbours remember whose draw is whose."""

    def cheating():
        found = []
        for i in range(40):
            rng = np.random.default_rng([5, i])
            noise = rng.normal(size=(2, 500))  # a score that memorised half of the labels
            found.append(kl_bound(noise[0] + 0.5, noise[1] - 0.5))
        return starts_below(found, 0.0)

    assert_catches(assert_coverage, cheating)


def halves_of_one_law(repeats, num=1000):
    """The worst dependence: each half says which of two cells is the source's in the other."""
    for i in range(repeats):
        cells = np.random.default_rng([6, i]).choice([-1.0, 1.0], (2, 2, num // 2))
        first, second = (np.sign(p.mean() - q.mean()) or 1.0 for p, q in cells)
        yield [tuple(second * cells[0]), tuple(first * cells[1])]


def test_halves_that_chose_for_one_another_show_nothing_where_there_is_nothing():
    sample = points(*[Draws.of(np.arange(200.0))] * 2, NO_TRUST, np.random.default_rng(0),
                    max_draws=200)  # fmt: skip
    halves = list(halves_of_one_law(1500))
    witness = partial(Witness, "kde", NO_TRUST, sample, seed=0, method="halves")
    assert_coverage([witness(parts=each).tv(0.8).low == 0 for each in halves], 0.9)

    def as_if_independent():
        together = (map(np.concatenate, zip(*each, strict=True)) for each in halves)
        return [tv_bound(*each, 0.8).low == 0 for each in together]

    assert_catches(lambda covered: assert_coverage(covered, 0.9), as_if_independent)


def test_no_bound_exceeds_the_ceiling():
    bound = kl_bound(np.full(1000, 50.0), np.full(200, -50.0))
    assert 0.6 * math.log(200) < bound.low < bound.value <= math.log(200)


def critic(separation):
    """An exact critic of two laws that overlap so little that few samples show it."""
    inside = np.array([1 - separation, separation])
    t = np.log(inside[::-1] / inside)  # source in the second cell, reference in the first
    truth = float((inside[::-1] * t).sum())

    def draw(rng, num):
        return (t[(rng.random(num) < inside[0]).astype(int)],
                t[(rng.random(num) < inside[1]).astype(int)])  # fmt: skip

    return draw, abs(truth)


@pytest.mark.parametrize(("num", "misses"), [(1000, 0.5), (1000, 1.0), (1000, 2.0), (10_000, 1.0)])
def test_a_critic_that_separates_all_draws_is_no_proof(num, misses):
    """Laws of which a draw in a thousand, or so, falls to the other's side."""
    draw, truth = critic(misses / num)

    def covered(low_of, repeats):
        rngs = [np.random.default_rng([6, num, i]) for i in range(repeats)]
        return [low_of(*draw(rng, num)) <= truth for rng in rngs]

    repeats = 160 if num == 1000 else 60
    assert_coverage(covered(lambda p, q: kl_bound(p, q).low, repeats), 0.975)

    def plug_in(p, q):
        """As if what was not drawn could not be: no error where all are told apart."""
        top = math.log(num / 30)
        p, q = np.clip(p, -top, top), np.clip(q, -top, top)
        ratio = np.exp(q)
        stderr = math.hypot(p.std() / math.sqrt(num), ratio.std() / ratio.mean() / math.sqrt(num))
        return float(p.mean() - math.log(ratio.mean()) - 1.96 * stderr)

    if misses == 1.0:  # no draw on the wrong side in one of seven: then it claims 2 ln(num / 30)
        assert 2 * math.log(num / 30) > truth
        assert_catches(lambda hits: assert_coverage(hits, 0.975), lambda: covered(plug_in, repeats))


# --- C2ST and KDE -------------------------------------------------------------------------


_candidates = classifier._candidates


@pytest.fixture
def only_logistic(monkeypatch):
    monkeypatch.setattr(
        classifier, "_candidates", lambda d, seed: [next(iter(_candidates(d, seed)))]
    )


@pytest.mark.usefixtures("only_logistic")
@pytest.mark.parametrize("distance", [0.0, 1.0])
def test_c2st_reaches_the_bayes_accuracy_and_not_more(distance):
    found = repeated(c2st, 50, 300, 2, distance)
    accuracy, tv, kl = ([one[i] for one in found] for i in range(3))
    truth = gaussians.bayes_accuracy(distance)
    assert_coverage(starts_below(accuracy, truth), 0.975)
    assert_coverage(covers(tv, gaussians.total_variation(distance)), 0.975)
    assert_coverage(covers(kl, gaussians.kl(distance)), 0.975)
    assert_coverage([one.high >= truth - 0.02 for one in accuracy], 0.975)
    if not distance:
        assert_coverage([one.p_value > 0.05 for one in accuracy])
    else:
        assert_catches(assert_coverage, lambda: [one.p_value > 0.05 for one in accuracy])


def test_c2st_chooses_trees_where_a_quadratic_sees_nothing():
    """Two laws with the same means and covariances: a checkerboard against its negative."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (6000, 2))
    black = (np.floor(x).sum(axis=1) % 2) == 0
    accuracy, tv, kl = c2st(Draws.of(x[black]), Draws.of(x[~black]), seed=0)
    assert accuracy.low > 0.9
    assert tv.low > 0.8
    assert kl.low > 1.0


def test_c2st_accuracy_is_that_of_the_theory():
    """Phi(distance / 2) in five dimensions, with all candidates, at 4,000 draws."""
    rng = np.random.default_rng(1)
    accuracy, _, kl = c2st(*gaussians.shifted(rng, 4000, 5, 1.0), seed=0)
    truth = gaussians.bayes_accuracy(1.0)
    # Below by what is lost to learning 20 coefficients from 2,400 draws a side, under 1 %.
    noise = 6.1 * math.sqrt(truth * (1 - truth) / 8000)
    assert truth - 0.01 - noise < accuracy.value < truth + noise
    assert kl.low < gaussians.kl(1.0)


@pytest.mark.parametrize("num", [(100, 5000), (1000, 1000), (5000, 100)])
def test_classifiers_log_ratios_do_not_know_the_sides_numbers(num):
    """ln(p / q) is 2x - 2 for N(2, 1) and N(0, 1), whichever side has more draws."""
    rng = np.random.default_rng(0)
    sides = gaussians.shifted(rng, num[0], 1, 2.0, num[1])
    sample = points(*sides, NO_TRUST, rng, max_draws=10**6)
    found = np.concatenate(classifier.log_ratios(sample, rng))
    x = np.concatenate([sample.source, sample.reference])[:, 0] * sample.scale[0]
    near = np.abs(x - 1) < 1
    assert abs(float(np.median(found[near] - (2 * x - 2)[near]))) < 0.5 < math.log(50)


def test_kde_bounds_from_below_and_names_its_bandwidths():
    found = repeated(kde, 30, 400, 1, 1.0)
    assert_coverage(covers([kl for _, kl in found], gaussians.kl(1.0)), 0.975)
    assert_coverage(covers([tv for tv, _ in found], gaussians.total_variation(1.0)), 0.975)
    assert np.mean([kl.value for _, kl in found]) > 0.6 * gaussians.kl(1.0)
    assert "bandwidths" in found[0][0].method


# --- nearest neighbours -------------------------------------------------------------------


@pytest.fixture
def few_permutations(monkeypatch):
    monkeypatch.setattr(neighbours, "NUM_PERMUTATIONS", 19)


@functools.cache
def trusted(dimension, distance):
    return repeated(knn_kl, 60, 400, dimension, distance)


@pytest.mark.usefixtures("few_permutations")
@pytest.mark.parametrize(("dimension", "distance"), [(1, 1.0), (2, 0.5)])
def test_knn_covers_where_it_is_trusted(dimension, distance):
    found = [one[0] for one in trusted(dimension, distance)]
    assert_coverage(covers(found, gaussians.kl(distance)))
    assert_catches(assert_coverage, lambda: covers(found, gaussians.kl(distance) + 0.5))
    assert not any("trusted" in warning for warning in found[0].warnings)


@pytest.mark.usefixtures("few_permutations")
@pytest.mark.parametrize(("wide", "shift"), [(2.0, 0.0), (1.0, 4.0)])
def test_knn_is_a_lower_bound_where_the_reference_has_no_draws(wide, shift):
    """Its value falls short there, so an interval that is closed upwards would not cover."""
    truth = (wide**2 - 1 + shift**2) / 2 - math.log(wide)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sides = Draws.of(rng.normal(shift, wide, 400)), Draws.of(rng.normal(size=400))
        (kl, *_) = knn_kl(*sides, seed=seed)
        assert kl.low < truth < kl.high == math.inf
        assert kl.value < 0.8 * truth
        assert any("open upwards" in warning for warning in kl.warnings)


@pytest.mark.usefixtures("few_permutations")
def test_knn_entropy_covers_that_of_a_gaussian():
    found = trusted(2, 0.5)
    truth = math.log(2 * math.pi * math.e)
    for index in (1, 2):
        assert_coverage(covers([one[index] for one in found], truth))


@pytest.mark.usefixtures("few_permutations")
def test_knn_says_so_outside_its_range():
    rng = np.random.default_rng(0)
    (far, *_) = knn_kl(*gaussians.shifted(rng, 400, 10, 4.0), seed=0)
    assert far.value < gaussians.kl(4.0), "it saturates"
    assert far.high == math.inf
    (warning,) = (w for w in far.warnings if "trusted" in w)
    assert "10 dimensions (at most 2)" in warning
    assert "a test, not a measurement" in warning
    assert far.p_value == 1 / 20
    with pytest.raises(IncomparableSources, match="no density"):
        knn_kl(Draws.of(np.repeat(np.arange(200.0), 2)), Draws.of(rng.normal(size=400)), seed=0)


@pytest.mark.usefixtures("few_permutations")
@pytest.mark.parametrize("centre", [0.0, 50.0])
def test_knn_takes_draws_that_float32_rounds_to_one(centre):
    rng = np.random.default_rng(7)
    sides = [rng.normal(centre + shift, 1, 10_000).astype(np.float32) for shift in (0.5, 0.0)]
    assert len(np.unique(sides[0])) < 10_000 or not centre
    kl, *_ = knn_kl(*(Draws.of(side.astype(float)) for side in sides), seed=0)
    assert kl.low < gaussians.kl(0.5) < kl.high
    tied = sides[0].copy()
    tied[rng.permutation(10_000)[:300]] = centre
    with pytest.raises(IncomparableSources, match="values are repeated"):
        knn_kl(Draws.of(tied.astype(float)), Draws.of(sides[1].astype(float)), seed=0)
    coarse = Draws.of(np.round(sides[1].astype(float), 3))
    with pytest.raises(IncomparableSources, match="values are repeated"):
        knn_kl(coarse, coarse, seed=0)


# --- one dimension ------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [0.0, 0.5])
def test_wasserstein_covers_the_shift(distance):
    found = repeated(wasserstein, 300, 300, 1, distance)
    assert_coverage(covers(found, distance))
    assert found[0].null_value > 0
    if distance:
        assert_catches(assert_coverage, lambda: covers(found, 2 * distance))


def test_wasserstein_is_scipys():
    one, other = gaussians.shifted(np.random.default_rng(0), 50, 1, 1.0)
    found = wasserstein(one, other, seed=0)
    assert found.value == stats.wasserstein_distance(one.values, other.values)


# --- too few, too many --------------------------------------------------------------------


def test_the_same_seed_gives_the_same_estimate():
    sides = gaussians.shifted(np.random.default_rng(0), 300, 2, 0.5)
    for name in ("energy", "mmd", "kde", "knn", "c2st"):
        first, again = (ESTIMATORS[name].look(*sides, 5).at(0.95) for _ in range(2))
        assert first == again
