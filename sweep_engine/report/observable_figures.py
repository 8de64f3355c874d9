"""Figures of observables: where sources land, over settings and on the way."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow.compute as pc

from sweep_engine.comparability import numeric_columns, split_columns
from sweep_engine.densities import (
    Draws,
    Pair,
    Study,
    density_ratio,
    histogram,
    histogram_2d,
    read_pair,
)
from sweep_engine.errors import InsufficientSamples
from sweep_engine.report.figure import (
    Axis,
    Colour,
    Figure,
    Heatmap,
    Line,
    Panel,
    Points,
    Quantiles,
    Role,
    Rule,
    Steps,
)
from sweep_engine.report.function_figures import figure_name
from sweep_engine.report.palette import source_colours
from sweep_engine.spec import Comparison, axis_paths
from sweep_engine.spec.sources import Train

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
MAX_PAIRS = 8
MAX_LN = 8.0
"""Where an unbounded log ratio is drawn."""

MIN_RUNS = 20
"""Runs that a quantile of a training curve rests on, at least."""
ERRORS = ("test_error", "train_error")


def comparison_figure(study: Study, pairs: Sequence[Pair]) -> Figure | None:
    """Draw one comparison of a column (or two): a panel for each point of the shared axes."""
    comparison = pairs[0].comparison
    columns = split_columns(comparison.observable)
    if len(columns) > 2:
        return None
    shown = pairs[:MAX_PAIRS]
    if len(columns) == 1:
        panels = tuple(panel for pair in shown for panel in _density_panels(study, pair, columns))
    else:
        panels = tuple(_heat_panel(study, pair, columns) for pair in shown)
    left_out = len(pairs) - len(shown)
    more = f" {left_out} more settings are left out." if left_out else ""
    given = ", networks that fit" if comparison.given == "fit" else ""
    words = _caption(study, columns) + more
    return Figure(
        name=figure_name(_kind(comparison), pairs[0].__class__(comparison, {}, (), ())),
        title=f"{' and '.join(columns)}: {comparison.source} and {comparison.reference}{given}",
        caption=words,
        panels=panels,
        columns=min(4 if len(columns) == 1 else 3, len(panels)),
        query=_query(comparison, columns),
    )


def _kind(comparison: Comparison) -> str:
    """What a figure is of, so that no two figures of one name differ."""
    words = split_columns(comparison.observable)
    words += [f"{name}={span}" for name, span in (comparison.where or {}).items()]
    words += [f"matched on {comparison.match.column}"] if comparison.match else []
    words += [f"{path}={value}" for path, value in (comparison.at or {}).items()]
    return " ".join(words)


def _query(comparison: Comparison, columns: Sequence[str]) -> str:
    fits = " WHERE fit" if comparison.given == "fit" else ""
    return (
        f"SELECT source, {', '.join(columns)} FROM read_parquet('runs/**/*.parquet', "
        f"hive_partitioning = true){fits}"
    )


def _caption(study: Study, columns: Sequence[str]) -> str:
    schema = study.results.table("runs").schema
    meanings = [
        f"{name}: {(schema.field(name).metadata or {}).get(b'meaning', b'').decode()}."
        for name in columns
        if name in schema.names
    ]
    kind = (
        "Bands are exact 95% intervals, bin by bin. Beside each: ln of the density ratio "
        f"in bins of equal mass, cut at {MAX_LN:g}; its intervals hold all at once, at 95%. "
        "Above 0 the source is denser."
        if len(columns) == 1
        else ""
    )
    return " ".join([*meanings, kind]).strip()


def _density_panels(study: Study, pair: Pair, columns: Sequence[str]) -> list[Panel]:
    colours = source_colours(study.sweep)
    sides = read_pair(study, pair)
    hist = histogram(*sides, num_bins=40)
    names = (pair.comparison.source, pair.comparison.reference)
    marks = [
        Steps(
            hist.edges,
            density.density,
            label=name,
            colour=colours[name],
            fill=True,
            low=density.low,
            high=density.high,
        )
        for name, density in zip(names, (hist.source, hist.reference), strict=True)
    ]
    baseline = _baseline(study, pair, columns)
    density = Panel(pair.label(), Axis(columns[0]), Axis("density"), (*marks, *baseline))
    return [density, *_ratio_panel(study, pair, columns, sides)]


def _ratio_panel(
    study: Study, pair: Pair, columns: Sequence[str], sides: Sequence[Draws]
) -> list[Panel]:
    try:
        ratio = density_ratio(*sides, seed=study.sweep.seed)
    except InsufficientSamples:
        return []
    drawn = ratio.source.counts + ratio.reference.counts > 0
    inner = np.isfinite(ratio.lower) & np.isfinite(ratio.upper) & drawn
    if not inner.any():
        return []
    centre, low, high = (
        np.clip(part[inner], -MAX_LN, MAX_LN) for part in (ratio.log_ratio, ratio.low, ratio.high)
    )
    at = (ratio.lower[inner] + ratio.upper[inner]) / 2
    marks = (
        Rule(0.0, "horizontal", "equal", Role.NULL),
        Points(at, centre, label="ln ratio", colour=Role.SOURCE, y_low=low, y_high=high),
    )
    title = f"{pair.comparison.source} over {pair.comparison.reference}"
    return [Panel(title, Axis(columns[0]), Axis("ln density ratio, nats"), marks)]


def _baseline(study: Study, pair: Pair, columns: Sequence[str]) -> list[Rule]:
    """The majority-class baseline beside every test error."""
    if columns[0] != "test_error":
        return []
    error = majority_error(study, pair.source[0])
    return [] if error is None else [Rule(error, "vertical", "majority class", Role.EXACT)]


def majority_error(study: Study, setting: int) -> float | None:
    """Test error of always answering the training set's commonest label, for a setting."""
    chosen = study.plan.settings[setting]
    bucket = next(name for name, ids in study.plan.buckets.items() if setting in ids)
    try:
        metadata = study.results.file_metadata("runs", chosen.source, bucket)
    except KeyError:
        return None
    value = metadata.get("majority_error")
    return None if value is None else float(value)


