"""Calibration: whether a network knows how often it is right, a file a family of scores."""

from sweep_engine.observables.calibration.observable import calibration

__all__ = ["calibration"]
