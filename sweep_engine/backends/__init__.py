"""Backends: they move jobs to workers and results back, and know nothing of what is in them."""

from sweep_engine.backends.backend import Backend, Job, Outcome, Receipt, Worker
from sweep_engine.backends.local import LocalBackend

__all__ = ["Backend", "Job", "LocalBackend", "Outcome", "Receipt", "Worker"]
