"""Densities: how far one source's law is from another's. Every estimator returns an Estimate."""

from sweep_engine.densities.binned import density_ratio
from sweep_engine.densities.compared import Compared, write_comparisons
from sweep_engine.densities.comparisons import Study
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate, format_p
from sweep_engine.densities.estimates import compare, compare_all
from sweep_engine.densities.function_plots import rank_plot, scatter
from sweep_engine.densities.histograms import histogram, histograms
from sweep_engine.densities.one_dimensional import quantiles
from sweep_engine.densities.pairing import Pair, pairs
from sweep_engine.densities.sides import function_cells, read_pair
from sweep_engine.densities.two_dimensional import histogram_2d

__all__ = [
    "Compared",
    "Draws",
    "Estimate",
    "Pair",
    "Study",
    "compare",
    "compare_all",
    "density_ratio",
    "format_p",
    "function_cells",
    "histogram",
    "histogram_2d",
    "histograms",
    "pairs",
    "quantiles",
    "rank_plot",
    "read_pair",
    "scatter",
    "write_comparisons",
]
