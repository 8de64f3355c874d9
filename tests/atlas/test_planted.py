"""Planted effects: known effects, errors and heterogeneity come back, in intervals that hold."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sweep_engine.atlas.analysis import Analysis, _errors, _read
from sweep_engine.atlas.contrasts import Levels, model_of
from sweep_engine.atlas.granulated import granulated
from sweep_engine.atlas.meta_regression import critical_value, meta_regression
from sweep_engine.atlas.rows import Row
from sweep_engine.atlas.shares import REST, shares
from sweep_engine.atlas.standardised import UNKNOWN, Response
from sweep_engine.atlas.universality import universality
from sweep_engine.densities import Pair
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec import Comparison

COMPARISON = Comparison(source="sgd", reference="prior", observable="l2_norm")
FACTORS = {"activation": ("relu", "tanh"), "batch": ("small", "large"), "depth": ("1", "2", "3")}
TASKS = ("t0", "t1", "t2", "t3", "t4", "t5")
EFFECT = {"tanh": 0.8, "large": 0.0, "2": 0.3, "3": -0.5}
TAU = 0.2


def row(levels, reference=0, balance=1.0):
    pair = Pair(COMPARISON, {}, (1,), (reference,))
    return Row(levels, pair, UNKNOWN, UNKNOWN, np.nan, {}, {}, balance)


def crossed(factors):
    return [
        dict(zip(factors, levels, strict=True)) for levels in itertools.product(*factors.values())
    ]


ROWS = [row(levels, i) for i, levels in enumerate(crossed(FACTORS | {"task": TASKS}))]


def planted(rng, rows=ROWS, tau=TAU, task=0.5, effect=EFFECT, low=0.05, high=0.5):
    tasks = dict(zip(TASKS, rng.normal(0, task, len(TASKS)), strict=True))
    errors = rng.uniform(low, high, len(rows))
    truth = np.array([sum(effect.get(level, 0.0) for level in each.levels.values())
                      + tasks[each.levels["task"]] for each in rows])  # fmt: skip
    values = truth + rng.normal(0, tau, len(rows)) + errors * rng.normal(size=len(rows))
    return [Response(float(v), float(e)) for v, e in zip(values, errors, strict=True)]


def found_in(responses, rows=ROWS):
    return Analysis({}, "task", 0).of("complexity", "sd", rows, responses)


def true_value(words):
    level, base = words.split(" - ")
    return EFFECT.get(level, 0.0) - EFFECT.get(base, 0.0)


NUM_REPEATS = 60


def test_simultaneous_intervals_cover_at_once_and_naive_ones_do_not():
    covered, naive = 0, 0
    model = model_of(Levels.of([each.levels for each in ROWS]).without("task"), order=1)
    for seed in range(NUM_REPEATS):
        rng = np.random.default_rng([seed, 1])
        responses = planted(rng, tau=0.5)
        values = np.array([each.value for each in responses])
        errors = _errors(ROWS, responses)
        tasks = Levels.of([each.levels for each in ROWS]).codes["task"]
        fit = meta_regression(values, errors, model.matrix, tasks)
        effects = _read(model.contrasts, fit, 0.95, seed)
        covered += all(e.low <= true_value(e.words) <= e.high for e in effects)
        # The analysis that takes every row for the truth but its sampling error: no heterogeneity.
        spread = np.linalg.inv(model.matrix.T @ np.linalg.solve(errors, model.matrix))
        beta = spread @ model.matrix.T @ np.linalg.solve(errors, values)
        reach = stats.norm.ppf(0.975)
        naive += all(
            abs(c.row @ beta - true_value(c.words)) <= reach * np.sqrt(c.row @ spread @ c.row)
            for c in model.contrasts
        )
    # Binomial: 95 % less 4 standard errors (false alarm 3e-5).
    assert covered >= NUM_REPEATS * 0.95 - 4 * np.sqrt(NUM_REPEATS * 0.95 * 0.05)
    assert naive < NUM_REPEATS * 0.6


def test_effects_interactions_and_heterogeneity_come_back():
    responses = planted(np.random.default_rng(3), low=0.02, high=0.1)
    for i, each in enumerate(ROWS):  # a planted interaction
        if each.levels["activation"] == "tanh" and each.levels["batch"] == "large":
            responses[i] = replace(responses[i], value=responses[i].value + 1.0)
    found = found_in(responses)
    by_name = {each.name: each for each in found.effects}
    both = by_name["activation × batch: tanh - relu; large - small"]
    assert both.low < 1.0 < both.high
    assert both.is_shown
    assert not by_name["activation × depth: tanh - relu; 2 - 1"].is_shown
    assert found.heterogeneity == pytest.approx(TAU, abs=4 * TAU / np.sqrt(2 * 50))
    assert {each.term for each in found.main_effects} == {(name,) for name in FACTORS}


def test_an_effect_on_all_tasks_is_told_from_one_that_depends_on_them():
    rng = np.random.default_rng(5)
    responses = planted(rng, low=0.02, high=0.1, tau=0.05)
    for i, each in enumerate(ROWS):  # `large` does one thing on half of the tasks, another on half
        sign = 1 if each.levels["task"] in TASKS[:3] else -1
        if each.levels["batch"] == "large":
            responses[i] = replace(responses[i], value=responses[i].value + sign)
    by_name = {each.name: each for each in found_in(responses).effects}
    tanh, large = by_name["activation: tanh - relu"], by_name["batch: large - small"]
    assert tanh.tasks.num_agree == 6
    assert tanh.tasks.sign == 1
    assert tanh.tasks.verdict in {"universal", "same sign"}
    assert large.tasks.verdict == "task dependent"
    assert large.tasks.num_agree == 3
    assert not large.is_shown


def test_rows_that_share_a_reference_share_its_error():
    rows = [row({"a": a, "b": b}, reference=int(b)) for a in "xy" for b in "012345"]
    common = np.random.default_rng(0).normal(size=6)
    responses = [Response(float(common[int(each.levels["b"])]), 0.01, 1.0) for each in rows]
    covariance = _errors(rows, responses)
    values = np.array([each.value for each in responses])
    matrix = model_of(Levels.of([{"a": each.levels["a"]} for each in rows]), order=1).matrix
    fit = meta_regression(values, covariance, matrix)
    wrong = meta_regression(values, np.diag(np.diag(covariance)), matrix)
    assert fit.covariance[1, 1] < 1e-3 < wrong.covariance[1, 1]


def test_shares_are_those_that_were_planted():
    factors = {
        "big": ("0", "1"),
        "small": ("0", "1"),
        "none": ("0", "1", "2"),
        "rep": tuple(map(str, range(40))),
    }
    levels = Levels.of(crossed(factors)).without("rep")
    signs = {name: 2.0 * levels.codes[name] - 1 for name in ("big", "small")}
    rng = np.random.default_rng(1)
    num = len(signs["big"])
    # Variances: big 4, small 1, an interaction 1, rows 1; errors 4 do not count.
    y = 2 * signs["big"] + signs["small"] + signs["big"] * signs["small"]
    y = y + rng.normal(size=num) + 2 * rng.normal(size=num)
    found = {each.factor: each for each in shares(y, np.full(num, 4.0), levels, 0)}
    truth = {"big": 4 / 7, "small": 1 / 7, "none": 0.0, REST: 2 / 7}
    assert sum(each.value for each in found.values()) == pytest.approx(1)
    for name, share in truth.items():
        assert found[name].low - 0.02 <= share <= found[name].high + 0.02
        assert found[name].value == pytest.approx(share, abs=0.12)
    plain = np.var(2 * signs["big"]) / np.var(y)  # errors counted: too small a share
    assert plain < found["big"].low


def test_shares_of_correlated_factors_are_shapley_values():
    rng = np.random.default_rng(2)
    a = rng.integers(0, 2, 4000)
    b = np.where(rng.random(4000) < 0.8, a, 1 - a)
    levels = Levels({"a": ("0", "1"), "b": ("0", "1")}, {"a": a, "b": b})
    y = (2.0 * a - 1) + (2.0 * b - 1)
    found = {each.factor: each.value for each in shares(y, np.zeros(4000), levels, 0)}
    assert found["a"] == pytest.approx(0.5, abs=0.02)  # what both explain is halved
    assert found["b"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("between", [0.0, 1.0])
def test_i_squared_is_within_its_interval(between):
    errors = np.full(8, 0.5)
    truth = between**2 / (between**2 + 0.25)
    inside = [
        each.low <= truth <= each.high
        for seed in range(60)
        for rng in [np.random.default_rng([seed, 7])]
        for each in [
            universality(1 + rng.normal(0, between, 8) + errors * rng.normal(size=8), errors)
        ]
    ]
    assert sum(inside) >= 60 * 0.95 - 4 * np.sqrt(60 * 0.95 * 0.05)


def test_the_sign_test():
    found = universality([1, 2, 1, 3, 1, 2, 1, -1], np.full(8, 0.1))
    assert (found.num_agree, found.num_tasks, found.sign) == (7, 8, 1)
    assert str(found).startswith("the sign holds on 7 of 8 tasks")
    assert found.sign_p == pytest.approx(2 * 9 / 256)
    assert universality([1.0], [0.1]) is None


def test_aliased_effects_are_named_or_refused():
    half = [each for each in crossed({"a": "xy", "b": "xy", "c": "xy"})
            if sum(level == "x" for level in each.values()) % 2]  # fmt: skip
    rows = [row(each, i) for i, each in enumerate(half * 4)]
    responses = [Response(float(i % 3), 0.1) for i in range(len(rows))]
    found = Analysis({}, None, 0).of("norm", "sd", rows, responses)
    effect = next(each for each in found.effects if each.term == ("a",))
    assert effect.aliased_with == (("b", "c"),)
    assert "b × c is mixed up with effects that are fitted" in found.left_out
    same = [row({"a": x, "b": x}, i) for i, x in enumerate("xyxyxyxy")]
    with pytest.raises(IncomparableSources, match="a = b"):
        Analysis({}, None, 0).of("norm", "sd", same, responses[:8])
    with pytest.raises(InsufficientSamples, match="2 rows"):
        Analysis({}, None, 0).of("norm", "sd", rows[:2], responses[:2])


def test_class_balance_is_a_covariate_of_tasks():
    balance = dict(zip(TASKS, np.linspace(0.5, 1.0, 6), strict=True))
    rows = [replace(each, balance=balance[each.levels["task"]]) for each in ROWS]
    responses = planted(np.random.default_rng(8), task=0.02, low=0.02, high=0.05)
    tilted = [replace(each, value=each.value + 3 * rows[i].balance)
              for i, each in enumerate(responses)]  # fmt: skip
    found = found_in(tilted, rows).balance
    assert found.low < 3 < found.high
    assert found.is_shown
    assert found_in(responses, ROWS).balance is None  # one balance on all tasks: nothing to tell


def test_reml_is_the_analysis_of_variance_where_that_is_exact():
    rng = np.random.default_rng(0)
    # No regressors, equal errors: τ² is the sample variance less that of the errors.
    y = rng.normal(0, 2, 30)
    fit = meta_regression(y, 0.5**2 * np.eye(30), np.ones((30, 1)))
    assert fit.heterogeneity == pytest.approx(y.var(ddof=1) - 0.25, rel=1e-3)
    assert fit.covariance[0, 0] == pytest.approx(y.var(ddof=1) / 30, rel=1e-3)
    # 8 tasks of 5 rows each: ω² = (mean square between - within) / 5.
    tasks = np.repeat(np.arange(8), 5)
    y = rng.normal(0, 3, 8)[tasks] + rng.normal(0, 1, 40)
    fit = meta_regression(y, 1e-6 * np.eye(40), np.ones((40, 1)), tasks)
    groups = y.reshape(8, 5)
    within = groups.var(axis=1, ddof=1).mean()
    between = 5 * groups.mean(axis=1).var(ddof=1)
    assert fit.heterogeneity == pytest.approx(within, rel=1e-2)
    assert fit.task_variance == pytest.approx((between - within) / 5, rel=1e-2)
    # Errors that explain all of it leave no heterogeneity.
    assert meta_regression(y, 1e3 * np.eye(40), np.ones((40, 1))).heterogeneity < 1e-3


def test_critical_values_lie_between_one_interval_and_bonferroni():
    model = model_of(Levels.of([each.levels for each in ROWS]), order=1)
    y = np.random.default_rng(0).normal(size=len(ROWS))
    fit = meta_regression(y, 0.01 * np.eye(len(ROWS)), model.matrix)
    contrasts = np.array([each.row for each in model.contrasts])
    alone = stats.t.ppf(0.975, fit.degrees)
    bonferroni = stats.t.ppf(1 - 0.025 / len(contrasts), fit.degrees)
    assert alone < critical_value(contrasts, fit, 0.95, 0) < bonferroni


def test_granulated_tau_does_not_count_what_the_task_does_to_both():
    rows = crossed({"task": TASKS, "batch": ("1", "2", "3", "4")})
    levels = Levels.of(rows)
    task, batch = levels.codes["task"].astype(float), levels.codes["batch"]
    rng = np.random.default_rng(0)
    norm = 10 * task + rng.permutation(len(rows)) / len(rows)
    error = 10 * task + rng.permutation(len(rows)) / len(rows)
    zero = np.zeros(len(rows))
    plain = stats.kendalltau(norm, error).statistic
    found = granulated(norm, error, (zero, zero), levels, 0)
    assert plain > 0.7
    assert abs(found.by_factor["batch"]) < 0.5
    falling = granulated(batch - 10 * task, -batch - 10 * task, (zero, zero), levels, 0)
    assert falling.by_factor["batch"] == -1
    assert falling.by_factor["task"] == 1
    assert falling.value == 0
    noisy = granulated(batch - 10 * task, -batch - 10 * task, (zero + 1, zero), levels, 0)
    assert noisy.low < noisy.high
