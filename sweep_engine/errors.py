"""Every error a caller may act on; all derive from `SweepEngineError`.

A run that goes wrong (it diverged, it never fitted) is not an exception: it is a row with
a `RunStatus`. Exceptions are for the door: bad input, a damaged file, a shard whose code
raised.
"""

import errno

_REMEDIES = {
    errno.ENOSPC: "free some room there",
    errno.EDQUOT: "free some room there, or ask for a larger quota",
    errno.EROFS: "it is read-only: use a copy that can be written to",
    errno.EACCES: "let this user write and read there, or use a copy",
    errno.EPERM: "let this user write and read there, or use a copy",
    errno.ENOTDIR: "a part of this path is a file",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EMFILE: "allow this process more open files (ulimit -n)",
}


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


class FieldError(SweepEngineError, ValueError):
    """What a field asks for cannot be had.

    Attributes:
        field: Its path, from the part of the sweep that is at fault: of a task, `("x",)`.
    """

    def __init__(self, field: tuple[str, ...], message: str) -> None:
        self.field = field
        super().__init__(message)


class PlanError(SweepEngineError):
    """The sweep is valid but cannot be run as asked (id collision, no space, no memory)."""


class OutputError(SweepEngineError):
    """The output directory cannot be used: another sweep's, in use, or not writable."""


class StorageFailed(SweepEngineError, OSError):
    """A disk or an object store failed or refused: what it was asked may have been done."""

    @staticmethod
    def of(error: OSError) -> "StorageFailed":
        """Give an error of the operating system this name, so that it is no fault of a shard."""
        if isinstance(error, StorageFailed):
            return error
        return StorageFailed(error.errno, error.strerror or str(error), error.filename)


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


def explain(error: OSError) -> str:
    """Say in a line what the operating system or an object store refused, and what to do."""
    if error.strerror is None:
        return str(error).partition("\n")[0]
    where = "" if error.filename is None else f"{error.filename}: "
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{where}{error.strerror}" + (f" ({remedy})" if remedy else "")
