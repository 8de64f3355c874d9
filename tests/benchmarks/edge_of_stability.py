"""Where sharpness ends: the record of `edge_of_stability.yaml`, from its results.

    sweep-engine run sweep_engine/examples/edge_of_stability.yaml --out DIR
    python -m tests.benchmarks.edge_of_stability DIR    writes records/edge_of_stability.json

For every learning rate: the largest eigenvalue of the Hessian at the end, as a share of 2 over the
rate, over the runs; the step at which the median run first comes within 5 % of it; whether all
eigenvalues converged.
"""

import json
import sys
from pathlib import Path

import numpy as np

from sweep_engine.store import open_results

RECORD = Path(__file__).parent / "records" / "edge_of_stability.json"
RATE = "sources.gd.optimizer.learning_rate"


def summary(out):
    """One entry a learning rate."""
    results = open_results(out)
    runs, curves = results.runs().to_pandas(), results.curves().to_pandas()
    curves = curves.dropna(subset=["edge_ratio"])
    rows = []
    for rate, mine in runs.groupby(RATE):
        way = curves[curves["run_id"].isin(mine["run_id"])]
        medians = way.groupby("step")["edge_ratio"].median()
        reached = medians.index[medians >= 0.95]
        ratio = mine["edge_ratio"]
        rows.append(
            {
                "learning_rate": rate,
                "runs": len(mine),
                "edge_ratio": [ratio.min(), ratio.median(), ratio.max()],
                "eigenvalue_max": mine["hessian_eigenvalue_max"].median(),
                "converged": int(mine["hessian_max_converged"].sum()),
                "within_5_percent_from_step": int(reached[0]) if len(reached) else None,
                "train_loss": mine["train_loss"].median(),
                "l2_norm": mine["l2_norm"].median(),
            }
        )
    return rows


if __name__ == "__main__":
    rows = summary(sys.argv[1])
    RECORD.write_text(json.dumps(rows, indent=1, default=float) + "\n")
    for row in rows:
        print({k: np.round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
