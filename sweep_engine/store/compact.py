"""Merge the many small files of a bucket into few.

A compaction is a ledger entry that names the files it replaces and the file that stands for them.
From that moment readers use the merged file. Compactions are numbered, so each stands on all
before it: two at once cannot both merge a file. Then the replaced files are removed and the merged
one is published, in this order: a plain reader may miss rows meanwhile, it never sees one twice.
The entries of the shards stay as they are, so a resume still knows what is done.
"""

import hashlib
import io
import itertools
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from sweep_engine.errors import CorruptResults, OutputError
from sweep_engine.store.commit import commit
from sweep_engine.store.files import Files
from sweep_engine.store.inventory import take_inventory
from sweep_engine.store.layout import COMPACTION_PREFIX, split_table_path
from sweep_engine.store.ledger import FileRecord, Ledger

TARGET_BYTES = 256 * 2**20


def compact(files: Files, target_bytes: int = TARGET_BYTES) -> int:
    """Merge neighbouring files of one table, source and bucket up to a size.

    Rows stay in the order of the files' paths. A merged file is never merged again. May be
    interrupted and called again; nobody else may write to the directory or read it meanwhile.

    Args:
        files: The output directory.
        target_bytes: The most bytes that go into one file.

    Returns:
        The number of files that were replaced.

    Raises:
        CorruptResults: A file is missing, stray or altered. Nothing of it is merged.
        OutputError: Another compaction has merged files since this one began.
    """
    inventory = take_inventory(files)
    if inventory.problems:
        raise CorruptResults(sorted(inventory.problems.values()))
    groups = list(_groups(inventory.ledger, target_bytes))
    before = sum(name.startswith(COMPACTION_PREFIX) for name in inventory.ledger.entries)
    for number, records in enumerate(groups, start=before):
        _merge(files, records, number)
    return sum(map(len, groups))


def _groups(ledger: Ledger, target_bytes: int) -> Iterator[list[FileRecord]]:
    merged = {
        record.path
        for name, entry in ledger.replacements.items()
        if name.startswith(COMPACTION_PREFIX)
        for record in entry.files
    }
    for _, bucket in itertools.groupby(ledger.files.values(), _folder):
        group: list[FileRecord] = []
        for record in bucket:
            size = sum(member.bytes for member in group)
            if record.path in merged or size + record.bytes > target_bytes:
                yield from _worthwhile(group)
                group = []
            if record.path not in merged:
                group.append(record)
        yield from _worthwhile(group)


def _worthwhile(group: list[FileRecord]) -> list[list[FileRecord]]:
    return [group] if len(group) > 1 else []


def _folder(record: FileRecord) -> str:
    return record.path.rpartition("/")[0]


def _merge(files: Files, records: Sequence[FileRecord], number: int) -> None:
    digest = hashlib.sha256("".join(record.sha256 for record in records).encode()).hexdigest()[:16]
    first = records[0].path.removesuffix(".parquet")
    overtaken = OutputError(f"{files.location}: another compaction is under way: let it end")
    try:
        merged = pa.concat_tables(_read(files, record) for record in records)
    except FileNotFoundError as error:
        raise overtaken from error
    committed = commit(
        files,
        f"{COMPACTION_PREFIX}{number:05d}",
        {f"{first}-{digest}.parquet": merged},
        replaces=tuple(record.path for record in records),
        receipt={"table": split_table_path(first + ".parquet")[0]},
    )
    if not committed.won:
        raise overtaken


def _read(files: Files, record: FileRecord) -> pa.Table:
    data = files.read(record.path)
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise CorruptResults([f"{record.path}: is not what was committed"])
    return pq.ParquetFile(io.BytesIO(data)).read()
