"""Where along the curve ab = y the solutions of a factorisation stand, beside the exact laws."""

from collections.abc import Callable
from functools import partial

import numpy as np

from sweep_engine.comparability import numeric_columns
from sweep_engine.densities import Study, histogram
from sweep_engine.densities.draws import Draws
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Line, Steps
from sweep_engine.report.figures.factorisation import (
    box_density,
    gaussian_density,
    gradient_flow_density,
    kl_divergence,
)
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.spec.laws import Box, Gaussian
from sweep_engine.spec.sources import SourceRole

Density = Callable[[np.ndarray], np.ndarray]


def is_factorisation(study: Study) -> bool:
    """Whether the solutions are the curve ab = y with y > 0, and were placed along it."""
    sweep = study.sweep
    return (
        sweep.model.is_scalar_product
        and (sweep.task.only_target or 0.0) > 0
        and "balance_u" in numeric_columns(study.sweep)
    )


def _target(study: Study) -> float:
    """y, where the solutions are a curve."""
    target = study.sweep.task.only_target
    assert target is not None
    return target


def solution_curve(study: Study, limit: float) -> Line:
    """The curve ab = y, as far as both coordinates are below `limit`."""
    target = _target(study)
    end = np.log(limit / np.sqrt(target))
    u, root = np.linspace(-end, end, 400), np.sqrt(target)
    a, b = root * np.exp(u), root * np.exp(-u)
    both = np.concatenate([a, [np.nan], -a]), np.concatenate([b, [np.nan], -b])
    return Line(*both, label=f"ab = {target:g}", colour=Role.EXACT)


def along_the_curve(study: Study) -> Figure | None:
    """Draw the density along the curve of every source whose exact law is known."""
    colours = source_colours(study.sweep)
    exact = _exact_densities(study)
    panels = []
    for name in exact:
        draws = _along(study, name)
        hist = histogram(draws, draws, num_bins=80)
        grid = np.linspace(hist.edges[0], hist.edges[-1], 801)
        density = hist.source
        panels.append(
            Panel(
                f"{name}, {len(draws):,} networks",
                DrawnAxis("u = ln|a/b| / 2"),
                DrawnAxis("density", limits=(0.0, 1.25 * float(density.high.max()))),
                (
                    Steps(
                        hist.edges,
                        density.density,
                        label=name,
                        colour=colours[name],
                        fill=True,
                        low=density.low,
                        high=density.high,
                    ),
                    Line(grid, exact[name](grid), label="exact", colour=Role.EXACT),
                ),
            )
        )
    if not panels:
        return None
    return Figure(
        name="along_the_curve",
        title="Where along the curve of solutions",
        caption=(
            "All these networks solve the task; u says where on the curve ab = y they stand, "
            "0 where |a| = |b|. Steps: stored networks that fit, with exact 95% intervals per "
            "bin. Lines: the exact laws (gradient flow from a Gaussian; a box and a Gaussian "
            f"given ab = y). {_exact_kls(study)}"
        ),
        panels=tuple(panels),
        columns=3,
        query="SELECT source, balance_u FROM read_parquet('runs/**/*.parquet', "
        "hive_partitioning = true) WHERE fit",
    )


def _along(study: Study, source: str) -> Draws:
    settings = [s.id for s in study.plan.settings.values() if s.source == source]
    return study.draws(source, settings, ["balance_u"], "fit")


def _exact_densities(study: Study) -> dict[str, Density]:
    """The exact density in u of every source that has one and is not swept."""
    target = _target(study)
    found: dict[str, Density] = {}
    for setting in study.plan.settings.values():
        law, role = setting.spec.start_law, setting.spec.role
        trained, conditioned = role is SourceRole.TRAINED, role is SourceRole.CONDITIONED
        if setting.values or not (trained or conditioned):
            continue
        if trained and isinstance(law, Gaussian):
            found[setting.source] = partial(gradient_flow_density, target=target, std=law.std)
        elif conditioned and isinstance(law, Box):
            found[setting.source] = partial(box_density, target=target, half_width=law.half_width)
        elif conditioned and isinstance(law, Gaussian):
            found[setting.source] = partial(gaussian_density, target=target, std=law.std)
    return found


def _exact_kls(study: Study) -> str:
    # Cubed, the grid is fine near 0, where the law of gradient flow has its singularity.
    grid = np.linspace(-2, 2, 400_000) ** 3
    exact = {name: density(grid) for name, density in _exact_densities(study).items()}
    trained = [n for n in exact if study.sweep.sources[n].role is SourceRole.TRAINED]
    parts = [
        f"KL({a} | {b}) = {kl_divergence(exact[a], exact[b], grid):.4f}"
        for a in trained
        for b in exact
        if b not in trained
    ]
    return f"Exact, in nats: {', '.join(parts)}." if parts else ""
