"""Pages to open in the browser: one with every mark, one of a small sweep."""

import numpy as np

from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Along, Detail, Figure, Panel, SweptPlace
from sweep_engine.report.drawing.marks import (
    Bars,
    Counts,
    Heatmap,
    Line,
    Points,
    Quantiles,
    Rule,
    ShownRuns,
    Steps,
)
from sweep_engine.report.page.contents import (
    AnswerGroup,
    AnswerRow,
    DecompositionRow,
    Link,
    Page,
    Row,
    Section,
    Table,
)
from sweep_engine.report.places import SweptAxis

EVIL = "</script><script>document.title = 'owned'</script>"


def every_mark():
    """A page with every mark and every kind of table."""
    x = np.linspace(0.1, 1, 20)
    axes = DrawnAxis("x <b>"), DrawnAxis("y")
    log_axes = DrawnAxis("learning rate", "log"), DrawnAxis("sharpness", "log")
    drift = DrawnAxis("drift", "symlog")
    panels = (
        Panel(EVIL, *axes, (Points(x, x, EVIL), Line(x, x, "exact")), equal_aspect=True),
        Panel("", *axes, (Steps(np.linspace(0, 1, 21), x, "sgd", low=x / 2, high=2 * x),)),
        Panel("", *axes, (Heatmap(np.arange(4), np.arange(3), np.eye(2, 3), "n", log=True),)),
        Panel("", *axes, (Bars(("a", "b"), x[:2], x[:2], x[2:4], "sgd"), Rule(1, "horizontal"))),
        Panel("", *log_axes, (Quantiles(x, np.outer(x, np.arange(1, 6)), "q", Role.NULL),)),
        Panel("", drift, drift, (Points(100 * x, -x, "sgd"),)),
    )
    rows = tuple(Row("sgd", "box", EVIL, f"{i}", "KL", 1.0, 0.9, 1.1) for i in range(8))
    table = Table("Statuses", ("a rather long name of a column",) * 9, (("1",) * 9,))
    figure = Figure("figure", EVIL, EVIL, panels, columns=3)
    errors = (("PAC-Bayes bound, a_long_name_of_a_source", "0.8825 (0.8817 to 0.8833)"),)
    decomposition = DecompositionRow(
        "sgd", EVIL, "learning_rate = 0.05", "functions", "13.490 (13.466 to 13.515)",
        "0.59 (0.49 to 0.70)", "14.08 (13.94 to 14.24)", errors, EVIL, ("a remark",) * 2,
    )  # fmt: skip
    sections = (Section("s", "", (figure,)),)
    return Page("A title", "Why?", rows, sections, (table,), (), "In nats.", (decomposition,) * 3)


def linked(num_rows):
    """A page whose last section links to the answers, which are folded where there are many."""
    anchors = [f"answer-1-{i}" for i in range(1, num_rows + 1)]
    answers = tuple(
        AnswerRow(anchor, "1", "2", "-1 (-2 to 0)", "0.1", "differ", anchor=anchor)
        for anchor in anchors
    )
    group = AnswerGroup("They differ.", "sgd", "prior", "norm", "differ", answers)
    rows = tuple((anchor, (Link("norm", anchor),)) for anchor in anchors)
    table = Table("Every row", ("row", "compared"), rows)
    sections = (Section("What puts it there", "", (), (table,)),)
    return Page("A design", "Why?", sections=sections, answers=(group,))


RATE, TARGET, STD = "sources.sgd.optimizer.learning_rate", "task.target", "sources.sgd.init.std"
RATES, TARGETS = ("0.1", "0.2", "0.4"), ("x1", "x1 & <x2>")
STDS = tuple(str(0.25 * k) for k in range(1, 17))
FIRST_RUN = 2**62 + 1
"""Beyond the whole numbers that JavaScript can tell apart."""


def sweep():
    """A page of a sweep over three axes: each figure depends on them in another way."""
    settings = {
        100 * i + 10 * j + k: ("sgd", {RATE: rate, TARGET: target, STD: std})
        for i, rate in enumerate(RATES)
        for j, target in enumerate(TARGETS)
        for k, std in enumerate((STDS[0], STDS[8]))
    } | {999: ("init", {})}
    axes = (
        SweptAxis(RATE, "learning_rate", RATES, True),
        SweptAxis(TARGET, "target", TARGETS, False),
        SweptAxis(STD, "std", STDS, True),
    )
    figures = (_dots(settings), _cells(settings), _along(), *map(_at, RATES), _pooled())
    rows = tuple(
        Row("sgd", "init", "norm", f"{rate}", "KL", 1.0, 0.9, 1.1, place=SweptPlace({RATE: rate}))
        for rate in RATES
    )
    pooled = Row(
        "sgd", "init", "norm", "", "KL", 1.0, 0.9, 1.1, place=SweptPlace({}, (RATE, TARGET))
    )
    table = Table(
        "Fits", ("setting", "n"), tuple((rate, "1") for rate in RATES),
        places=tuple(SweptPlace({RATE: rate}) for rate in RATES),
    )  # fmt: skip
    return Page(
        "A sweep", "Why?", (*rows, pooled), (Section("s", "", figures),), (table,),
        axes=axes, settings=settings,
    )  # fmt: skip


def _dots(settings):
    ids = np.array(list(settings))
    at = np.arange(float(len(ids)))
    runs = ShownRuns(
        FIRST_RUN + np.arange(len(ids)), ids, {"test_error": at / 8, "status": ids * 0}
    )
    panel = Panel("", DrawnAxis("x"), DrawnAxis("y"), (Points(at, at, "runs", size=12, runs=runs),))
    return Figure("dots", "Dots", "Caption.", (panel,))


def _cells(settings):
    ids = np.array(list(settings))
    zeros = np.zeros(len(ids), int)
    counts = Counts(zeros, zeros, zeros + 5, ids, FIRST_RUN + np.arange(len(ids)))
    values = np.array([[5.0 * len(ids), 0.0]])
    cells = Heatmap(np.arange(3.0), np.arange(2.0), values, "runs", log=True, counts=counts)
    return Figure(
        "cells", "Cells", "Caption.", (Panel("", DrawnAxis("x"), DrawnAxis("y"), (cells,)),)
    )


def _along():
    x = np.array(RATES, float)
    table = np.tile(np.arange(5.0), (3, 1))
    details = tuple(
        Detail({TARGET: target}, (Quantiles(x, table + i, f"sgd, {target}", i),))
        for i, target in enumerate(TARGETS)
    )
    panel = Panel(
        "", DrawnAxis("rate"), DrawnAxis("y"), (Quantiles(x, table, "all"),),
        place=SweptPlace({}, (TARGET,)), along=Along(RATE, RATES, x), details=details,
    )  # fmt: skip
    return Figure("along", "Along", "Caption.", (panel,))


def _at(rate):
    x = np.arange(4.0)
    panel = Panel(
        "", DrawnAxis("x"), DrawnAxis("y"), (Line(x, x, "sgd"),), place=SweptPlace({RATE: rate})
    )
    return Figure(f"at_{rate}", f"At {rate}", "Caption.", (panel,))


def _pooled():
    x = np.arange(4.0)
    place = SweptPlace({}, (RATE, TARGET, STD))
    return Figure(
        "pooled",
        "All",
        "Caption.",
        (Panel("", DrawnAxis("x"), DrawnAxis("y"), (Line(x, x),), place=place),),
    )
