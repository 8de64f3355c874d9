"""Local learning coefficients against theory, and the cost of the local observables.

    .venv/bin/python tests/benchmarks/geometry.py tests/benchmarks/records/NAME.json

Deep linear networks at their most singular solutions (SCIENCE 3.9): the estimate, corrected for
the multiplicity at this temperature, over the formula. Ellipsoids of condition 1e3: how many
nats an estimate of their volume is short without a preconditioner, and its effective lines.
Networks per second of `local_volume` on trained networks. It records; it asserts nothing.
"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from sweep_engine import Sweep, observe, run
from sweep_engine.bench.machine import describe
from sweep_engine.spec.observables import LearningCoefficient
from tests.observables.test_learning_coefficient import aoyagi_watanabe, deep_linear, values
from tests.observables.test_star_domain import ellipsoid, found, inside_ellipsoid

NETWORKS = [
    (2, 2, 2, 0), (2, 2, 2, 1), (3, 2, 1, 0), (2, 3, 2, 0), (3, 1, 4, 1), (3, 3, 3, 1),
    (3, 3, 3, 2), (4, 2, 3, 1), (2, 1, 1, 0),
]  # fmt: skip
SGLD = LearningCoefficient(temperature=1e-3, step_size=5e-5, chains=32, steps=40_000)


def coefficient(widths: tuple[int, int, int, int]) -> dict[str, object]:
    """Estimate one network's coefficient."""
    truth, multiplicity = aoyagi_watanabe(*widths)
    one = values(SGLD, deep_linear(*widths))
    estimate = one["learning_coefficient"]
    corrected = estimate - (multiplicity - 1) / math.log(SGLD.temperature)
    return {
        "truth": truth,
        "multiplicity": multiplicity,
        "estimate": round(estimate, 3),
        "stderr": round(one["learning_coefficient_stderr"], 3),
        "corrected_over_truth": round(corrected / truth, 3),
    }


def shortfall(size: int) -> dict[str, object]:
    """Measure an ellipsoid without a preconditioner, 16 times 64 lines."""
    curvature, threshold, truth = ellipsoid(size)
    inside = inside_ellipsoid(curvature, threshold)
    with jax.enable_x64(True):
        repeated = [found(inside, np.zeros(size), seed=seed) for seed in range(16)]
    return {
        "short_nats": round(truth - float(np.mean([one.log_measure for one in repeated])), 2),
        "n_eff_of_64": round(float(np.mean([one.n_eff for one in repeated])), 1),
    }


def rate(preconditioners: list[str]) -> float:
    """Networks per second of `observe`, 7-20-1 on 16 examples, 64 lines a preconditioner."""
    sweep = Sweep.model_validate(
        {
            "name": "rate",
            "task": {"kind": "boolean", "bits": 7, "target": "x1", "train": 16},
            "model": {"kind": "mlp", "widths": [20], "activation": "tanh"},
            "sources": {"init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 1024}},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        run(sweep, out)
        began = time.perf_counter()
        observe(out, [{"kind": "local_volume", "preconditioners": preconditioners}])
        return round(1024 / (time.perf_counter() - began), 1)


if __name__ == "__main__":
    record = {
        "machine": describe(),
        "learning_coefficient": {"-".join(map(str, w[:3])) + f" rank {w[3]}": coefficient(w)
                                 for w in NETWORKS},
        "ellipsoids_without_preconditioner": {size: shortfall(size) for size in (10, 100, 1000)},
        "networks_per_second_of_local_volume": {
            kind: rate([kind]) for kind in ("none", "hessian_diagonal", "adam", "low_rank")
        },
    }  # fmt: skip
    Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")
