"""Scores of a network's probabilities: against scikit-learn, loops and enumeration in float64."""

import dataclasses
import itertools
import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError
from sklearn import metrics

from sweep_engine.models import build
from sweep_engine.observables import observables
from sweep_engine.spec.models import Linear
from sweep_engine.spec.observables import Calibration
from sweep_engine.tasks import LOGISTIC, SQUARED_LABELS, cross_entropy, make_task
from tests.observables.outcomes import outcome_at
from tests.statistics import StatisticalFailure, assert_mean_within, assert_probability

EXAMPLES, BINS, DRAWS, NETWORKS = 60, 5, 19, 400


@cache
def scorer(num_classes):
    """Scores of test logits, of networks that are known by a number alone: one program a shape."""
    loss = LOGISTIC if num_classes == 2 else cross_entropy(num_classes)
    network = build(Linear(bias=False), (1,), loss.num_outputs())
    spec = Calibration(sets=("test",), bins=BINS, draws=DRAWS)
    (observable,) = observables((spec,))
    size = network.layout.num_params

    def scores(outputs, targets, number):
        outcome = outcome_at(network, jnp.full(size, number), loss, [[1.0]], [0])
        found = observable.compute(
            dataclasses.replace(
                outcome, test_inputs=outputs, test_outputs=outputs, test_targets=targets
            )
        )
        return {name.removeprefix("test_"): value for name, value in found.items()}

    return jax.jit(jax.vmap(scores))


def scores(outputs, targets):
    """Of one network, or of one a row."""
    outputs, targets = np.asarray(outputs, np.float32), np.asarray(targets, np.int32)
    several = np.broadcast_to(outputs, (NETWORKS, *outputs.shape[-2:]))
    labels, number = np.broadcast_to(targets, several.shape[:2]), np.arange(NETWORKS, dtype=float)
    found = scorer(max(2, several.shape[-1]))(several, labels, number)
    return {k: np.asarray(v, float) if outputs.ndim == 3 else float(v[0]) for k, v in found.items()}


def logits(num_classes, seed=0, networks=()):
    shape = (*networks, EXAMPLES, 1 if num_classes == 2 else num_classes)
    return 1.5 * np.random.default_rng(seed).normal(size=shape)


