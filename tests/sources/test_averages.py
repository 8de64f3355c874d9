"""An average along a run is that of the parameters that the run went through."""

import numpy as np
import pytest
from pydantic import ValidationError

from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.sources import Train

NUM_RUNS, LANES, STEPS = 7, 4, 12


def solved(average, optimizer=None):
    """Train runs that keep the parameters of every step, some to their fit, in few lanes."""
    source = {
        "kind": "train",
        "init": {"kind": "gaussian", "std": 1.0},
        "optimizer": optimizer or {"kind": "sgd", "learning_rate": 1.0, "momentum": 0.5},
        "stop": {"max_steps": STEPS, "snapshots": list(range(STEPS))},
        "runs": NUM_RUNS,
        "average": average,
    }
    sweep = Sweep.model_validate(
        {
            "name": "averages",
            "seed": 3,
            "task": {"kind": "boolean", "bits": 3, "target": "x1 & x2", "train": 6},
            "model": {"kind": "mlp", "widths": [4], "activation": "tanh"},
            "sources": {"sgd": source},
            "execution": {"lanes": LANES, "implementation": "xla"},
        }
    )
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    return work(programs, [Piece(setting, 0, NUM_RUNS)], Control()).solutions


def path_of(solutions, row):
    """All parameters of a run, of the start first, shape (steps + 1, P)."""
    steps = solutions.steps[row]
    return np.concatenate([solutions.snapshots[row, :steps], solutions.theta[row, None]], axis=0)


def exponential(path, decay):
    average = path[0].astype(float)
    for theta in path[1:]:
        average = decay * average + (1 - decay) * theta
    return average


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_exponential_average(decay):
    solutions = solved({"decay": decay})
    assert len(set(solutions.steps)) > 2  # lanes were filled again
    for row, average in enumerate(solutions.average):
        path = path_of(solutions, row)
        np.testing.assert_allclose(average, exponential(path, decay), rtol=1e-5, atol=1e-6)
        if len(path) > 2:
            assert not np.allclose(average, exponential(path[1:], decay), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("first", [0, 3, STEPS])
def test_plain_mean_from_a_step_on(first):
    solutions = solved({"from_step": first})
    for row, average in enumerate(solutions.average):
        path = path_of(solutions, row)
        counted = path[min(first, len(path) - 1) :]
        np.testing.assert_allclose(average, counted.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_the_run_is_not_changed():
    alone, beside = solved(None), solved({"decay": 0.9})
    assert alone.average is None
    assert alone.theta.tobytes() == beside.theta.tobytes()


def test_the_average_of_a_search():
    solutions = solved({"from_step": 0}, optimizer={"kind": "random_search"})
    means = [path_of(solutions, row).mean(axis=0) for row in range(NUM_RUNS)]
    np.testing.assert_allclose(solutions.average, means, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("average", [{}, {"decay": 0.9, "from_step": 3}])
def test_one_kind_of_average(average):
    with pytest.raises(ValidationError, match="either `decay`, of an exponential average"):
        Train(runs=1, average=average)
