"""ln P(fit) of orthants by splitting, against -N ln 2.

    .venv/bin/python tests/benchmarks/orthants.py tests/benchmarks/records/NAME.json

N orthogonal inputs, all labels 1, a Gaussian and a box: every repetition's ln P and the
combined estimate. And the density of states of the Gaussian for N = 150, down to 2^-150: ln P of at
most k errors is ln of the binomial distribution, and the mean norm is the same at every k. It
records; it asserts nothing.
"""

import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special, stats

from sweep_engine import Sweep, make_task, open_results, run
from sweep_engine.bench.machine import describe
from sweep_engine.densities import Study
from sweep_engine.densities.probabilities.log_probability import log_mean_probability
from sweep_engine.densities.stored.states import density_of_states
from sweep_engine.tasks import Task
from sweep_engine.tasks.losses import LOGISTIC

SIZES = (32, 100)
LAWS = {"gaussian": {"kind": "gaussian", "std": 1.0}, "box": {"kind": "box", "half_width": 1.0}}
PARTICLES, REPETITIONS = 2048, 4
STATES_SIZE, STATES_PARTICLES, STATES_REPETITIONS = 150, 1024, 8


@dataclass(frozen=True)
class Orthant:
    """One input along each axis, all labelled 1: w fits where all its coordinates are positive."""

    size: int

    def load(self, seed: int) -> Task:
        return make_task((np.eye(self.size), np.ones(self.size)), None, LOGISTIC)


def climbed(folder: Path, size: int, source: dict[str, object]) -> float:
    """Climb to a fit of one orthant, and return the seconds that it took."""
    sweep = Sweep(
        name=f"orthant-{size}",
        task=Orthant(size),
        model={"kind": "linear", "bias": False},
        sources={"rare": {"kind": "splitting", **source}},
        observables=["norms"],
        store={"params": "none"},
    )
    began = time.perf_counter()
    run(sweep, folder)
    return time.perf_counter() - began


def measure(size: int, law: dict[str, object]) -> dict[str, object]:
    """Estimate ln P(fit) of one orthant."""
    with tempfile.TemporaryDirectory() as folder:
        source = {"law": law, "particles": PARTICLES, "repetitions": REPETITIONS}
        seconds = climbed(Path(folder, "out"), size, source)
        table = open_results(Path(folder, "out")).tallies().to_pandas()
    rows = table[table.what == "log_p_fit"]
    found = log_mean_probability(rows.value.to_numpy())
    return {
        "truth": round(-size * math.log(2), 4),
        "estimate": round(found.value, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "repetitions": [round(value, 3) for value in rows.value],
        "stderr_within": [round(value, 3) for value in rows.stderr],
        "particles": PARTICLES,
        "seconds": round(seconds, 1),
    }


def measure_states(size: int) -> dict[str, object]:
    """Estimate the density of states of one orthant from a single run."""
    with tempfile.TemporaryDirectory() as folder:
        source = {
            "law": LAWS["gaussian"],
            "particles": STATES_PARTICLES,
            "repetitions": STATES_REPETITIONS,
            "climb": "error",
            "keep_levels": True,
        }
        seconds = climbed(Path(folder, "out"), size, source)
        study = Study.open(Path(folder, "out"))
        (setting,) = study.plan.settings.values()
        states = density_of_states(study, setting, ["l2_norm"])
    errors = np.rint(states.errors * size).astype(int)
    truth = stats.binom.logcdf(errors, size, 0.5)
    norm = math.sqrt(2) * math.exp(special.gammaln((size + 1) / 2) - special.gammaln(size / 2))
    curve, means = states.log_p, states.means["l2_norm"]
    known = np.isfinite(means.low)
    return {
        "errors_met": len(errors),
        "ln_p_of_no_error": [round(float(x[0]), 2) for x in (curve.value, curve.low, curve.high)],
        "truth_of_no_error": round(float(truth[0]), 2),
        "intervals_of_ln_p_that_hold_the_truth": int(
            ((curve.low - 1e-9 <= truth) & (truth <= curve.high + 1e-9)).sum()
        ),
        "largest_difference_of_ln_p": round(float(np.abs(curve.value - truth).max()), 2),
        "mean_norms_with_an_interval": int(known.sum()),
        "of_them_that_hold_the_truth": int(
            ((means.low[known] <= norm) & (norm <= means.high[known])).sum()
        ),
        "every_tenth_error": [
            [int(k), *(round(float(x), 2) for x in (t, v, a, b))]
            for k, t, v, a, b in list(zip(errors, truth, curve.value, curve.low, curve.high,
                                          strict=True))[::10]
        ],
        "particles": STATES_PARTICLES,
        "repetitions": STATES_REPETITIONS,
        "seconds": round(seconds, 1),
    }  # fmt: skip


if __name__ == "__main__":
    record: dict[str, object] = {"machine": describe()}
    for size in SIZES:
        for law, spec in LAWS.items():
            record[f"{law}_{size}"] = measure(size, spec)
            Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")
    record[f"states_{STATES_SIZE}"] = measure_states(STATES_SIZE)
    Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")
