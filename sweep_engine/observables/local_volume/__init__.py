"""Local volume: how many nats of a law it takes to land in the basin around a solution."""

from sweep_engine.observables.local_volume.observable import local_volume

__all__ = ["local_volume"]
