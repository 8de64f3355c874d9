"""WHAT to run: the sweep file as immutable, validated objects."""

from sweep_engine.spec.load import dump_sweep, load, restore, spec_id
from sweep_engine.spec.settings import Piece, Setting, axis_paths, settings, touches
from sweep_engine.spec.sweep import Comparison, Sweep

__all__ = [
    "Comparison",
    "Piece",
    "Setting",
    "Sweep",
    "axis_paths",
    "dump_sweep",
    "load",
    "restore",
    "settings",
    "spec_id",
    "touches",
]
