"""Models: how a network is initialised and applied, and how its parameters lie in theta."""

from sweep_engine.models.canonical import Canonical, canonicalise
from sweep_engine.models.dense import DenseLayers, dense_layers, is_dense, matrices, slope
from sweep_engine.models.layout import Layout, Leaf
from sweep_engine.models.linear import end_to_end, is_linear
from sweep_engine.models.network import Network, build

__all__ = [
    "Canonical",
    "DenseLayers",
    "Layout",
    "Leaf",
    "Network",
    "build",
    "canonicalise",
    "dense_layers",
    "end_to_end",
    "is_dense",
    "is_linear",
    "matrices",
    "slope",
]
