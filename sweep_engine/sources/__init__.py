"""Sources: the laws from which networks are drawn, from programs and runs to finished rows."""

from sweep_engine.sources.bucket import Bucket
from sweep_engine.sources.kinds import KINDS, SourceKind, kind_of, work
from sweep_engine.sources.observe import observe_stored
from sweep_engine.sources.opening import open_source
from sweep_engine.sources.programs import XLA, KernelPrograms, SourcePrograms
from sweep_engine.sources.trial import Disagrees, Rehearsed, Trial
from sweep_engine.sources.work import Control, Finished, Inputs, LaneSteps, StoredRuns

__all__ = [
    "KINDS",
    "XLA",
    "Bucket",
    "Control",
    "Disagrees",
    "Finished",
    "Inputs",
    "KernelPrograms",
    "LaneSteps",
    "Rehearsed",
    "SourceKind",
    "SourcePrograms",
    "StoredRuns",
    "Trial",
    "kind_of",
    "observe_stored",
    "open_source",
    "work",
]
