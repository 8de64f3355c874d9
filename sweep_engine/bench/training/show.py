"""The record of `training` for people: a table, and a plot over the number of networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

COLOURS = {
    "this engine": "#0072B2",
    "engine (cpu kernel)": "#D55E00",
    "jit(vmap(scan))": "#E69F00",
    "jit(map(vmap(scan))), best tile": "#56B4E9",
    "torch.func.vmap": "#009E73",
    "PyTorch, stacked (HFTA)": "#CC79A7",
    "PyTorch, one at a time": "#7F7F7F",
}
"""Okabe and Ito's, which tell apart for the colour-blind."""


def table(found: Mapping[str, Any]) -> str:
    """Write the rates as a Markdown table: thousands of network-steps a second."""
    lines = []
    for name, workload in found["workloads"].items():
        names = list(dict.fromkeys(c for p in workload["networks"].values() for c in _rates(p)))
        lines += [f"| {name} | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
        for networks, point in workload["networks"].items():
            rates = _rates(point)
            cells = [_cell(rates[c], point) if c in rates else "" for c in names]
            lines.append(f"| {int(networks):,} networks | " + " | ".join(cells) + " |")
        lines.append("")
        lines += [f"{contender} stops at {at['networks']:,} networks: {at['why']}"
                  for contender, at in workload["stopped"].items()]  # fmt: skip
    return "\n".join(lines)


def _cell(row: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    rate = row["network_steps_per_second"]
    ratio = row["engine_over_this"]
    each = f"{rate['median'] / 1e3:.3g} ({rate['low'] / 1e3:.3g}-{rate['high'] / 1e3:.3g})"
    return each if ratio in (None, 1) else f"{each}: {ratio:.3g}x"


def plot(found: Mapping[str, Any], path: Path) -> None:
    """Draw rates over the number of networks, a panel a workload, with the range of repeats."""
    figure = Figure(figsize=(4.2 * len(found["workloads"]), 4.0), layout="constrained")
    panels = figure.subplots(1, len(found["workloads"]), squeeze=False)[0]
    for axes, (name, workload) in zip(panels, found["workloads"].items(), strict=True):
        for contender, colour in COLOURS.items():
            rows = [
                (int(networks), _rates(point)[contender]["network_steps_per_second"])
                for networks, point in workload["networks"].items()
                if contender in _rates(point)
            ]
            if rows:
                middle = [rate["median"] for _, rate in rows]
                below = [rate["median"] - rate["low"] for _, rate in rows]
                above = [rate["high"] - rate["median"] for _, rate in rows]
                axes.errorbar(
                    [n for n, _ in rows], middle, yerr=[below, above], label=contender,
                    color=colour, marker="o", markersize=4, linewidth=1.5, capsize=2,
                )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="networks trained", title=name)
        axes.title.set_fontsize(9)
        axes.grid(which="major", color="#dddddd", linewidth=0.6)
    panels[0].set_ylabel("network-steps per second")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=150)


def _rates(point: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row for name, row in point.items() if isinstance(row, Mapping)}
