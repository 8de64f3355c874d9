"""What holds of every optimiser that a sweep file can name: its runs stand alone."""

import dataclasses

import numpy as np
import optax
import pytest

from sweep_engine.lanes import Program
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.base import kinds
from sweep_engine.spec.sources.optimizers import (
    CustomOptimizer,
    GradientOptimizer,
    OptimizerSpec,
)

NUM_RUNS, LANES = 19, 8


@dataclasses.dataclass(frozen=True)
class Adan:
    """A user's own optimiser."""

    learning_rate: float

    def transformation(self):
        return optax.adan(self.learning_rate)


RATES = {"sharpness_limited": 1.0, "adam": 0.05, "rmsprop": 0.05, "lion": 0.02, "sign": 0.02}
KINDS = {kind.model_fields["kind"].default: kind for kind in kinds(OptimizerSpec)}


def optimizer_of(name, kind):
    if kind is CustomOptimizer:
        return Adan(0.05)
    searches = "learning_rate" not in kind.model_fields
    rate = {} if searches else {"learning_rate": RATES.get(name, 0.2), "clip_norm": 0.5}
    return {"kind": name, **rate}


def sweep_of(name, kind):
    searches = not issubclass(kind, GradientOptimizer | CustomOptimizer)
    return Sweep.model_validate(
        {
            "name": "every",
            "seed": 3,
            "task": {"kind": "boolean", "bits": 4, "target": "x1 ^ x2", "train": 9},
            "model": {"kind": "mlp", "widths": [6], "activation": "tanh"},
            "sources": {
                "source": {
                    "kind": "train",
                    "init": {"kind": "gaussian", "std": 1.0},
                    "optimizer": optimizer_of(name, kind),
                    "batch_size": "full" if searches else 3,
                    "stop": {"max_steps": 60},
                    "runs": NUM_RUNS,
                }
            },
            "accept": {"train_error": 0.25},
            "execution": {"lanes": LANES, "implementation": "xla"},
        }
    )


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=KINDS)
def test_same_bits_whatever_lane_and_neighbours_by_one_program(name, kind):
    sweep = sweep_of(name, kind)
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)

    def finish(*pieces):
        found = work(programs, [Piece(setting, *piece) for piece in pieces], Control()).solutions
        return {run: (step, theta.tobytes()) for run, step, theta in
                zip(found.run_id, found.steps, found.theta, strict=True)}  # fmt: skip

    together = finish((0, NUM_RUNS))
    compiled = Program.num_compilations
    apart = finish((13, 16), (2, 3))
    assert apart == {run: together[run] for run in apart}
    assert len(apart) == 4
    assert Program.num_compilations == compiled
    steps = [step for step, _ in together.values()]
    assert len(set(steps)) > 1  # so that lanes were filled again, beside others
    assert len({theta for _, theta in together.values()}) == NUM_RUNS
    assert all(np.isfinite(np.frombuffer(t, np.float32)).all() for _, t in together.values())
