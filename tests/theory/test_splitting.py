"""Splitting against exact probabilities and conditional laws, and against rejection.

Orthants: N orthogonal inputs, all labels +, and a law with independent symmetric coordinates:
P(fit) = 2^-N, and every coordinate given that it fits is positive with the law's own density.
"""

import functools

import numpy as np
import pytest
from scipy import stats

from sweep_engine.densities.probabilities.log_probability import log_mean_probability
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from tests.kernels.compilers import needs_compiler
from tests.sources.splitting.cases import (
    LINEAR,
    Orthant,
    measured,
    one_per_ancestor,
    open_sweep,
    repetitions,
    split,
    wrong_move,
)
from tests.statistics import (
    assert_catches,
    assert_ks,
    assert_mean_within,
    assert_p_value,
)

LAWS = {
    "gaussian": ({"kind": "gaussian", "std": 2.0}, stats.halfnorm(scale=2.0)),
    "box": ({"kind": "box", "half_width": 3.0}, stats.uniform(0, 3.0)),
}
SIZES = {8: (512, 8), 32: (512, 4), 100: (4096, 4)}
"""Particles and repetitions by N."""

LONG = [pytest.param(law, 100, marks=pytest.mark.long) for law in LAWS]


@functools.cache
def _orthant(law, size, implementation="xla"):
    particles, count = SIZES[size]
    law = LAWS[law][0]
    options = {"law": law, "particles": particles, "implementation": implementation}
    return split(Orthant(size), LINEAR, count, **options)


def _check_log_p(found, truth):
    """P_r is unbiased and ln P_r nearly normal: its mean is ln P - s^2 / 2 (delta method)."""
    values, stderrs = found
    variance = np.mean(stderrs**2)
    assert_mean_within(values + variance / 2, truth, np.sqrt(variance / len(values)))


@pytest.mark.parametrize(
    ("law", "size"),
    [("gaussian", 8), ("box", 8), ("gaussian", 32), *LONG],
)
def test_an_orthant_has_probability_two_to_the_minus_n(law, size):
    finished = _orthant(law, size)
    values, stderrs = measured(finished, "log_p_fit")
    truth = -size * np.log(2)
    _check_log_p((values, stderrs), truth)
    estimate = log_mean_probability(values)
    pooled = np.sqrt(np.mean(stderrs**2) / len(values))
    assert abs(estimate.value - truth) < 3 * pooled
    assert pooled <= 0.5
    assert finished.solutions.fit.all()


@pytest.mark.parametrize(("law", "size"), [("gaussian", 8), ("box", 8), *LONG])
def test_within_an_orthant_every_coordinate_has_its_own_half_of_the_law(law, size):
    finished = _orthant(law, size)
    theta = finished.solutions.theta[one_per_ancestor(finished, SIZES[size][0])]
    assert len(theta) > 60
    for column in theta.T:
        assert_ks(column, LAWS[law][1].cdf)
    assert_ks(theta.ravel(), LAWS[law][1].cdf)  # coordinates are independent


@needs_compiler
@pytest.mark.parametrize("law", LAWS)
def test_the_kernel_has_the_same_probabilities_and_laws(law):
    finished = _orthant(law, 8, "cpu")
    _check_log_p(measured(finished, "log_p_fit"), -8 * np.log(2))
    theta = finished.solutions.theta[one_per_ancestor(finished, SIZES[8][0])]
    assert len(theta) > 60
    assert_ks(theta.ravel(), LAWS[law][1].cdf)
    assert not np.array_equal(finished.solutions.theta, _orthant(law, 8).solutions.theta)


def test_the_error_within_a_repetition_is_the_spread_between_them():
    values, stderrs = measured(
        split(Orthant(4), LINEAR, 40, particles=64, moves=10, survivors=0.6), "log_p_fit"
    )
    ratio = np.var(values, ddof=1) / np.mean(stderrs**2)
    low, high = stats.chi2(39).ppf([5e-10, 1 - 5e-10]) / 39
    assert low / 1.25 < ratio < high


def _wrong_orthant(name):
    with wrong_move(name):
        return split(Orthant(8), LINEAR, 8, particles=512, moves=20, max_levels=40)


@pytest.mark.filterwarnings("ignore::sweep_engine.sources.splitting.estimate.AncestorsCollapsed")
def test_moves_that_do_not_leave_the_law_as_it_is_are_caught():
    def theta():
        finished = _wrong_orthant("not the law")
        return finished.solutions.theta[one_per_ancestor(finished, 512)].ravel()

    assert_catches(lambda sample: assert_ks(sample, stats.halfnorm.cdf), theta)


@pytest.mark.filterwarnings("ignore::sweep_engine.sources.splitting.estimate.AncestorsCollapsed")
@pytest.mark.parametrize("name", ["clones stay", "any level"])
def test_wrong_probabilities_are_caught(name):
    def found():
        # Where nothing fits the estimate is 0: a number far below stands for its logarithm.
        values, stderrs = measured(_wrong_orthant(name), "log_p_fit")
        return np.nan_to_num(values, neginf=-50), np.nan_to_num(stderrs, nan=1.0)

    assert_catches(lambda found: _check_log_p(found, -8 * np.log(2)), found)


