"""Models: how a network is initialised and applied, and how its parameters lie in theta."""

from sweep_engine.models.layout import Layout, Leaf
from sweep_engine.models.network import Network, build

__all__ = ["Layout", "Leaf", "Network", "build"]
