"""How often the intervals of every estimator of one column cover the truth: the record.

    python -m tests.benchmarks.coverage [SECONDS]

It goes on with the record for so many seconds: the cell (estimator, pair of laws, draws a side)
of the fewest pairs of samples is next, until each has 1,000. Truths are integrals on a grid.
Lower bounds hold where the low end is below the truth, with 0.975; others with 0.95.
"""

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import stats

from sweep_engine.densities import Draws
from sweep_engine.densities.estimator import Estimator
from sweep_engine.densities.points import kernel_tests, neighbours
from sweep_engine.densities.registry import ESTIMATORS, QUANTITIES

RECORD = Path(__file__).parent / "records" / "coverage.json"
MOST_PAIRS = 1000
SECONDS_AT_ONCE = 4.0
PAIRS = "pairs"
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


def estimators() -> dict[str, Estimator]:
    """Give those of one column whose truth is an integral."""
    names = ("binned", "ks", "mean", "wasserstein", "energy", "knn", "kde", "c2st")
    return {name: ESTIMATORS[name] for name in names} | {"mmd": kernel_tests.Mmd(BANDWIDTH)}


Cell = tuple[str, str, int]
"""Pair of laws, estimator, draws a side."""


def counted() -> dict[Cell, Counter[str]]:
    """Read what is counted so far: pairs of samples, and for each quantity how many held."""
    cells: dict[Cell, Counter[str]] = {
        (law, name, num): Counter() for num in SIZES for law in LAWS for name in estimators()
    }
    for row in json.loads(RECORD.read_text())["cells"] if RECORD.exists() else ():
        cells[row["laws"], row["estimator"], row["draws"]] = Counter(
            {PAIRS: row["pairs"], **row["held"]}
        )
    return cells


def count(cell: Cell, counts: Counter[str], known: dict[str, float], seconds: float) -> None:
    """Draw further pairs of a cell: for so many seconds, at least one."""
    law, name, num = cell
    until = time.monotonic() + seconds
    while True:
        pair = counts[PAIRS]
        rng = np.random.default_rng([num, pair])
        sides = (Draws.of(side.rvs(num, random_state=rng).astype(np.float32)) for side in LAWS[law])
        for each in estimators()[name].look(*sides, pair).at(0.95):
            truth = truth_of(each.name, known)
            if truth is not None:
                counts[each.name] += int(each.low <= truth + 1e-9 <= each.high + 2e-9)
        counts[PAIRS] += 1
        if counts[PAIRS] >= MOST_PAIRS or time.monotonic() > until:
            return


def as_rows(cells: dict[Cell, Counter[str]]) -> Iterator[dict[str, object]]:
    """Say for each quantity of each cell how often its interval held."""
    for (law, name, num), counts in cells.items():
        for quantity in sorted(counts.keys() - {PAIRS}):
            level = 0.975 if QUANTITIES[quantity].is_lower_bound else 0.95
            yield {
                "laws": law, "estimator": name, "quantity": quantity, "draws": num,
                "pairs": counts[PAIRS], "coverage": counts[quantity] / counts[PAIRS],
                "claimed": level,
                "stderr": math.sqrt(level * (1 - level) / counts[PAIRS]),
            }  # fmt: skip


def write(cells: dict[Cell, Counter[str]]) -> None:
    """Write the counts, from which all else follows."""
    rows = [
        {"laws": law, "estimator": name, "draws": num, "pairs": counts[PAIRS],
         "held": {key: value for key, value in sorted(counts.items()) if key != PAIRS}}
        for (law, name, num), counts in cells.items() if counts
    ]  # fmt: skip
    lines = ",\n".join(map(json.dumps, rows))
    RECORD.write_text(f'{{"cells": [\n{lines}\n]}}\n')


def main() -> None:
    """Go on with the record, and print what falls short by more than 3 standard errors."""
    until = time.monotonic() + (float(sys.argv[1]) if len(sys.argv) > 1 else 600.0)
    kernel_tests.NUM_PERMUTATIONS = neighbours.NUM_PERMUTATIONS = 39  # p-values are not looked at
    cells, known = counted(), {law: truths(*sides) for law, sides in LAWS.items()}
    while time.monotonic() < until:
        cell = min(cells, key=lambda each: cells[each][PAIRS])
        if cells[cell][PAIRS] >= MOST_PAIRS:
            break
        count(cell, cells[cell], known[cell[0]], SECONDS_AT_ONCE)
        write(cells)
    for row in as_rows(cells):
        if row["coverage"] < row["claimed"] - 3 * row["stderr"]:
            print(row)
    print(f"{min(counts[PAIRS] for counts in cells.values())} pairs in the least counted cell")


if __name__ == "__main__":
    main()