# --- Linear separability ------------------------------------------------------------------


def test_exactly_the_separable_functions_of_two_bits_have_a_probability():
    """All but xor and its negation: 14 of 16, and theirs add up to 1."""
    functions = [f"{i:04b}" for i in range(16)]
    (setting,), programs = open_sweep(
        {"kind": "boolean", "bits": 2, "target": "x1", "train": 4},
        {"kind": "linear", "bias": True},
        functions=functions,
        particles=256,
        moves=10,
        max_levels=25,
    )
    values, stderrs = measured(repetitions(setting, programs, 0, 16), "log_p_function")
    reached = dict(zip(functions, np.isfinite(values), strict=True))
    assert [f for f, found in reached.items() if not found] == ["0110", "1001"]
    found = np.isfinite(values)
    stderr = np.sqrt(np.sum((np.exp(values) * stderrs)[found] ** 2))
    assert_mean_within([np.exp(values).sum()], 1.0, stderr)


# --- Networks: where rejection works, and where it is hopeless ----------------------------

NETWORK = {"kind": "mlp", "widths": [40, 40]}
SMALL_NETWORK = {"kind": "mlp", "widths": [10]}
WIDER_NETWORK = {"kind": "mlp", "widths": [20]}


FEW = [3, 20, 37, 70, 77, 106]


def _boolean(train, target="x1"):
    return {"kind": "boolean", "bits": 7, "target": target, "train": train}


@functools.cache
def _rejection(small, draws):
    model = SMALL_NETWORK if small else NETWORK
    sweep = Sweep(
        name="rejection",
        task=_boolean(FEW),
        model=model,
        sources={"guess": {"kind": "guess_and_check", "draws": draws}},
    )
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    return work(programs, [Piece(setting, 0, draws)], Control())


@functools.cache
def _network(small, particles, count):
    model = SMALL_NETWORK if small else NETWORK
    (setting,), programs = open_sweep(
        _boolean(FEW), model, law={"kind": "box"}, particles=particles, moves=10
    )
    return repetitions(setting, programs, 0, count)


SCALES = [
    pytest.param((True, 40_000), (True, 512, 8), id="7-10-1"),
    pytest.param((False, 100_000), (False, 1024, 8), id="7-40-40-1", marks=pytest.mark.long),
]


@pytest.mark.parametrize(("guess", "rare"), SCALES)
def test_splitting_and_rejection_agree_on_the_probability(guess, rare):
    (tally,) = _rejection(*guess).tallies
    share = tally.fits / tally.draws
    values, _ = measured(_network(*rare), "log_p_fit")
    assert 1e-4 < share < 0.1
    spread = np.std(values, ddof=1)
    stderr = np.hypot(spread / np.sqrt(len(values)), np.sqrt((1 - share) / tally.fits))
    assert_mean_within([np.mean(values) + spread**2 / 2 - np.log(share)], 0.0, stderr)


def _check_same_cells(pair):
    """Two-sample chi-squared over the number of errors, in cells of equal count."""
    one, other = pair
    edges = np.unique(np.quantile(np.concatenate(pair), np.linspace(0, 1, 11)[1:-1]))
    table = [np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1) for x in (one, other)]
    table = np.array(table)[:, np.sum(table, axis=0) > 0]
    assert_p_value(float(stats.chi2_contingency(table).pvalue), "two laws over functions")


def _wrong(functions):
    """On how many of all inputs functions differ from x1, the target."""
    labels = np.unpackbits(functions, axis=1)
    return np.sum(labels != np.repeat([0, 1], 64), axis=1)


@pytest.mark.parametrize(("guess", "rare"), SCALES)
def test_splitting_and_rejection_find_the_same_functions(guess, rare):
    """Of the clones one a line of descent counts, so that draws are independent."""
    finished = _network(*rare)
    thinned = finished.functions[one_per_ancestor(finished, rare[1])]
    assert len(thinned) > 300
    _check_same_cells([_wrong(_rejection(*guess).functions), _wrong(thinned)])


def test_labels_read_the_wrong_way_round_are_told_apart():
    found = _rejection(True, 40_000).functions
    assert_catches(_check_same_cells, lambda: [_wrong(found), 128 - _wrong(found)])


@pytest.mark.parametrize(
    ("model", "train", "moves", "particles", "count"),
    [
        pytest.param(WIDER_NETWORK, 24, 16, 512, 3, id="7-20-1"),
        pytest.param(NETWORK, 30, 20, 2048, 4, id="7-40-40-1", marks=pytest.mark.long),
    ],
)
def test_where_rejection_is_hopeless_repetitions_agree(model, train, moves, particles, count):
    (setting,), programs = open_sweep(
        _boolean(train, "random(3)"), model, moves=moves, particles=particles
    )
    finished = repetitions(setting, programs, 0, count)
    values, stderrs = measured(finished, "log_p_fit")
    estimate = log_mean_probability(values)
    assert -np.inf < estimate.low < estimate.value < np.log(1e-12)
    assert values.max() - values.min() < 3.0
    assert finished.solutions.fit.all()
    spread = np.sum((values - values.mean()) ** 2 / np.mean(stderrs**2))
    assert_p_value(float(stats.chi2(count - 1).sf(spread)), f"ln P of repetitions: {values}")
