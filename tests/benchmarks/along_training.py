"""When does SGD depart from Bayes? What `compare` says of the example `along_training`.

    .venv/bin/sweep-engine run sweep_engine/examples/along_training.yaml --out DIR
    .venv/bin/sweep-engine compare DIR --json > compared.json
    .venv/bin/python tests/benchmarks/along_training.py compared.json RECORD.json FIGURE.png

A short record and a figure of the total variation between P_SGD(f), at each step, and P_B(f),
given a fit. It asserts nothing.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

DEPARTED = 0.1
"""A total variation that is departure: the least that all intervals together must exclude."""

Along = dict[int, dict[str, float]]


def curves(estimates: list[dict]) -> dict[tuple, Along]:
    """Total variation along the steps, by (given, scale, learning rate, batch size)."""
    found: dict[tuple, Along] = defaultdict(dict)
    for one in estimates:
        if one["name"] != "total_variation":
            continue
        at = {path.split(".")[-1]: value for path, value in one["at"].items()}
        key = (one["given"], at["scale"], at["learning_rate"], at["batch_size"])
        found[key][at["at"]] = {
            "total_variation": round(one["value"], 4),
            "low": round(one["low_simultaneous"], 4),
            "high": round(one["high_simultaneous"], 4),
            "null": round(one["null_value"], 4),
            "networks": one["num_source"],
        }
    return {key: dict(sorted(along.items())) for key, along in sorted(found.items())}


def departed_at(along: Along) -> int | None:
    """The first step at which the total variation is above `DEPARTED` for sure."""
    return next((step for step, one in along.items() if one["low"] > DEPARTED), None)


def draw(found: dict[tuple, Along]) -> Figure:
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    scales = sorted({scale for _, scale, _, _ in found})
    axes = figure.subplots(1, len(scales), sharey=True)
    for axis, scale in zip(axes, scales, strict=True):
        for (given, of, rate, batch), along in found.items():
            if given == "fit" and of == scale:
                colour = "tab:blue" if rate < 0.1 else "tab:red"
                values = [[one[name] for one in along.values()]
                          for name in ("total_variation", "low", "high")]  # fmt: skip
                axis.plot(list(along), values[0], color=colour, marker="o", markersize=3,
                          linestyle="-" if batch > 1 else ":",
                          label=f"rate {rate:g}, batch {batch}")  # fmt: skip
                axis.fill_between(list(along), *values[1:], color=colour, alpha=0.08, linewidth=0)
        axis.set(title=f"start {scale:g} times LeCun's", xlabel="step", ylim=(0, 1))
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xlim(-0.2, 1200)
    axes[0].set_ylabel("total variation, SGD from Bayes")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    source, record, picture = map(Path, sys.argv[1:])
    found = curves(json.loads(source.read_text())["estimates"])
    names = ("given", "init_scale", "learning_rate", "batch_size")
    rows = [
        dict(zip(names, key, strict=True)) | {"departed_at": departed_at(along), "steps": along}
        for key, along in found.items()
    ]
    note = (
        "total variation between functions of SGD's networks at a step and those of random "
        "networks that fit; intervals hold for all 96 settings of a comparison at once; "
        f"departed_at: the first step whose interval is above {DEPARTED}"
    )
    record.write_text(json.dumps({"note": note, "curves": rows}, indent=1) + "\n")
    draw(found).savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
