"""The bias of the k-nearest-neighbour KL between shifted unit Gaussians, by dimension.

    .venv/bin/python tests/benchmarks/knn_bias.py tests/densities/points/knn_bias.json

Means over independent pairs of samples, with standard errors; k = 5, as everywhere.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np

from sweep_engine.densities.points.neighbours import NUM_NEIGHBOURS, kl_of

DIMENSIONS = (1, 2, 3, 5, 10, 20)
TRUTHS = (0.0, 0.125, 0.5, 1.0, 2.0, 8.0)
NUM_DRAWS, REPEATS = 4000, 6


def estimate(dimension: int, truth: float, seed: int, num_draws: int = NUM_DRAWS) -> float:
    """The estimate from one pair of samples of N(m, I) and N(0, I), |m|² / 2 = truth."""
    rng = np.random.default_rng([dimension, int(1000 * truth), seed])
    mean = math.sqrt(2 * truth / dimension)
    source = rng.normal(mean, 1, (num_draws, dimension))
    return kl_of(source, rng.normal(size=(num_draws, dimension)))


def row(dimension: int, truth: float) -> dict[str, float]:
    values = np.array([estimate(dimension, truth, seed) for seed in range(REPEATS)])
    return {
        "dimension": dimension,
        "truth": truth,
        "mean": round(float(values.mean()), 4),
        "stderr": round(float(values.std(ddof=1)) / math.sqrt(REPEATS), 4),
    }


if __name__ == "__main__":
    rows = [row(dimension, truth) for dimension in DIMENSIONS for truth in TRUTHS]
    record = {"num_draws": NUM_DRAWS, "num_neighbours": NUM_NEIGHBOURS, "repeats": REPEATS}
    text = json.dumps(record)[:-1] + ', "rows": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]}\n"
    Path(sys.argv[1]).write_text(text)
