"""The two pictures: wherever theta is two-dimensional, what is searched and what is found."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow.compute as pc

from sweep_engine.comparability import numeric_columns
from sweep_engine.densities import Study, histogram
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.exact import (
    box_density,
    gaussian_density,
    gradient_flow_density,
    kl_divergence,
)
from sweep_engine.report.axes import Axis
from sweep_engine.report.colours import Role
from sweep_engine.report.figure import Figure, Panel
from sweep_engine.report.marks import Line, Mark, Points, Runs, Steps
from sweep_engine.report.palette import source_colours
from sweep_engine.report.run_figures import OUTCOMES, runs_of
from sweep_engine.spec.laws import Box, Gaussian, LawSpec
from sweep_engine.spec.models import ScalarFactorisation
from sweep_engine.spec.sources import GuessAndCheck, Splitting, Train, law_of
from sweep_engine.spec.tasks import Factorisation

MAX_DOTS = 4000

Density = Callable[[np.ndarray], np.ndarray]


def plane_figures(study: Study) -> list[Figure]:
    """Draw the plane of parameters, and the density along the curve where it is known."""
    if _num_params(study) != 2:
        return []
    figures = [_two_pictures(study)]
    if _is_factorisation(study):
        figures.append(_along_the_curve(study))
    return figures


def _num_params(study: Study) -> int:
    records = study.results.table("params").records
    if not records:
        return 0
    _, source, bucket = (part.split("=")[-1] for part in records[0].path.split("/")[:3])
    layout = study.results.file_metadata("params", source, bucket)["layout"]
    return sum(int(np.prod(leaf["shape"])) for leaf in layout)


def _is_factorisation(study: Study) -> bool:
    sweep = study.sweep
    return (
        isinstance(sweep.task, Factorisation)
        and isinstance(sweep.model, ScalarFactorisation)
        and sweep.task.target > 0
        and "balance_u" in numeric_columns(study.sweep)
    )


def _two_pictures(study: Study) -> Figure:
    sources = study.sweep.sources
    drawn = [name for name, spec in sources.items() if not isinstance(spec, Train)]
    trained = [name for name, spec in sources.items() if isinstance(spec, Train)]
    first_law = law_of(sources[drawn[0]]) if drawn else None
    starts = [law_of(sources[name]) for name in trained]
    think = [name for name in drawn if law_of(sources[name]) == first_law]
    init = [n for n in drawn if sources[n].kind == "prior" and law_of(sources[n]) in starts]
    panels = [
        _panel(study, "What you think the search looks like", think),
        _panel(study, "What it looks like", [n for n in init if n not in think] + trained),
    ]
    return Figure(
        name="two_pictures",
        title="Two pictures of the search",
        caption=(
            "Every dot is one network with two parameters. Left: draws from "
            f"{_law_words(first_law)}, and those of them that fit. Right: where training "
            "starts, and where it ends. Both panels have the same scale."
        ),
        panels=tuple(panel for panel in panels if panel.marks),
        query=(
            "SELECT theta[1] AS theta_1, theta[2] AS theta_2 FROM read_parquet("
            "'params/source=*/**/*.parquet', hive_partitioning = true)"
        ),
    )


def _law_words(law: LawSpec | None) -> str:
    return "the prior" if law is None else f"the law '{law.kind}'"


def _panel(study: Study, title: str, names: list[str]) -> Panel:
    colours = source_colours(study.sweep)
    limit = _limit(study)
    marks: list[Mark] = [*_curve(study, limit)] if names else []
    for name in names:
        theta, runs = _theta(study, name)
        marks.append(
            Points(
                theta[:, 0],
                theta[:, 1],
                label=name,
                colour=colours[name],
                size=2.5,
                opacity=0.5,
                runs=runs,
            )
        )
    axes = [Axis(label, limits=(-limit, limit)) for label in _axis_labels(study)]
    return Panel(title, axes[0], axes[1], tuple(marks), equal_aspect=True)


def _axis_labels(study: Study) -> tuple[str, str]:
    return ("a", "b") if _is_factorisation(study) else ("theta 1", "theta 2")


def _limit(study: Study) -> float:
    laws = [law_of(spec) for spec in study.sweep.sources.values()]
    widths = [law.half_width for law in laws if isinstance(law, Box)]
    return max([float(w) for w in widths] or [4.0])


def _curve(study: Study, limit: float) -> list[Line]:
    if not _is_factorisation(study):
        return []
    assert isinstance(study.sweep.task, Factorisation)
    target = study.sweep.task.target
    end = np.log(limit / np.sqrt(target))
    u, root = np.linspace(-end, end, 400), np.sqrt(target)
    a, b = root * np.exp(u), root * np.exp(-u)
    both = np.concatenate([a, [np.nan], -a]), np.concatenate([b, [np.nan], -b])
    return [Line(*both, label=f"ab = {target:g}", colour=Role.EXACT)]


def _theta(study: Study, source: str) -> tuple[np.ndarray, Runs]:
    """The last stored states of a source's runs, as many as are shown, and which runs they are."""
    parts = study.results.params(source)
    if not parts:
        return np.zeros((0, 2)), Runs(np.zeros(0, int), np.zeros(0, int))
    run_id = np.concatenate([part.run_id for part in parts])
    step = np.concatenate([part.step for part in parts])
    theta = np.concatenate([part.theta for part in parts])
    order = np.lexsort((step, run_id))
    is_last = np.append(run_id[order][1:] != run_id[order][:-1], True)
    shown = order[is_last]
    shown = shown[:: max(1, -(-len(shown) // MAX_DOTS))]
    return theta[shown], _found(study, source, run_id[shown])


def _found(study: Study, source: str, run_id: np.ndarray) -> Runs:
    """Read how runs ended, in their order."""
    ours = (pc.field("source") == source) & pc.field("run_id").isin(run_id.tolist())
    table = study.results.runs(["run_id", "setting", *OUTCOMES], ours)
    return runs_of(table.sort_by("run_id")).take(np.argsort(np.argsort(run_id)))


def _along_the_curve(study: Study) -> Figure:
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
                Axis("u = ln|a/b| / 2"),
                Axis("density", limits=(0.0, 1.25 * float(density.high.max()))),
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
    assert isinstance(study.sweep.task, Factorisation)
    target = study.sweep.task.target
    found: dict[str, Density] = {}
    for setting in study.plan.settings.values():
        law, trained = law_of(setting.spec), isinstance(setting.spec, Train)
        conditioned = isinstance(setting.spec, GuessAndCheck | Splitting)
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
    trained = [n for n in exact if isinstance(study.sweep.sources[n], Train)]
    parts = [
        f"KL({a} | {b}) = {kl_divergence(exact[a], exact[b], grid):.4f}"
        for a in trained
        for b in exact
        if b not in trained
    ]
    return f"Exact, in nats: {', '.join(parts)}." if parts else ""
