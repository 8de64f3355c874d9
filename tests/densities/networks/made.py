"""Networks for tests, without a sweep."""

import numpy as np

from sweep_engine.densities.networks.members import Members
from sweep_engine.models import build
from sweep_engine.spec.models import Mlp
from sweep_engine.tasks import cross_entropy, make_task

RNG = np.random.default_rng(0)
INPUTS, CLASSES = 3, 3
TASK = make_task(
    (RNG.normal(size=(12, INPUTS)), np.arange(12) % CLASSES),
    (RNG.normal(size=(9, INPUTS)), np.arange(9) % CLASSES),
    cross_entropy(CLASSES),
    ood=(RNG.normal(size=(8, INPUTS)) + 3, np.arange(8) % CLASSES),
)


def members(theta, model=None, task=TASK, units=None):
    network = build(model or Mlp(widths=(4,)), task.input_shape, task.loss.num_outputs())
    theta = np.asarray(theta, np.float32)
    return Members(
        network, task, theta, np.arange(len(theta)) if units is None else units, len(theta)
    )


def random_members(count, model=None, task=TASK, seed=1):
    network = build(model or Mlp(widths=(4,)), task.input_shape, task.loss.num_outputs())
    theta = np.random.default_rng(seed).normal(size=(count, network.layout.num_params))
    return members(theta, model, task)


def layers(network, theta):
    """[weights, bias] of every layer; weights alone where there are no biases."""
    found = {}
    for leaf in network.layout.leaves:
        part = np.array(theta[leaf.offset : leaf.offset + leaf.size], float).reshape(leaf.shape)
        found.setdefault(leaf.path[0], []).append(part)
    return list(found.values())


def moved(network, theta, orders, signs):
    """The same function: the units of every hidden layer in another order, some with signs."""
    parts = layers(network, theta)
    for i, (order, sign) in enumerate(zip(orders, signs, strict=True)):
        parts[i] = [part[..., order] * sign for part in parts[i]]
        parts[i + 1][0] = parts[i + 1][0][order] * sign[:, None]
    return np.concatenate([part.ravel() for layer in parts for part in layer])


def randomly_moved(network, theta, rng):
    widths = network.module.widths
    odd = network.module.activation == "tanh"
    return moved(
        network,
        theta,
        [rng.permutation(width) for width in widths],
        [rng.choice([-1.0, 1.0], width) if odd else np.ones(width) for width in widths],
    )
