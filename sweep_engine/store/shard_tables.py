"""The rows of some shards, without looking at the rest of the output directory."""

from collections.abc import Iterable

from sweep_engine.store.files import Files
from sweep_engine.store.layout import ledger_path
from sweep_engine.store.ledger import FileRecord, read_entry, read_ledger
from sweep_engine.store.scan import TableFiles


def shard_table(files: Files, shards: Iterable[str], table: str) -> TableFiles:
    """The files of a table that hold the rows of shards, to be read as one.

    A shard that is not done has no rows. Where files were merged, rows of other shards are
    among them.

    Raises:
        CorruptResults: An entry of the ledger is damaged.
    """
    done = (shard for shard in shards if files.exists(ledger_path(shard)))
    entries = [read_entry(files, shard) for shard in done]
    records = [record for entry in entries for record in entry.files if record.table == table]
    if not all(files.exists(record.path) for record in records):
        records = _replaced(files, records)
    return TableFiles(files, tuple(dict.fromkeys(records)))


def _replaced(files: Files, records: list[FileRecord]) -> list[FileRecord]:
    """Put in the place of every file that is gone the one that stands for it now."""
    stands_for = {
        path: record
        for entry in read_ledger(files).replacements.values()
        for path in entry.replaces
        for record in entry.files
    }

    def now(record: FileRecord) -> FileRecord:
        while record.path in stands_for:
            record = stands_for[record.path]
        return record

    return [now(record) for record in records]
