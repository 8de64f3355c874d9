"""Densities: how far one source's law is from another's. Every estimator returns Estimates."""

from sweep_engine.densities.answer import Answer, Judgement
from sweep_engine.densities.columns.density_ratio import density_ratio
from sweep_engine.densities.columns.histograms import histogram, histograms
from sweep_engine.densities.columns.plane import histogram_2d
from sweep_engine.densities.columns.quantiles import quantiles
from sweep_engine.densities.comparing import answer_all, compare, compare_all, refusals
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.effort import seconds_to_answer
from sweep_engine.densities.estimate import Estimate, format_p
from sweep_engine.densities.estimator import (
    Estimator,
    Part,
    Quantity,
    Reading,
    Table,
    Takes,
    Verdict,
)
from sweep_engine.densities.functions.plots import rank_plot, scatter
from sweep_engine.densities.over_settings import by_comparison, opening, spans, summarise
from sweep_engine.densities.registry import add_estimator
from sweep_engine.densities.stored.compared import Compared, write_comparisons
from sweep_engine.densities.stored.pairing import Pair, pairs
from sweep_engine.densities.stored.sides import function_cells, read_pair
from sweep_engine.densities.stored.study import Study
from sweep_engine.densities.trust import Trust

__all__ = [
    "Answer",
    "Compared",
    "Draws",
    "Estimate",
    "Estimator",
    "Judgement",
    "Pair",
    "Part",
    "Quantity",
    "Reading",
    "Study",
    "Table",
    "Takes",
    "Trust",
    "Verdict",
    "add_estimator",
    "answer_all",
    "by_comparison",
    "compare",
    "compare_all",
    "density_ratio",
    "format_p",
    "function_cells",
    "histogram",
    "histogram_2d",
    "histograms",
    "opening",
    "pairs",
    "quantiles",
    "rank_plot",
    "read_pair",
    "refusals",
    "scatter",
    "seconds_to_answer",
    "spans",
    "summarise",
    "write_comparisons",
]