def probabilities(outputs):
    f = np.concatenate([np.zeros_like(outputs), outputs], -1) if outputs.shape[-1] == 1 else outputs
    e = np.exp(f - f.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def drawn(p, seed=1):
    """Labels from the probabilities."""
    rng = np.random.default_rng(seed)
    return (rng.random((*p.shape[:-1], 1)) > np.cumsum(p, -1)).sum(-1).clip(0, p.shape[-1] - 1)


def ece(confidence, right):
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return sum(abs((right - confidence)[place == b].sum()) for b in range(BINS)) / len(right)


def mean_over_orders(sureness, wrong):
    """The area under risk and coverage, over all orders of equal scores."""
    areas = []
    for order in itertools.permutations(range(len(wrong))):
        if all(sureness[a] >= sureness[b] for a, b in itertools.pairwise(order)):
            risks = np.cumsum(wrong[list(order)]) / np.arange(1, len(wrong) + 1)
            areas.append(risks.mean())
    return np.mean(areas)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_scores_against_other_code(num_classes):
    outputs = logits(num_classes)
    p = probabilities(outputs)
    y = np.random.default_rng(2).integers(0, num_classes, EXAMPLES)
    found, confidence, right = scores(outputs, y), p.max(1), p.argmax(1) == y
    truth = {
        "accuracy": right.mean(),
        "log_loss": metrics.log_loss(y, p, labels=range(num_classes)),
        "mean_confidence": confidence.mean(),
        "mean_entropy": -(p * np.log(p)).sum(1).mean(),
        "ece": ece(confidence, right),
        "error_auroc": metrics.roc_auc_score(right, confidence),
        "brier_total": ((p - np.eye(num_classes)[y]) ** 2).sum(1).mean(),
    }
    order = np.argsort(-confidence)
    k = np.arange(1, EXAMPLES + 1)
    truth["aurc"] = (np.cumsum(~right[order]) / k).mean()
    truth["excess_aurc"] = truth["aurc"] - (np.maximum(k - right.sum(), 0) / k).mean()
    for name, value in truth.items():  # float32, sums of 60
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("num_classes", [2, 4])
def test_the_parts_of_the_brier_score(num_classes):
    """Each by a loop; the three alone miss the total by what a bin's width adds."""
    outputs = logits(num_classes, seed=3)
    p, y = probabilities(outputs), np.random.default_rng(4).integers(0, num_classes, EXAMPLES)
    found, truth = scores(outputs, y), np.eye(num_classes)[y]
    reliability = resolution = 0.0
    for c in range(num_classes):
        place = np.minimum((p[:, c] * BINS).astype(int), BINS - 1)
        for b in np.unique(place):
            inside = place == b
            reliability += inside.sum() * (p[inside, c].mean() - truth[inside, c].mean()) ** 2
            resolution += inside.sum() * (truth[inside, c].mean() - truth[:, c].mean()) ** 2
    assert found["brier_reliability"] == pytest.approx(reliability / EXAMPLES, rel=1e-4)
    assert found["brier_resolution"] == pytest.approx(resolution / EXAMPLES, rel=1e-4)
    rate = truth.mean(0)
    assert found["brier_uncertainty"] == pytest.approx((rate * (1 - rate)).sum(), rel=1e-5)
    three = reliability / EXAMPLES - resolution / EXAMPLES + found["brier_uncertainty"]
    total = found["brier_total"]
    assert total == pytest.approx(three + found["brier_within_bins"], abs=1e-6)
    assert abs(total - three) > 1e-3


def test_murphys_parts_add_up_where_all_of_a_bin_say_the_same():
    outputs = np.repeat([-2.0, 0.5, 3.0], 20)[:, None]
    found = scores(outputs, np.random.default_rng(5).integers(0, 2, EXAMPLES))
    assert found["brier_within_bins"] == pytest.approx(0, abs=1e-7)


def test_ties_count_as_every_order_of_them():
    outputs = np.array([2, 2, -2, 1, 1, 1, -3])[:, None]
    y = np.array([1, 0, 0, 1, 0, 1, 1])
    found = scores(outputs, y)
    sureness, right = np.abs(outputs[:, 0]), (outputs[:, 0] > 0) == y
    assert found["aurc"] == pytest.approx(mean_over_orders(sureness, ~right), rel=1e-6)
    assert found["error_auroc"] == pytest.approx(metrics.roc_auc_score(right, sureness), rel=1e-6)


def test_the_null_is_that_over_all_labels():
    """Mean and tail enumerated, weighed by its own probabilities; ties are in the tail."""
    outputs = np.array([0.3, -1.0, 0.5, 2.0, 0.1, -0.2, 1.2])[:, None]
    right = np.array([True, False, True, False, True, True, True])
    confidence, mean, tail = probabilities(outputs).max(1), 0.0, 0.0
    for drawn_right in itertools.product([False, True], repeat=len(outputs)):
        weight = np.where(drawn_right, confidence, 1 - confidence).prod()
        value = ece(confidence, np.array(drawn_right))
        mean += weight * value
        tail += weight * (value >= ece(confidence, right) - 1e-9)
    y = np.broadcast_to((outputs[:, 0] > 0) == right, (NETWORKS, len(outputs)))
    found = scores(np.broadcast_to(outputs, (NETWORKS, *outputs.shape)), y)
    assert_mean_within(found["ece_null"], mean)
    assert_mean_within(found["ece_null_stderr"] ** 2, found["ece_null"].var(ddof=1))
    assert_mean_within(((DRAWS + 1) * found["ece_p"] - 1) / DRAWS, tail)
    assert 0.1 < tail < 0.9


@pytest.mark.parametrize("num_classes", [2, 4])
def test_a_calibrated_network_is_inside_its_null(num_classes):
    outputs = logits(num_classes, seed=6, networks=(NETWORKS,))
    y = drawn(probabilities(outputs))
    found = scores(outputs, y)
    assert_mean_within(found["ece"] - found["ece_null"], 0.0)
    # 19 draws: the p-value is 0.05 where all of them are below.
    assert_probability((found["ece_p"] < 0.075).sum(), NETWORKS, 0.05)
    sure = scores(2 * outputs, y)  # says twice the log odds that it has
    with pytest.raises(StatisticalFailure):
        assert_mean_within(sure["ece"] - sure["ece_null"], 0.0)
    assert (sure["ece_p"] < 0.075).mean() > 0.5
    assert np.all(sure["accuracy"] == found["accuracy"])
    assert np.all(sure["mean_confidence"] > found["mean_confidence"])


def test_nothing_to_tell_apart():
    outputs = logits(2)
    everything = scores(outputs, outputs[:, 0] > 0)
    nothing = scores(outputs, outputs[:, 0] < 0)
    assert math.isnan(everything["error_auroc"])
    assert math.isnan(nothing["error_auroc"])
    assert (everything["aurc"], everything["excess_aurc"], everything["accuracy"]) == (0, 0, 1)
    assert (nothing["aurc"], nothing["accuracy"]) == (1, 0)
    assert nothing["excess_aurc"] == pytest.approx(0, abs=1e-6)
    assert not any(math.isnan(v) for k, v in everything.items() if k != "error_auroc")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_output_that_is_no_number_leaves_no_score(bad):
    outputs = logits(4)
    outputs[7, 2] = bad
    assert all(math.isnan(value) for value in scores(outputs, np.zeros(EXAMPLES)).values())


def test_what_is_surer_than_float32_says_is_still_ordered():
    """Probabilities are 1 from 17 nats on; log odds of 30 and 40 differ."""
    found = scores(np.array([40.0, 40, 40, 35, 30, 30, 30])[:, None], [1, 1, 1, 1, 0, 0, 0])
    assert found["error_auroc"] == 1
    assert found["excess_aurc"] == 0


@pytest.mark.parametrize("num_classes", [2, 4])
def test_no_order_and_no_name_of_classes_shows(num_classes):
    rng = np.random.default_rng(8)
    outputs, y = logits(num_classes, seed=7), rng.integers(0, num_classes, EXAMPLES)
    order = rng.permutation(EXAMPLES)
    if num_classes == 2:
        renamed = -outputs[order], 1 - y[order]
    else:
        names = np.roll(np.arange(num_classes), 1)
        renamed = outputs[order][:, np.argsort(names)], names[y[order]]
    found, moved = scores(outputs, y), scores(*renamed)
    for name in found:
        if name == "ece_p" or name.startswith("ece_null"):
            continue  # drawn example by example
        assert moved[name] == pytest.approx(found[name], rel=1e-5, abs=1e-6), name
    assert moved["error_auroc"] == pytest.approx(found["error_auroc"], rel=1e-6)


def test_other_sets():
    """f = x: far away it is ten times as sure, and the second set lies between."""
    rng = np.random.default_rng(9)
    network = build(Linear(bias=False), (1,), 1)
    x, second = rng.normal(size=(40, 1)), 2 * rng.normal(size=(30, 1))
    y, labels = rng.integers(0, 2, 40), rng.integers(0, 2, 30)
    outcome = dataclasses.replace(
        outcome_at(network, [1.0], LOGISTIC, [[1.0]], [0]),
        test_inputs=jnp.asarray(x, jnp.float32),
        test_outputs=jnp.asarray(x, jnp.float32),
        test_targets=jnp.asarray(y),
        ood_inputs=jnp.asarray(second, jnp.float32),
        ood_targets=jnp.asarray(labels),
    )
    (observable,) = observables((Calibration(sets=("test", "ood", "far"), draws=2),))
    found = jax.jit(lambda: observable.compute(outcome))()
    found = {name: float(value) for name, value in found.items()}
    assert set(found) == {column.name for column in observable.columns}
    for name, inputs, truth in (("far", 10 * x, y), ("ood", second, labels)):
        p = probabilities(inputs)
        assert found[f"{name}_log_loss"] == pytest.approx(metrics.log_loss(truth, p), rel=1e-5)
        is_test = np.repeat([1, 0], [len(x), len(inputs)])
        detection = metrics.roc_auc_score(is_test, np.abs(np.concatenate([x, inputs])))
        assert found[f"{name}_detection_auroc"] == pytest.approx(detection, rel=1e-5)
    assert found["far_mean_confidence"] > found["ood_mean_confidence"]
    assert found["far_error_auroc"] == found["test_error_auroc"]
    own_labels = dataclasses.replace(outcome, ood_inputs=None, ood_targets=None)
    left = jax.eval_shape(lambda: observable.compute(own_labels))
    assert not any(name.startswith("ood") for name in left)


def test_what_it_needs():
    plain, second = (observables((Calibration(sets=s),))[0] for s in (("test",), ("test", "ood")))
    data = np.eye(2), np.array([0, 1])
    with_ood = make_task(data, data, LOGISTIC, ood=data)
    assert second.problem(with_ood, Linear()) is None
    assert "give the task `ood`" in second.problem(make_task(data, data, LOGISTIC), Linear())
    squared = make_task(data, data, SQUARED_LABELS)
    assert "say probabilities" in plain.problem(squared, Linear())
    with pytest.raises(ValidationError, match="each set once"):
        Calibration(sets=("test", "test"))
