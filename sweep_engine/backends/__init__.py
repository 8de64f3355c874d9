"""Backends: they move jobs to workers and results back, and know nothing of what is in them."""

from sweep_engine.backends.backend import (
    CORES,
    Backend,
    Job,
    JobOutcome,
    OpenWorkers,
    Receipt,
    Worker,
)
from sweep_engine.backends.local import LocalBackend

__all__ = [
    "CORES",
    "Backend",
    "Job",
    "JobOutcome",
    "LocalBackend",
    "OpenWorkers",
    "Receipt",
    "Worker",
]
