"""Where everything stands below the output directory, and which names may stand there."""

import re
from dataclasses import dataclass

from sweep_engine.errors import OutputError

SWEEP_YAML = "sweep.yaml"
SWEEP_JSON = "sweep.json"
COMPARISONS = "comparisons.parquet"
REPORT = "report.html"
AT_ROOT = frozenset({SWEEP_YAML, SWEEP_JSON, COMPARISONS, REPORT})
"""Files that stand in no folder."""

LEDGER = "ledger"
STAGING = "staging"
FAILED = "failed"
LOGS = "logs"
FIGURES = "figures"
NOT_TABLES = frozenset({LEDGER, STAGING, FAILED, LOGS, FIGURES})
"""Folders of the output directory that hold no table; every other folder is a table's."""

COMPACTION_PREFIX = "compact-"
OBSERVED_PREFIX = "observe-"
BASIS_PREFIX = "basis-"
RESERVED_PREFIXES = (COMPACTION_PREFIX, OBSERVED_PREFIX, BASIS_PREFIX)
"""Ledger entries that merge files, add columns, or keep what coordinates were fitted start with
these, so no shard may."""

TABLE_PATTERN = r"[a-z][a-z0-9_]{0,63}"
TABLE_FILE_PATTERN = (
    rf"^{TABLE_PATTERN}/source=[a-z0-9][a-z0-9._-]{{0,63}}/bucket=[a-z][a-z0-9._-]{{0,63}}/"
    r"[a-z0-9][a-z0-9._-]{0,127}\.parquet$"
)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TABLE_FILE = re.compile(TABLE_FILE_PATTERN)
_STAGED = re.compile(rf"{STAGING}/(?P<shard>.+)\.(?P<attempt>[0-9a-f]{{32}})\.{TABLE_PATTERN}")


@dataclass(frozen=True)
class ShardFiles:
    """The places of one shard's files: one a table, under names that never change.

    Attributes:
        shard: The shard's id, unique in the sweep.
        source: The source its rows were drawn from.
        bucket: The compiled program that drew them. Starts with a letter, or readers would
            take the path's value for a number.

    Raises:
        OutputError: A name is not of the form `[a-z0-9][a-z0-9._-]{0,63}`.
    """

    shard: str
    source: str
    bucket: str

    def __post_init__(self) -> None:
        for kind, name in (("shard", self.shard), ("source", self.source), ("bucket", self.bucket)):
            _check_name(kind, name)
        if self.shard.startswith(RESERVED_PREFIXES):
            raise OutputError(f"shard name {self.shard!r}: its beginning is reserved")
        if not self.bucket[0].isalpha():
            raise OutputError(f"bucket name {self.bucket!r} does not start with a letter")

    def path(self, table: str) -> str:
        """The published path of the shard's rows of a table, relative to the output directory.

        Raises:
            OutputError: The table's name is malformed or a folder of another kind has it.
        """
        if not re.fullmatch(TABLE_PATTERN, table) or table in NOT_TABLES:
            raise OutputError(f"table name {table!r}: expected {TABLE_PATTERN}, not a reserved one")
        return f"{table}/source={self.source}/bucket={self.bucket}/{self.shard}.parquet"


def split_table_path(path: str) -> tuple[str, str, str]:
    """The table, source and bucket of a published file.

    Raises:
        OutputError: The path is not one of a table's file.
    """
    if not _TABLE_FILE.match(path):
        raise OutputError(f"{path!r} is not the path of a table's file")
    table, source, bucket, _ = path.split("/")
    return table, source.removeprefix("source="), bucket.removeprefix("bucket=")


def check_path(path: str) -> str:
    """The path, if it names something below the output directory.

    Raises:
        OutputError: It does not.
    """
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise OutputError(f"{path!r} is not a path below the output directory")
    return path


def ledger_path(shard: str) -> str:
    """The path of a shard's ledger entry."""
    return f"{LEDGER}/{shard}.json"


def failure_path(shard: str) -> str:
    """The path of the record that a shard failed."""
    _check_name("shard", shard)
    return f"{FAILED}/{shard}.json"


def staged_path(shard: str, attempt: str, table: str) -> str:
    """The path of an attempt's own file, before it is published."""
    return f"{STAGING}/{shard}.{attempt}.{table}"


def split_staged_path(path: str) -> tuple[str, str] | None:
    """The shard and attempt a staged file belongs to; None if it is a leftover of another kind."""
    match = _STAGED.fullmatch(path)
    return (match["shard"], match["attempt"]) if match else None


def _check_name(kind: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise OutputError(f"{kind} name {name!r}: expected {_NAME.pattern}")
