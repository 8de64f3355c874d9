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
    paths = sorted(files.sizes(FAILED))
    failures = map(_parse, paths, files.map(files.read, paths))
    return {failure.shard: failure for failure in failures}


def clear_failure(files: Files, shard: str) -> None:
    """Forget a shard's failure; nothing if there is none on record."""
    files.remove(failure_path(shard))


def _parse(path: str, data: bytes) -> Failure:
    try:
        return Failure.model_validate_json(data)
    except ValidationError as error:
        raise CorruptResults([f"{path}: not the record of a failure"]) from error
