"""The results on disk: committed exactly once, checked when read. Knows Arrow tables only."""

from sweep_engine.store.commit import (
    Committed,
    commit_shard,
    discard_leftovers,
    finish_publishing,
)
from sweep_engine.store.compact import compact
from sweep_engine.store.directory import OutputDirectory
from sweep_engine.store.failures import Failure, clear_failure, read_failures, record_failure
from sweep_engine.store.files import Files, LocalFiles, open_files
from sweep_engine.store.layout import ShardFiles
from sweep_engine.store.ledger import FileRecord, Ledger, LedgerEntry, read_ledger
from sweep_engine.store.reader import Params, Results, open_results
from sweep_engine.store.schema import (
    Column,
    curves_schema,
    file_metadata,
    params_schema,
    runs_schema,
    tallies_schema,
    with_file_metadata,
)
from sweep_engine.store.stored_run import StoredRun, stored_run
from sweep_engine.store.verify import Verification, verify

__all__ = [
    "Column",
    "Committed",
    "Failure",
    "FileRecord",
    "Files",
    "Ledger",
    "LedgerEntry",
    "LocalFiles",
    "OutputDirectory",
    "Params",
    "Results",
    "ShardFiles",
    "StoredRun",
    "Verification",
    "clear_failure",
    "commit_shard",
    "compact",
    "curves_schema",
    "discard_leftovers",
    "file_metadata",
    "finish_publishing",
    "open_files",
    "open_results",
    "params_schema",
    "read_failures",
    "read_ledger",
    "record_failure",
    "runs_schema",
    "stored_run",
    "tallies_schema",
    "verify",
    "with_file_metadata",
]
