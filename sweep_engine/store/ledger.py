"""The ledger: a shard is done when, and only when, it has an entry.

An entry is written once and never changed. It names the attempt that won and its files.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from sweep_engine.errors import CorruptResults
from sweep_engine.machine import uncollected
from sweep_engine.store.files import Files
from sweep_engine.store.layout import (
    LEDGER,
    RESERVED_PREFIXES,
    TABLE_FILE_PATTERN,
    ledger_path,
    split_table_path,
    staged_path,
)

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
TablePath = Annotated[str, Field(pattern=TABLE_FILE_PATTERN)]


_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One published file: where it stands and by what it is known.

    Attributes:
        path: Relative to the output directory.
        rows: Its number of rows.
        bytes: Its size.
        sha256: Of the whole file, in hex.
        footer_sha256: Of its Parquet footer, in hex; see `encoding.footer_sha256`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    path: TablePath
    rows: int
    bytes: int
    sha256: Digest
    footer_sha256: Digest

    @property
    def table(self) -> str:
        return split_table_path(self.path)[0]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What was committed for one shard, or by one compaction.

    Attributes:
        shard: The shard's id; `compact-<hash>` for a compaction,
            `observe-<hash>` for columns added to a file, `basis-<hash>` for a fitted basis.
        attempt: The attempt that won, 32 hex digits.
        files: At most one a table: a table without rows has none.
        replaces: The published files that this entry's file stands for. Empty for a shard.
        receipt: What the worker reported: times, host, counts.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    shard: str
    attempt: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    files: tuple[FileRecord, ...]
    replaces: tuple[TablePath, ...]
    receipt: dict[str, JsonValue]

    def count(self, name: str) -> int:
        """A whole number of the receipt."""
        value = self.receipt[name]
        if not isinstance(value, int):
            raise CorruptResults([f"{ledger_path(self.shard)}: {name} is no whole number"])
        return value

    def num_rows(self, table: str) -> int:
        """The rows committed to a table."""
        return sum(record.rows for record in self.files if record.table == table)

    def staged(self, record: FileRecord) -> str:
        """Where a file of this entry stood before it was published."""
        return staged_path(self.shard, self.attempt, record.table)

    def to_bytes(self) -> bytes:
        """The entry as JSON with its own checksum."""
        return _seal(_ENTRY.dump_json(self))


_ENTRY = TypeAdapter(LedgerEntry)


@dataclass(frozen=True)
class Ledger:
    """All entries at one moment.

    Attributes:
        entries: By id: shards, and what was made of them.
    """

    entries: Mapping[str, LedgerEntry]

    @cached_property
    def shards(self) -> dict[str, LedgerEntry]:
        """The entries of shards, by shard: what is done."""
        return {
            name: entry
            for name, entry in self.entries.items()
            if not name.startswith(RESERVED_PREFIXES)
        }

    @cached_property
    def replacements(self) -> dict[str, LedgerEntry]:
        """The entries whose files stand for others, merged or with more columns, by id."""
        return {name: entry for name, entry in self.entries.items() if entry.replaces}

    @cached_property
    def paths(self) -> set[str]:
        """Every published path that an entry ever named, replaced or not."""
        return {record.path for entry in self.entries.values() for record in entry.files}

    @cached_property
    def files(self) -> dict[str, FileRecord]:
        """The files that hold the results now, by path, in the order of their paths."""
        replaced = {path for entry in self.replacements.values() for path in entry.replaces}
        records = {r.path: r for e in self.entries.values() for r in e.files}
        return {path: records[path] for path in sorted(records.keys() - replaced)}


def read_ledger(files: Files) -> Ledger:
    """Read every entry.

    Raises:
        CorruptResults: Entries are damaged, or a file is none of ours. Names every one.
    """
    ledger, problems = scan_ledger(files)
    if problems:
        raise CorruptResults(list(problems.values()))
    return ledger


@uncollected()
def scan_ledger(files: Files) -> tuple[Ledger, dict[str, str]]:
    """Read every good entry, and say of every other file, by path, what is wrong with it."""
    entries, problems = {}, {}
    paths = sorted(files.below(LEDGER))
    for path, data in zip(paths, files.map(files.read, paths), strict=True):
        try:
            entry = _parse(path, data)
        except CorruptResults as error:
            problems[path] = str(error)
        else:
            entries[entry.shard] = entry
    return Ledger(entries), problems


def read_entry(files: Files, shard: str) -> LedgerEntry:
    """Read one entry.

    Raises:
        CorruptResults: The entry is damaged.
        FileNotFoundError: There is none.
    """
    path = ledger_path(shard)
    return _parse(path, files.read(path))


def _parse(path: str, data: bytes) -> LedgerEntry:
    body = data[len(_HEAD) + 64 + len(_MIDDLE) : -len(_END)]
    if _seal(body) != data:
        raise CorruptResults([f"{path}: damaged or not a ledger entry"])
    try:
        entry = _ENTRY.validate_json(body)
    except ValidationError as error:
        raise CorruptResults([f"{path}: not an entry of this version ({error})"]) from error
    if path != ledger_path(entry.shard):
        raise CorruptResults([f"{path}: is the entry of {entry.shard!r}"])
    return entry


_HEAD, _MIDDLE, _END = b'{"sha256":"', b'","entry":', b"}\n"


def _seal(body: bytes) -> bytes:
    return _HEAD + hashlib.sha256(body).hexdigest().encode() + _MIDDLE + body + _END