def _heat_panel(study: Study, pair: Pair, columns: Sequence[str]) -> Panel:
    plane = histogram_2d(*read_pair(study, pair))
    title = f"ln of {pair.comparison.source} over {pair.comparison.reference} {pair.label()}"
    return Panel(
        title.strip(),
        Axis(columns[0]),
        Axis(columns[1]),
        (Heatmap(plane.edges[0], plane.edges[1], plane.log_ratio.T, label="ln ratio"),),
    )


def swept_figures(study: Study) -> list[Figure]:
    """Draw how error and norm move along each swept numeric axis of a trained source."""
    figures = []
    for path in axis_paths(study.sweep):
        names = [n for n, s in study.sweep.sources.items() if isinstance(s, Train)]
        settings = [
            s for s in study.plan.settings.values() if s.source in names and path in s.values
        ]
        values = sorted(
            {s.values[path] for s in settings if isinstance(s.values[path], int | float)}
        )
        if len(values) > 1 and len(values) == len({str(s.values[path]) for s in settings}):
            figures.append(_swept_figure(study, path, names, values))
    return figures


def _swept_figure(study: Study, path: str, names: list[str], values: list[float]) -> Figure:
    measured = [c for c in ("test_error", "l2_norm", "steps") if c in numeric_columns(study.sweep)]
    panels = [
        panel for column in measured if (panel := _swept_panel(study, path, names, values, column))
    ]
    return Figure(
        name=f"along_{path.replace('.', '_')}",
        title=f"Along {path}",
        caption="Thin bar: 5 to 95% of the runs; thick bar: 25 to 75%; dot: median. Other swept "
        "axes are pooled; runs that diverged have no finite value and are not in the quantiles: "
        "the table of statuses counts them.",
        panels=tuple(panels),
        columns=3,
        query=f'SELECT "{path}", quantile_cont(test_error, 0.5) FROM '
        "read_parquet('runs/**/*.parquet', hive_partitioning = true) GROUP BY 1",
    )


def _swept_panel(
    study: Study, path: str, names: list[str], values: list[float], column: str
) -> Panel | None:
    colours = source_colours(study.sweep)
    marks = []
    for name in names:
        rows = []
        for value in values:
            where = (pc.field("source") == name) & (pc.field(path) == value)
            found = study.results.runs([column], where)[column].drop_null().to_numpy()
            finite = found[np.isfinite(found.astype(float))]
            rows.append(np.quantile(finite, LEVELS) if len(finite) else np.full(5, np.nan))
        table = np.array(rows, float)
        if np.isfinite(table).any():
            marks.append(
                Quantiles(np.array(values, float), table, label=name, colour=colours[name])
            )
    if not marks:
        return None
    scale: Literal["log", "linear"] = (
        "log" if min(values) > 0 and max(values) > 10 * min(values) else "linear"
    )
    return Panel(column, Axis(path.split(".")[-1], scale=scale), Axis(column), tuple(marks))


def curve_figure(study: Study) -> Figure | None:
    """Draw the training loss on the way: median and 90% of the runs."""
    records = study.results.table("curves").records
    if not records:
        return None
    colours = source_colours(study.sweep)
    table = study.results.curves(["source", "step", "train_loss"])
    marks = []
    for name in sorted(set(table["source"].to_pylist())):
        chosen = table.filter(pc.equal(table["source"], name))
        marks += _curve_marks(
            chosen["step"].to_numpy(), chosen["train_loss"].to_numpy(), name, colours[name]
        )
    return Figure(
        name="training_curves",
        title="On the way",
        caption="Training loss at the recorded checks, of runs still in training: median, and "
        "the least and largest twentieth as dashed lines.",
        panels=(
            Panel(
                "",
                Axis("step", scale="symlog"),
                Axis("training loss", scale="log"),
                tuple(marks),
            ),
        ),
        columns=1,
        query="SELECT source, step, quantile_cont(train_loss, [0.05, 0.5, 0.95]) FROM "
        "read_parquet('curves/**/*.parquet', hive_partitioning = true) GROUP BY ALL",
    )


def _is_regular(step: np.ndarray) -> np.ndarray:
    """Whether a step is a check that every run still in training records: 0, 1, 2, 4, ...

    The last check of a run is recorded as well, but at steps that its end has chosen.
    """
    check = step // max(1, int(step[step > 0].min(initial=2**62)))
    return (check & (check - 1)) == 0


def _curve_marks(step: np.ndarray, loss: np.ndarray, name: str, colour: Colour) -> list[Line]:
    groups: dict[int, list[float]] = defaultdict(list)
    regular = _is_regular(step)
    for at, value in zip(step[regular].tolist(), loss[regular].tolist(), strict=True):
        groups[at].append(value)
    kept = {at: v for at, v in groups.items() if len(v) >= MIN_RUNS}
    at = np.array(sorted(kept), float)
    if not len(at):
        return []
    quantiles = np.array([np.quantile(kept[int(a)], [0.05, 0.5, 0.95]) for a in at])
    return [
        Line(at, quantiles[:, 1], label=name, colour=colour),
        Line(at, quantiles[:, 0], colour=colour, dash="dot"),
        Line(at, quantiles[:, 2], colour=colour, dash="dot"),
    ]
