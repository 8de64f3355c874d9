"""The benchmark: what this machine can do, measured in one go and written down."""

from sweep_engine.bench.experiments import EXPERIMENTS, bench

__all__ = ["EXPERIMENTS", "bench"]
