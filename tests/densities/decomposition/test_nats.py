"""KL(source | prior) = -ln P(fit) + KL(source | prior given fit), and its bound."""

import math
from functools import partial

import numpy as np
import pytest
from scipy import special, stats

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.decomposition.nats import data_nats, optimiser_nats, total_nats
from sweep_engine.densities.decomposition.pac_bayes import pac_bayes_bound
from sweep_engine.densities.functions import split_half
from sweep_engine.densities.probabilities.log_probability import log_mean_probability
from sweep_engine.densities.probabilities.proportions import ln_probability, proportion
from tests.densities.read import divergence_lower_bounds
from tests.statistics import assert_catches, assert_coverage

# A prior over ten functions, of which the first four fit, and a source that lands on those.
PRIOR = np.array([0.02, 0.01, 0.03, 0.04, 0.1, 0.2, 0.1, 0.15, 0.15, 0.2])
SOURCE = np.array([0.5, 0.3, 0.15, 0.05])
P_FIT = PRIOR[:4].sum()
TRUTH = float(special.rel_entr(SOURCE, PRIOR[:4]).sum())
NUM_RUNS, NUM_DRAWS, REPEATS = 2000, 20_000, 200


def ledger(rng, p_fit=P_FIT, each=0.975):
    prior = rng.multinomial(NUM_DRAWS, np.append(PRIOR[:4] / PRIOR[:4].sum() * p_fit, 1 - p_fit))
    runs = rng.multinomial(NUM_RUNS, SOURCE)
    fits = int(prior[:4].sum())
    data = data_nats(ln_probability(proportion(fits, NUM_DRAWS, confidence=each)))
    cells = CellCounts(runs, prior[:4])
    kl = divergence_lower_bounds(cells, seed=int(rng.integers(2**31)), confidence=each)[-1]
    return data, optimiser_nats(kl, "function")


def test_the_identity_holds_of_the_laws_themselves():
    given_fit = float(special.rel_entr(SOURCE, PRIOR[:4] / P_FIT).sum())
    assert pytest.approx(TRUTH, rel=1e-12) == -math.log(P_FIT) + given_fit


def covered(p_fit=P_FIT):
    found = (
        total_nats(*ledger(np.random.default_rng([7, i]), p_fit), 0.95) for i in range(REPEATS)
    )
    return [one.low <= TRUTH <= one.high for one in found]


def test_the_sum_covers_the_kl_that_it_is_of(monkeypatch):
    null = partial(
        split_half.same_source_null_of_counts, num_splits=1
    )  # of which no interval knows
    monkeypatch.setattr(split_half, "same_source_null_of_counts", null)
    assert_coverage(covered())
    assert_catches(assert_coverage, lambda: covered(p_fit=0.8 * P_FIT))


def test_the_sum_is_of_both_entries():
    data, optimiser = ledger(np.random.default_rng(0))
    total = total_nats(data, optimiser, 0.95)
    assert total.value == data.value + optimiser.value
    assert total.low == data.low + optimiser.low
    assert (total.name, total.unit, total.confidence) == ("decomposition_total", "nats", 0.95)
    assert any("over networks it can only be more" in w for w in total.warnings)


def test_without_the_second_entry_the_first_is_a_bound():
    data, _ = ledger(np.random.default_rng(0))
    total = total_nats(data, None, 0.95)
    assert (total.low, total.high) == (data.low, math.inf)
    assert math.isnan(total.value)
    assert any("not measured" in w for w in total.warnings)


def test_no_fit_at_all_bounds_the_data_from_below():
    data = data_nats(ln_probability(proportion(0, 1000)))
    assert (data.value, data.high) == (math.inf, math.inf)
    assert data.low == pytest.approx(-math.log(1 - 0.025 ** (1 / 1000)))


def test_splitting_is_as_good_a_first_entry():
    log_p = np.random.default_rng(1).normal(-69.3147, 0.1, 8)
    data = data_nats(log_mean_probability(log_p))
    assert data.low < 69.3147 < data.high
    assert data.num_reference == 8


# --- the PAC-Bayes bound ------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [0.0, 0.1])
@pytest.mark.parametrize(("p_fit", "num_train"), [(0.1, 50), (1e-9, 100), (1e-40, 20)])
def test_the_bound_solves_its_equation(allowed, p_fit, num_train):
    data = data_nats(ln_probability(proportion(int(p_fit * 1e45), 10**45)))
    bound = pac_bayes_bound(data, num_train, allowed, confidence=0.9).value
    room = (-math.log(p_fit) + math.log(2 * math.sqrt(num_train) / 0.05)) / num_train
    kl = special.rel_entr(allowed, bound) + special.rel_entr(1 - allowed, 1 - bound)
    assert kl == pytest.approx(room, rel=1e-6)
    if allowed == 0:
        assert bound == pytest.approx(1 - math.exp(-room))


def test_the_bound_holds_in_nearly_all_training_sets():
    """Rules of 16 random labels each: the error of the rules that fit, against the bound."""
    num_train, num_inputs, num_rules, repeats = 8, 64, 400, 400
    rng = np.random.default_rng(3)
    # Rules agree with the truth at each input with a probability of their own.
    agree = rng.random((num_rules, num_inputs)) < rng.uniform(0.5, 1.0, (num_rules, 1))
    held = []
    for _ in range(repeats):
        chosen = rng.integers(0, num_inputs, num_train)
        fit = agree[:, chosen].all(axis=1)
        if fit.any():
            room = -math.log(fit.mean()) + math.log(2 * math.sqrt(num_train) / 0.05)
            held.append(1 - agree[fit].mean() <= 1 - math.exp(-room / num_train))
    assert_coverage(held, 0.95)
    data = data_nats(ln_probability(proportion(40, num_rules)))
    expected = 1 - math.exp(-(math.log(10) + math.log(2 * math.sqrt(8) / 0.025)) / 8)
    assert pac_bayes_bound(data, num_train).value == pytest.approx(expected)


def test_a_binomial_tail_agrees_with_the_limit_of_the_bound():
    """With one rule and no slack, n (1 - L) draws without error: L = 1 - delta^(1/n)."""
    data = data_nats(ln_probability(proportion(1, 1)))
    bound = pac_bayes_bound(data, 100, confidence=0.9).value
    exact = stats.beta.ppf(0.95, 1, 100)
    assert exact < bound < exact + math.log(2 * math.sqrt(100)) / 100


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_the_chance_of_an_unlucky_training_set_follows_the_confidence(confidence):
    """The error at zero train error is 1 - exp(-room); delta is half of what may fail."""
    data = data_nats(ln_probability(proportion(50, 100)))
    bound = pac_bayes_bound(data, 100, confidence=confidence)
    room = -math.log1p(-bound.value) * 100 - data.value
    assert room == pytest.approx(math.log(2 * 10 / ((1 - confidence) / 2)))
    assert bound.confidence == confidence
    assert f"delta = {(1 - confidence) / 2:g}" in bound.method
