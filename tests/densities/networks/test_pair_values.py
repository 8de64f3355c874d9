"""Numbers of one pair: against loops, enumeration of the symmetries, and a loss known by hand."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.densities.networks.matching import match
from sweep_engine.densities.networks.pair_values import NetworkPairs, linear_cka
from sweep_engine.spec.models import Diagonal, Linear, Mlp, ScalarFactorisation
from sweep_engine.tasks import SQUARED, Examples, make_task
from tests.densities.networks.made import (
    TASK,
    layers,
    members,
    moved,
    random_members,
    randomly_moved,
)

MODELS = [
    Mlp(widths=(4,), activation="relu"),
    Mlp(widths=(4,), activation="tanh", bias=False),
    Mlp(widths=(5, 4, 3), activation="tanh"),
]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda m: f"{m.activation}-{m.widths}")


def pairs(one, other=None):
    """Network i of the one with network i of the other."""
    place = np.arange(len(one))
    return NetworkPairs(one, other or one, place, place)


@every_model
def test_a_network_and_itself(model):
    found = pairs(random_members(3, model)).values()
    assert found["pair_agreement"].tolist() == [1, 1, 1]
    assert found["pair_distance"].tolist() == [0, 0, 0]
    np.testing.assert_allclose(found["pair_distance_matched"], 0, atol=1e-12)
    np.testing.assert_allclose(found["pair_cka"], 1, rtol=1e-9)
    for name in ("pair_barrier", "pair_barrier_matched"):  # float32 losses of one network
        np.testing.assert_allclose(found[name], 0, atol=1e-6)


@every_model
def test_a_permuted_copy(model):
    """No distance and no barrier modulo symmetry; without matching there are both.

    Labels are those of the network, so that it fits, and the way between copies does not.
    """
    (theta,) = 2 * random_members(1, model).theta
    labels = members([theta], model).outputs(TASK.train.x)[0].argmax(axis=-1)
    task = dataclasses.replace(TASK, train=Examples(TASK.train.x, labels))
    one = members([theta] * 6, model, task)
    rng = np.random.default_rng(2)
    copies = [randomly_moved(one.network, theta, rng) for _ in range(6)]
    found = pairs(one, members(copies, model, task)).values()
    assert np.all(found["pair_agreement"] == 1)
    np.testing.assert_allclose(found["pair_distance_matched"], 0, atol=1e-5)
    np.testing.assert_allclose(found["pair_barrier_matched"], 0, atol=1e-5)
    np.testing.assert_allclose(found["pair_cka"], 1, rtol=1e-5)
    assert np.max(found["pair_distance"]) > 1
    assert np.max(found["pair_barrier"]) > 0.01


@every_model
def test_moving_a_network_through_its_symmetries_changes_nothing_of_a_pair(model):
    """Where a matching is exact: a heuristic may stop elsewhere."""
    one, other = random_members(4, model), random_members(4, model, seed=3)
    rng = np.random.default_rng(4)
    copies = members([randomly_moved(one.network, t, rng) for t in other.theta], model)
    found, again = pairs(one, other).values(), pairs(one, copies).values()
    assert np.max(np.abs(found["pair_distance"] - again["pair_distance"])) > 0.1
    exact = ["pair_agreement", "pair_cka"]
    if len(model.widths) == 1:
        exact += ["pair_distance_matched", "pair_barrier_matched"]
    for name in exact:
        np.testing.assert_allclose(found[name], again[name], rtol=1e-4, atol=1e-5, err_msg=name)


def orbit(network, theta):
    """All points that permutations, and signs under tanh, make of a network."""
    odd = network.module.activation == "tanh"
    per_layer = [
        [
            (np.array(order), np.array(sign))
            for order in itertools.permutations(range(width))
            for sign in itertools.product([1.0, -1.0] if odd else [1.0], repeat=width)
        ]
        for width in network.module.widths
    ]
    for chosen in itertools.product(*per_layer):
        yield moved(network, theta, *zip(*chosen, strict=True))


@pytest.mark.parametrize("model", [*MODELS[:2], Mlp(widths=(2, 3), activation="tanh")])
def test_the_distance_modulo_symmetry(model):
    """The least over the whole orbit with one hidden layer, an upper bound of it with two."""
    one, other = random_members(3, model), random_members(3, model, seed=5)
    found = pairs(one, other).values()
    for i in range(3):
        points = np.stack(list(orbit(one.network, other.theta[i])))
        least = np.linalg.norm(points - one.theta[i], axis=1).min()
        if len(model.widths) == 1:
            assert found["pair_distance_matched"][i] == pytest.approx(least, rel=1e-6)
        else:
            assert least - 1e-6 < found["pair_distance_matched"][i] < found["pair_distance"][i]


@every_model
def test_what_is_matched_is_the_same_function(model):
    one, other = random_members(1, model), random_members(1, model, seed=6)
    nearer = match(one.network, one.theta[0], other.theta[0])
    assert np.linalg.norm(nearer - one.theta[0]) < np.linalg.norm(other.theta[0] - one.theta[0])
    x = jnp.asarray(TASK.train.x)
    outputs = [one.network.apply(one.network.layout.unflatten(jnp.asarray(t, jnp.float32)), x)
               for t in (nearer, other.theta[0])]  # fmt: skip
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)


def test_a_barrier_known_by_hand():
    """f = ab: from (1, 1) to (-1, -1) the loss (t^2 - 1)^2 / 2 is 1/2 at 0; to (1, 1) it is 0."""
    task = make_task((np.ones((1, 1)), np.ones(1)), None, SQUARED)
    one = members([[1, 1], [1, 1], [2, 0.5]], ScalarFactorisation(), task)
    other = members([[-1, -1], [1, 1], [2, 0]], ScalarFactorisation(), task)
    found = pairs(one, other).values()
    # From (2, 1/2), loss 0, to (2, 0), loss 1/2, it is convex: below the line between the ends.
    np.testing.assert_allclose(found["pair_barrier"], [0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found["pair_distance"], [8**0.5, 0, 0.5])
    assert set(found) == {"pair_barrier", "pair_distance"}


def test_agreement_is_the_share_of_equal_labels():
    one, other = random_members(5), random_members(5, seed=7)
    labels = [side.outputs(TASK.test.x).argmax(axis=-1) for side in (one, other)]
    found = pairs(one, other).agreement()
    np.testing.assert_allclose(found, (labels[0] == labels[1]).mean(axis=1))
    assert found.min() < found.max()


def test_cka_of_the_last_hidden_layer():
    """Against centred Gram matrices of features that are computed here."""
    model = MODELS[2]
    one, other = random_members(2, model), random_members(2, model, seed=8)
    found = pairs(one, other).cka()
    centre = np.eye(len(TASK.test.x)) - 1 / len(TASK.test.x)
    for i in range(2):
        grams = []
        for side in (one, other):
            h = TASK.test.x.astype(float)
            for weights, bias in layers(side.network, side.theta[i])[:-1]:
                h = np.tanh(h @ weights + bias)
            grams.append(centre @ h @ h.T @ centre)
        truth = np.sum(grams[0] * grams[1]) / np.prod([np.linalg.norm(gram) for gram in grams])
        assert found[i] == pytest.approx(truth, rel=1e-5)
        assert found[i] < 0.99


def test_cka_knows_no_rotation_and_no_scale():
    rng = np.random.default_rng(9)
    a = rng.normal(size=(500, 3))
    turned = 5 * a @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + 2
    assert linear_cka(a, turned) == pytest.approx(1)
    assert linear_cka(a, rng.normal(size=(500, 3))) < 0.05
    assert np.isnan(linear_cka(a, np.ones((500, 2))))


@pytest.mark.parametrize("model", [Linear(), Diagonal()])
def test_models_without_hidden_units(model):
    task = make_task((np.eye(3), np.array([1.0, 2, 3])), None, SQUARED)
    found = pairs(random_members(2, model, task), random_members(2, model, task, seed=2)).values()
    assert set(found) == {"pair_barrier", "pair_distance"}


def test_two_models_share_labels_and_features_alone():
    wide = random_members(2, Mlp(widths=(6,)))
    found = pairs(random_members(2), wide).values()
    assert set(found) == {"pair_agreement", "pair_cka"}
