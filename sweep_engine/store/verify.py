"""Check every file of an output directory against its checksum, the ledger and the plan."""

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from sweep_engine.store.encoding import is_as_sealed
from sweep_engine.store.failures import scan_failures
from sweep_engine.store.files import Files
from sweep_engine.store.inventory import take_inventory
from sweep_engine.store.layout import (
    AT_ROOT,
    COMPARISONS,
    FAILED,
    STAGING,
    SWEEP_JSON,
    SWEEP_YAML,
    split_table_path,
)
from sweep_engine.store.ledger import FileRecord, Ledger

ExpectedRows = Mapping[str, int]
"""The planned rows of a shard, by table; a table that is not named may have any number."""


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        problems: One line each, with the path of the file or the shard. Empty: all is well.
        notes: What is worth knowing and harms nothing.
    """

    problems: list[str]
    notes: list[str]


def verify(
    files: Files,
    expected: Mapping[str, ExpectedRows | None] | None = None,
    sweep_file: str | None = None,
) -> Verification:
    """Read every file and check it.

    Args:
        files: The output directory.
        expected: The plan: by shard its rows where they are known. Nothing is checked against
            the plan by default.
        sweep_file: SHA-256 of `sweep.yaml`, where `sweep.json` has it.
    """
    inventory = take_inventory(files)
    ledger = inventory.ledger
    good = [record for path, record in ledger.files.items() if path not in inventory.problems]
    altered = _altered(files, good)
    sound = [record for record in good if record.path not in altered]
    problems = [
        *sorted(inventory.problems.values()),
        *(f"{path}: its SHA-256 is not the one that was committed" for path in sorted(altered)),
        *_wrong_rows(files, sound),
        *_mixed_schemas(files, sound),
        *_repeated_runs(files, [record for record in sound if record.table == "runs"]),
        *_wrong_replacements(ledger),
        *_against_plan(ledger, expected),
        *_damaged_records(files, sweep_file),
        *scan_failures(files)[1],
    ]
    return Verification(problems, _notes(files))


def _altered(files: Files, records: Sequence[FileRecord]) -> set[str]:
    with ThreadPoolExecutor() as pool:
        digests = pool.map(lambda record: files.sha256(record.path), records)
        return {r.path for r, digest in zip(records, digests, strict=True) if digest != r.sha256}


def _wrong_rows(files: Files, records: Sequence[FileRecord]) -> Iterator[str]:
    for record in records:
        rows = pq.read_metadata(record.path, filesystem=files.arrow()).num_rows
        if rows != record.rows:
            yield f"{record.path}: has {rows} rows, expected {record.rows}"


def _mixed_schemas(files: Files, records: Sequence[FileRecord]) -> Iterator[str]:
    for _, group in itertools.groupby(records, _schema_group):
        first, *others = group
        schema = pq.read_schema(first.path, filesystem=files.arrow())
        for other in others:
            if not pq.read_schema(other.path, filesystem=files.arrow()).equals(schema):
                yield f"{other.path}: its columns differ from those of {first.path}"


def _schema_group(record: FileRecord) -> tuple[str, ...]:
    table, *bucket = split_table_path(record.path)
    return (table,) if table == "runs" else (table, *bucket)


def _repeated_runs(files: Files, records: Sequence[FileRecord]) -> Iterator[str]:
    if not records:
        return
    columns = [_run_ids(files, record) for record in records]
    run_ids = np.concatenate(columns)
    order = np.argsort(run_ids, kind="stable")
    repeats = np.flatnonzero(np.diff(run_ids[order]) == 0)
    owner = np.repeat(np.arange(len(records)), [len(column) for column in columns])
    found = {(int(owner[order[i]]), int(owner[order[i + 1]])) for i in repeats}
    for first, second in sorted(found):
        yield f"{records[second].path}: repeats run ids of {records[first].path}"


def _run_ids(files: Files, record: FileRecord) -> np.ndarray:
    table = pq.ParquetFile(record.path, filesystem=files.arrow()).read(columns=["run_id"])
    ids: np.ndarray = table["run_id"].to_numpy()
    return ids


def _wrong_replacements(ledger: Ledger) -> Iterator[str]:
    rows = {r.path: r.rows for entry in ledger.entries.values() for r in entry.files}
    for name, entry in ledger.replacements.items():
        unknown = [path for path in entry.replaces if path not in rows]
        if unknown:
            yield f"{name}: stands for files that no shard committed: {unknown}"
        elif sum(rows[path] for path in entry.replaces) != sum(r.rows for r in entry.files):
            yield f"{name}: has not as many rows as the files that it stands for"


def _against_plan(
    ledger: Ledger, expected: Mapping[str, ExpectedRows | None] | None
) -> Iterator[str]:
    if expected is None:
        return
    yield from (f"{shard}: not in the plan" for shard in sorted(ledger.shards.keys() - expected))
    for shard, tables in expected.items():
        entry = ledger.shards.get(shard)
        if entry is None:
            yield f"{shard}: planned but not done"
            continue
        for table, rows in (tables or {}).items():
            if entry.num_rows(table) != rows:
                yield f"{shard}: has {entry.num_rows(table)} rows in {table}, planned {rows}"


def _damaged_records(files: Files, sweep_file: str | None) -> Iterator[str]:
    """Say which files are damaged that no entry of the ledger names, and others read."""
    faults: dict[str, Callable[[bytes], str | None]] = {
        COMPARISONS: _fault_of_comparisons,
        SWEEP_YAML: lambda data: _fault_of_sweep_file(data, sweep_file),
    }
    for path, fault_of in faults.items():
        fault = fault_of(files.read(path)) if files.exists(path) else None
        if fault is not None:
            yield f"{path}: {fault}: {_REMEDIES[path]}"


_REMEDIES = {
    COMPARISONS: "`compare` writes it anew",
    SWEEP_YAML: f"`run` writes it anew; the engine goes by {SWEEP_JSON}",
}


def _fault_of_comparisons(data: bytes) -> str | None:
    try:
        if is_as_sealed(data) is False:
            return "is not as it was sealed"
        pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True).read()
    except (OSError, ValueError, pa.ArrowException) as error:
        return f"is damaged ({_first_line(error)})"
    return None


def _fault_of_sweep_file(data: bytes, digest: str | None) -> str | None:
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        return "is not the one that the last run was given"
    try:
        if not isinstance(yaml.safe_load(data.decode()), dict):
            return "is no sweep file"
    except (ValueError, yaml.YAMLError) as error:
        return f"is damaged ({_first_line(error)})"
    return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _notes(files: Files) -> list[str]:
    staged, failed = len(files.below(STAGING)), len(files.below(FAILED))
    notes = [f"{STAGING}/ holds {staged} leftover files"] if staged else []
    notes += [f"{FAILED}/ names {failed} shards"] if failed else []
    strays = [path for path in files.at_root() if path not in AT_ROOT]
    return notes + [f"{path}: none of the sweep's files; nothing reads it" for path in strays]
