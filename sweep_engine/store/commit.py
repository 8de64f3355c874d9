"""Commit a shard exactly once: stage, enter in the ledger, publish.

An attempt stages its files under its own name. The commit point is one put-if-absent entry in the
ledger that names them. Publishing moves them to the shard's fixed names: a step that anyone may
finish or do again. So a plain reader of the tables never sees half a file, two attempts, or a
shard twice. A staged file is discarded only once the ledger names another attempt, because a
failed commit may have been a commit whose reply was lost.
"""

import contextlib
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from pydantic import JsonValue

from sweep_engine.store.encoding import footer_sha256, to_parquet
from sweep_engine.store.files import Files
from sweep_engine.store.layout import (
    STAGING,
    ShardFiles,
    ledger_path,
    split_staged_path,
)
from sweep_engine.store.ledger import FileRecord, Ledger, LedgerEntry, read_entry


@dataclass(frozen=True)
class Committed:
    """What the ledger says after a commit.

    Attributes:
        entry: The entry of the attempt that won.
        won: Whether that was this attempt; if not, its rows were discarded.
    """

    entry: LedgerEntry
    won: bool


def commit_shard(
    files: Files,
    shard: ShardFiles,
    tables: Mapping[str, pa.Table],
    receipt: Mapping[str, JsonValue],
) -> Committed:
    """Commit the rows of a shard, unless another attempt already has.

    Args:
        files: The output directory.
        shard: Where the shard's files belong.
        tables: By table. One without rows leaves no file.
        receipt: What to keep in the ledger about the work: times, host, counts.

    Raises:
        ValueError: A table has a column that stands in the path.
        OutputError: A table's name cannot be used.
        OSError: Storage failed. Whether the shard was committed is not known: try again.
    """
    _check_columns(tables)
    placed = {shard.path(name): table for name, table in tables.items() if table.num_rows}
    return commit(files, shard.shard, placed, receipt=receipt)


def commit(
    files: Files,
    name: str,
    tables: Mapping[str, pa.Table],
    *,
    replaces: tuple[str, ...] = (),
    receipt: Mapping[str, JsonValue],
) -> Committed:
    """Commit tables by their published paths under a ledger entry's name."""
    entry = _stage(files, name, tables, replaces, receipt)
    won = files.put_if_absent(ledger_path(name), entry.to_bytes())
    if not won:
        _discard(files, entry)
        entry = read_entry(files, name)
    publish(files, entry)
    return Committed(entry, won)


def publish(files: Files, entry: LedgerEntry) -> None:
    """Move an entry's files to their places; nothing if that was already done.

    What a compaction replaces goes first, so that no row is ever seen twice.
    """
    for path in entry.replaces:
        files.remove(path)
    for record in entry.files:
        files.publish(entry.staged(record), record.path)


def finish_publishing(files: Files, ledger: Ledger) -> None:
    """Publish what was committed and not yet published; safe at any time, for anyone."""
    names = {owner for path in files.below(STAGING) if (owner := split_staged_path(path))}
    for shard, attempt in sorted(names):
        entry = ledger.entries.get(shard)
        if entry and entry.attempt == attempt:
            publish(files, entry)


def discard_leftovers(files: Files, ledger: Ledger) -> None:
    """Remove what lost or broken attempts left in staging.

    Files of a shard that is not in the ledger stay: their attempt may still commit them. Where
    there is a lock, only its holder calls this, before it starts any work: on a file system it
    takes away the temporary file of a write under way, which makes that write fail.
    """
    for path in files.below(STAGING):
        owner = split_staged_path(path)
        if owner is None or (owner[0] in ledger.entries and not _won(ledger, *owner)):
            files.remove(path)


def _won(ledger: Ledger, shard: str, attempt: str) -> bool:
    return ledger.entries[shard].attempt == attempt


def _check_columns(tables: Mapping[str, pa.Table]) -> None:
    for name, table in tables.items():
        doubled = {"source", "bucket"} & set(table.column_names)
        if doubled:
            raise ValueError(f"{name}: columns {sorted(doubled)} stand in the path only")


def _stage(
    files: Files,
    name: str,
    tables: Mapping[str, pa.Table],
    replaces: tuple[str, ...],
    receipt: Mapping[str, JsonValue],
) -> LedgerEntry:
    encoded = {path: to_parquet(table) for path, table in tables.items()}
    entry = LedgerEntry(
        shard=name,
        attempt=secrets.token_hex(16),
        files=tuple(_record(path, tables[path].num_rows, data) for path, data in encoded.items()),
        replaces=replaces,
        receipt=dict(receipt),
    )
    try:
        files.write_all({entry.staged(record): encoded[record.path] for record in entry.files})
    except OSError:
        with contextlib.suppress(OSError):
            _discard(files, entry)
        raise
    return entry


def _record(path: str, rows: int, data: bytes) -> FileRecord:
    return FileRecord(
        path=path,
        rows=rows,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        footer_sha256=footer_sha256(lambda last: data[-last:]),
    )


def _discard(files: Files, entry: LedgerEntry) -> None:
    for record in entry.files:
        files.remove(entry.staged(record))
