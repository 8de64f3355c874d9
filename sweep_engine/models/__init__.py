"""Models: how a network is initialised and applied, and how its parameters lie in theta."""

from sweep_engine.models.canonical import Canonical, canonicalise, has_canonical_form
from sweep_engine.models.layout import Layout, Leaf
from sweep_engine.models.network import Network, build

__all__ = [
    "Canonical",
    "Layout",
    "Leaf",
    "Network",
    "build",
    "canonicalise",
    "has_canonical_form",
]
