"""How often the intervals of every estimator of one column cover the truth: the record.

    python -m tests.benchmarks.coverage [SECONDS]

Pairs of samples are drawn for so many seconds a cell (estimator, pair of laws, draws a side), at
most 1,000 of them; each share has its standard error beside it. Truths are integrals on a grid.
Lower bounds hold where the low end is below the truth, with 0.975; others with 0.95.
"""

import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import stats

from sweep_engine.densities import Draws
from sweep_engine.densities.points import kernel_tests, neighbours
from sweep_engine.densities.registry import ESTIMATORS, QUANTITIES

RECORD = Path(__file__).parent / "records" / "coverage.json"
MOST_PAIRS = 1000
SIZES = (200, 1000, 5000)
BANDWIDTH = 1.0
LAWS = {
    "equal": (stats.norm(), stats.norm()),
    "shift": (stats.norm(0.5), stats.norm()),
    "scale": (stats.norm(0, 2), stats.norm()),
    "heavy tails": (stats.t(3, 1), stats.t(3)),
    "near-disjoint": (stats.norm(4), stats.norm()),
}
GRID = np.linspace(-60, 60, 24_001)
STEP = GRID[1] - GRID[0]


def truths(source, reference) -> dict[str, float]:
    """The quantities of two laws, by sums over the grid."""
    p, q = source.pdf(GRID), reference.pdf(GRID)
    gap = source.cdf(GRID) - reference.cdf(GRID)
    log_ratio = source.logpdf(GRID) - reference.logpdf(GRID)
    kl = float((p * log_ratio).sum() * STEP)
    total_variation = float(np.abs(p - q).sum() * STEP / 2)
    of_source = p * -np.logaddexp(0, -log_ratio) + q * -np.logaddexp(0, log_ratio)
    near = np.exp(-((np.arange(-2000, 2001) * STEP) ** 2) / (2 * BANDWIDTH**2))
    smooth = np.convolve(p - q, near, mode="same") * STEP
    return {
        "kl": kl,
        "total_variation": total_variation,
        "jensen_shannon": math.log(2) + float(of_source.sum()) * STEP / 2,
        "ks_distance": float(np.abs(gap).max()),
        "wasserstein_1": float(np.abs(gap).sum() * STEP),
        "mean_difference": float(source.mean() - reference.mean()),
        "energy_distance": float(2 * (gap**2).sum() * STEP),
        "mmd_squared": float(((p - q) * smooth).sum() * STEP),
        "entropy_source": float(source.entropy()),
        "entropy_reference": float(reference.entropy()),
    }


def truth_of(name: str, known: dict[str, float]) -> float | None:
    """The truth of an estimate: bounds are of what they bound."""
    if name.startswith("tv_bound"):
        return known["total_variation"]
    if name.startswith("kl_"):
        return known["kl"]
    return known.get(name.removesuffix("_lower_bound"))


def rows(seconds: float) -> Iterator[dict[str, object]]:
    """Count, cell by cell."""
    chosen = {name: ESTIMATORS[name] for name in ("binned", "ks", "mean", "wasserstein", "energy",
                                                  "knn", "kde", "c2st")}  # fmt: skip
    chosen["mmd"] = kernel_tests.Mmd(BANDWIDTH)
    for law, (source, reference) in LAWS.items():
        known = truths(source, reference)
        for name, estimator in chosen.items():
            for num in SIZES:
                counts: dict[str, list[bool]] = {}
                until, pairs = time.monotonic() + seconds, 0
                while pairs < MOST_PAIRS and (pairs < 3 or time.monotonic() < until):
                    rng = np.random.default_rng([num, pairs])
                    sides = (Draws.of(side.rvs(num, random_state=rng).astype(np.float32))
                             for side in (source, reference))  # fmt: skip
                    for each in estimator.look(*sides, pairs).at(0.95):
                        truth = truth_of(each.name, known)
                        if truth is not None:
                            holds = each.low <= truth + 1e-9 and truth <= each.high + 1e-9
                            counts.setdefault(each.name, []).append(holds)
                    pairs += 1
                for quantity, hits in counts.items():
                    share = float(np.mean(hits))
                    level = 0.975 if QUANTITIES[quantity].is_lower_bound else 0.95
                    yield {
                        "laws": law, "estimator": name, "quantity": quantity, "draws": num,
                        "pairs": pairs, "coverage": round(share, 4), "claimed": level,
                        "stderr": round(math.sqrt(level * (1 - level) / pairs), 4),
                    }  # fmt: skip


def main() -> None:
    """Write the record, and print the cells that fall short by more than 3 standard errors."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    kernel_tests.NUM_PERMUTATIONS = neighbours.NUM_PERMUTATIONS = 39  # p-values are not looked at
    found = list(rows(seconds))
    RECORD.write_text(json.dumps({"seconds_a_cell": seconds, "rows": found}, indent=1) + "\n")
    for row in found:
        if row["coverage"] < row["claimed"] - 3 * row["stderr"]:
            print(row)


if __name__ == "__main__":
    main()
