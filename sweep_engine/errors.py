"""Every error a caller may act on; all derive from `SweepEngineError`.

A run that goes wrong (it diverged, it never fitted) is not an exception: it is a row with
a `RunStatus`. Exceptions are for the door: bad input, a damaged file, a shard whose code
raised.
"""


class SweepEngineError(Exception):
    """The root of the engine's own errors."""


class SpecError(SweepEngineError):
    """The sweep file, or the sweep built in Python, is not valid.

    Attributes:
        problems: One line each, with its place where there is one. All of them at once.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class PlanError(SweepEngineError):
    """The sweep is valid but cannot be run as asked (id collision, no space, no memory)."""


class OutputError(SweepEngineError):
    """The output directory cannot be used: another sweep's, in use, or not writable."""


class StorageFailed(SweepEngineError, OSError):
    """An object store cannot be reached, or refused: what it was asked may have been done."""


class CorruptResults(SweepEngineError):
    """A file is missing, truncated, altered or not the sweep's. Names every such file."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class ShardFailed(SweepEngineError):
    """The code of a shard raised. The shard is listed under `failed/`; `retry` runs it again."""


class WorkerLost(SweepEngineError):
    """A worker's process or machine went away with its jobs. No fault of the shards."""


class ClusterError(SweepEngineError):
    """The cluster cannot be reached, has no place for workers, or is not to be trusted."""


class Interrupted(SweepEngineError):
    """The work was asked to stop; what was finished before is kept."""


class ClusterGone(Interrupted):
    """The cluster's head is gone. This process cannot use Ray any more."""


class InsufficientSamples(SweepEngineError):
    """An estimate was asked of too few draws. The message says how many are needed."""


class IncomparableSources(SweepEngineError):
    """Two sources may not be compared, for example because their acceptance rules differ."""
