"""Scores of ensembles: against loops, and where their members are alike or opposed."""

import numpy as np
import pytest
from sklearn import metrics

from sweep_engine.densities.networks.ensemble import (
    SIZE,
    chance_above,
    log_probabilities,
    mutual_information,
    scores,
    scores_of_all,
)
from tests.densities.networks.made import TASK, members, random_members

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_scores_against_loops(num_classes):
    outputs = 2 * RNG.normal(size=(3, 40, 1 if num_classes == 2 else num_classes))
    y = RNG.integers(0, num_classes, 40)
    logits = np.concatenate([0 * outputs, outputs], -1) if num_classes == 2 else outputs
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    mean, labels = p.mean(0), p.argmax(-1)
    found = scores(log_probabilities(outputs), y)
    entropy = -(p * np.log(p)).sum(-1)
    log_loss = metrics.log_loss(y, mean, labels=range(num_classes))
    single = [metrics.log_loss(y, each, labels=range(num_classes)) for each in p]
    truth = {
        "accuracy": (mean.argmax(-1) == y).mean(),
        "log_loss": log_loss,
        "gain": np.mean(single) - log_loss,
        "disagreement": np.mean([labels[i] != labels[j] for i in range(3) for j in range(i)]),
        "mutual_information": (-(mean * np.log(mean)).sum(-1) - entropy.mean(0)).mean(),
    }
    assert found == pytest.approx(truth, rel=1e-9)


def test_members_that_are_alike_add_nothing():
    """However unsure they are."""
    outputs = np.repeat(RNG.normal(size=(1, 30, 3)), 5, axis=0)
    found = scores(log_probabilities(outputs), RNG.integers(0, 3, 30))
    assert found["disagreement"] == 0
    assert found["gain"] == pytest.approx(0, abs=1e-12)
    assert found["mutual_information"] == 0
    other = scores(log_probabilities(outputs + RNG.normal(size=outputs.shape)), np.zeros(30, int))
    assert other["gain"] > 0.01
    assert other["mutual_information"] > 0.01


def test_members_that_are_sure_of_opposites():
    outputs = np.array([[[50.0]], [[-50.0]]])
    assert mutual_information(log_probabilities(outputs)) == pytest.approx([np.log(2)])
    assert scores(log_probabilities(outputs), np.array([1]))["disagreement"] == 1


def test_what_all_are_sure_of_ties():
    """What is left of their entropies is rounding, and has no order."""
    sure = mutual_information(log_probabilities(100 + RNG.normal(size=(5, 30, 1))))
    assert sure.tolist() == [0] * 30
    assert chance_above(sure, sure) == 0.5
    broken = mutual_information(np.full((5, 2, 2), np.nan))
    assert np.isnan(broken).all()


def test_no_order_of_members_shows():
    log_p, y = log_probabilities(RNG.normal(size=(5, 20, 3))), RNG.integers(0, 3, 20)
    assert scores(log_p[::-1], y) == pytest.approx(scores(log_p, y), rel=1e-12)


def test_the_chance_to_be_above_is_that_of_an_area_under_a_curve():
    above, below = np.round(RNG.normal(size=50) + 1), np.round(RNG.normal(size=30))
    truth = metrics.roc_auc_score(np.repeat([1, 0], [50, 30]), np.concatenate([above, below]))
    assert chance_above(above, below) == pytest.approx(truth)
    assert np.isnan(chance_above(above, np.array([np.nan])))


def test_every_set_is_scored_by_ensembles_that_share_no_network():
    drawn = random_members(3 * SIZE + 2)
    found = scores_of_all(drawn)
    assert all(len(values) == 3 for values in found.values())
    second = members(drawn.theta[SIZE : 2 * SIZE])
    for where, x, y in (
        ("test", TASK.test.x, TASK.test.y),
        ("ood", TASK.ood.x, TASK.ood.y),
        ("far", 10 * TASK.test.x, TASK.test.y),
    ):
        alone = scores(log_probabilities(second.outputs(x)), y)
        for name, value in alone.items():
            assert found[f"ensemble_{where}_{name}"][1] == pytest.approx(value, rel=1e-5)
    assert "ensemble_test_detection" not in found
    assert np.all((found["ensemble_far_detection"] >= 0) & (found["ensemble_far_detection"] <= 1))


def test_one_network_of_every_unit():
    drawn = members(np.arange(6.0)[:, None] * np.ones(31), units=np.array([2, 2, 0, 1, 0, 1]))
    assert drawn.one_per_unit().theta[:, 0].tolist() == [0, 2, 3]
