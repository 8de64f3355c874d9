"""Shards whose code raised: one file each under `failed/`, until a retry succeeds."""

from pydantic import BaseModel, ConfigDict, ValidationError

from sweep_engine.errors import CorruptResults
from sweep_engine.store.files import Files
from sweep_engine.store.layout import FAILED, failure_path


class Failure(BaseModel):
    """Why a shard is not done.

    Attributes:
        shard: The shard's id.
        attempts: How often it was tried.
        error: The last error's text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    shard: str
    attempts: int
    error: str


def record_failure(files: Files, shard: str, attempts: int, error: str) -> None:
    """Record that a shard failed, in place of an earlier record."""
    failure = Failure(shard=shard, attempts=attempts, error=error)
    files.write(failure_path(shard), failure.model_dump_json(indent=2).encode())


def read_failures(files: Files) -> dict[str, Failure]:
    """The failures on record, by shard.

    Raises:
        CorruptResults: A record cannot be read.
    """
    failures, problems = scan_failures(files)
    if problems:
        raise CorruptResults(problems)
    return failures


def scan_failures(files: Files) -> tuple[dict[str, Failure], list[str]]:
    """Read every good record, and say of every other file what is wrong with it."""
    failures, problems = {}, []
    paths = sorted(files.below(FAILED))
    for path, data in zip(paths, files.map(files.read, paths), strict=True):
        try:
            failure = _parse(path, data)
        except CorruptResults as error:
            problems += error.problems
        else:
            failures[failure.shard] = failure
    return failures, problems


def clear_failure(files: Files, shard: str) -> None:
    """Forget a shard's failure; nothing if there is none on record."""
    files.remove(failure_path(shard))


def _parse(path: str, data: bytes) -> Failure:
    try:
        failure = Failure.model_validate_json(data)
    except ValidationError as error:
        raise CorruptResults([f"{path}: not the record of a failure"]) from error
    if path != f"{FAILED}/{failure.shard}.json":
        raise CorruptResults([f"{path}: is the record of {failure.shard!r}"])
    return failure
