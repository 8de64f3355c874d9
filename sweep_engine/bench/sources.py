"""Rates of every source on one task: draws a second, and independent draws a second."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from sweep_engine.bench.timing import interleaved
from sweep_engine.densities import Draws
from sweep_engine.machine import usable_cores
from sweep_engine.planning import num_runs
from sweep_engine.sources import Control, Finished, SourcePrograms, open_source, work
from sweep_engine.spec import Piece, Setting, Sweep, settings

TASK = {"kind": "boolean", "bits": 7, "target": "x1", "train": 16}
MODEL = {"kind": "mlp", "widths": [40, 40]}
GAUSSIAN: dict[str, Any] = {"kind": "fan_in", "weight_std": 1.4, "bias_std": 0.1}
CHAINS: dict[str, Any] = {
    "kind": "posterior", "law": GAUSSIAN, "chains": 16, "draws": 64, "warmup": 100,
}  # fmt: skip

SOURCES: Mapping[str, Mapping[str, Any]] = {
    "train": {"kind": "train", "stop": {"max_steps": 20_000}, "runs": 1024},
    "prior": {"kind": "prior", "law": {"kind": "box"}, "draws": 65_536, "keep": "none"},
    "guess_and_check": {"kind": "guess_and_check", "law": {"kind": "box"}, "draws": 65_536},
    "splitting": {"kind": "splitting", "law": GAUSSIAN, "particles": 512, "repetitions": 4},
    "nuts": CHAINS | {"method": "nuts"},
    "hmc": CHAINS | {"method": "hmc"},
    "sgld": CHAINS | {"method": "sgld", "step_size": 1e-3},
}

QUICK = {"runs": 16, "particles": 32, "repetitions": 2, "chains": 2, "warmup": 2}
"""What makes a source small enough for a test."""


def source_rates(*, quick: bool = False) -> dict[str, Any]:
    """Measure each source's rates, compiled beforehand, on one thread of the host.

    Returns:
        For each source: `draws_per_second`, rows or counted draws, with the range over
        repeats; `effective_draws_per_second`, the same in independent draws of the norm
        |theta| given a fit, where its draws depend on one another; `fits_per_second`.
    """
    sweep = Sweep.model_validate(
        {
            "name": "bench-sources",
            "task": TASK,
            "model": MODEL,
            "sources": {name: _sized(source, quick=quick) for name, source in SOURCES.items()},
            "observables": ["norms"],
        }
    )
    opened = {s.source: (s, _open(sweep, s)) for s in settings(sweep)}
    calls = {name: partial(_work, *one) for name, one in opened.items()}
    last = {name: call() for name, call in calls.items()}
    times = interleaved(calls, warm_ups=0, repeats=1 if quick else 2)
    return {
        "workload": "Boolean 7-40-40-1, 16 training examples",
        "threads": 1,
        "cores": usable_cores(),
        "sources": {
            name: {
                "draws_per_second": times[name].rate(num_runs(setting)),
                "fits_per_second": times[name].rate(_num_fits(last[name])),
                "effective_draws_per_second": times[name].rate(_n_eff(setting, last[name])),
            }
            for name, (setting, _) in opened.items()
        },
    }


def _sized(source: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    small = {name: least for name, least in QUICK.items() if quick and name in source}
    draws = {"draws": 4 if source["kind"] == "posterior" else 4096} if quick else {}
    levels = {"max_levels": 4} if quick and source["kind"] == "splitting" else {}
    steps = {"stop": {"max_steps": 50}} if quick and source["kind"] == "train" else {}
    return {**source, **small, **{k: v for k, v in draws.items() if k in source}, **levels, **steps}


def _open(sweep: Sweep, setting: Setting) -> SourcePrograms:
    return open_source(setting, sweep.seed, sweep.folder, sweep.observables, sweep.execution)


def _work(setting: Setting, programs: SourcePrograms) -> Finished:
    return work(programs, [Piece(setting, 0, num_runs(setting))], Control())


def _num_fits(finished: Finished) -> int:
    return sum(tally.fits for tally in finished.tallies)


def _n_eff(setting: Setting, finished: Finished) -> float:
    """Independent draws that the work was worth; all of them where draws are independent."""
    size = setting.spec.unit_size
    if size == 1:
        return float(num_runs(setting))
    units = (finished.solutions.run_id & 0xFFFFFFFF) // size
    norm = np.asarray(finished.columns["l2_norm"], float)
    return Draws.of(norm, finished.solutions.log_weight, units).n_eff
