"""Every labelling: P(fit) adds up to 1 over all labelings of the inputs, for any network.

So its mean is 2^-n for n inputs. Every labelling is measured by draws of its own.
"""

import functools
import itertools

import numpy as np
import pytest

from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from tests.sources.splitting.cases import Points, measured, open_sweep, repetitions, wrong_move
from tests.statistics import assert_catches, assert_mean_within

MODEL = {"kind": "mlp", "widths": [8]}
MODELS = {
    "relu": MODEL | {"activation": "relu"},
    "tanh without biases": MODEL | {"activation": "tanh", "bias": False},
}

pytestmark = pytest.mark.filterwarnings(
    "ignore::sweep_engine.sources.splitting.estimate.AncestorsCollapsed"
)


def _labelings(size):
    return ["".join(bits) for bits in itertools.product("01", repeat=size)]


def _by_splitting(model, size, particles, max_levels=60):
    """P(fit) of all labelings, and their standard errors."""
    labelings = _labelings(size)
    (setting,), programs = open_sweep(
        Points(size),
        model,
        functions=labelings,
        particles=particles,
        moves=8,
        max_levels=max_levels,
    )
    finished = repetitions(setting, programs, 0, len(labelings))
    values, stderrs = measured(finished, "log_p_function")
    probability = np.exp(values)
    return probability, np.where(probability > 0, probability * stderrs, 0.0)


def _check_sum(found):
    probability, stderr = found
    assert_mean_within(
        [probability.mean()], 1 / len(probability), np.sqrt(np.sum(stderr**2)) / len(probability)
    )


@pytest.mark.parametrize(
    ("model", "size", "particles"),
    [
        ("relu", 4, 256),
        pytest.param("relu", 6, 512, marks=pytest.mark.long),
        pytest.param("tanh without biases", 5, 512, marks=pytest.mark.long),
    ],
)
def test_by_splitting(model, size, particles):
    found = _by_splitting(MODELS[model], size, particles)
    _check_sum(found)
    probability, stderr = found
    assert probability.min() < probability.max() / 3  # not all labelings are alike
    assert np.sqrt(np.sum(stderr**2)) < 0.2


def test_moves_at_any_level_are_caught():
    """They find labelings no oftener than their share of the prior, level after level."""

    def found():
        with wrong_move("any level"):
            probability, stderr = _by_splitting(MODELS["relu"], 3, 256, max_levels=20)
        return probability, np.maximum(stderr, 1e-6)

    assert_catches(_check_sum, found)


def _guess(labels):
    """Share of a law's draws that fit a labelling of the first inputs of 3 bits."""
    draws = 2000
    sweep = Sweep(
        name="guess",
        task={
            "kind": "boolean",
            "bits": 3,
            "target": labels.ljust(8, "0"),
            "train": list(range(len(labels))),
        },
        model=MODELS["relu"],
        sources={"guess": {"kind": "guess_and_check", "law": {"kind": "gaussian"}, "draws": draws}},
    )
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    (tally,) = work(programs, [Piece(setting, 0, draws)], Control()).tallies
    share = tally.fits / draws
    return share, np.sqrt(share * (1 - share) / draws)


@functools.cache
def _by_guessing(size):
    return np.array([_guess(labels) for labels in _labelings(size)]).T


@pytest.mark.parametrize("size", [2, pytest.param(5, marks=pytest.mark.long)])
def test_by_guessing_and_checking(size):
    _check_sum(_by_guessing(size))


def test_labels_that_do_not_change_are_caught():
    assert_catches(_check_sum, lambda: np.repeat(_by_guessing(2)[:, :1], 4, axis=1))
