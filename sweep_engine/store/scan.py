"""Scan published files as one table, with `source` and `bucket` from their paths."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sweep_engine.errors import CorruptResults
from sweep_engine.store.encoding import footer_sha256
from sweep_engine.store.files import Files
from sweep_engine.store.layout import split_table_path
from sweep_engine.store.ledger import FileRecord

if TYPE_CHECKING:
    import pyarrow.dataset as ds

_PATH_FIELDS = (
    pa.field("source", pa.string(), metadata={"unit": "", "meaning": "what drew the run"}),
    pa.field("bucket", pa.string(), metadata={"unit": "", "meaning": "the compiled program"}),
)
_BATCH_ROWS = 131_072


@dataclass(frozen=True)
class TableFiles:
    """Files that are read as one table.

    Attributes:
        files: The output directory.
        records: The files, as the ledger knows them, in the order in which to read them.
        empty_schema: The schema if there are no files; None if not known.
    """

    files: Files
    records: tuple[FileRecord, ...]
    empty_schema: pa.Schema | None = None

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns, with `source` and `bucket`; asked of one file a bucket.

        Raises:
            CorruptResults: Two buckets give one column different types.
            LookupError: There are no files and the schema is not known.
        """
        firsts = [next(group) for _, group in itertools.groupby(self.records, _bucket_of)]
        schemas = [read_schema(self.files, record) for record in firsts]
        if not schemas and self.empty_schema is None:
            raise LookupError("the table has no rows and no known columns")
        try:
            unified = pa.unify_schemas(schemas or [self.empty_schema])
        except pa.ArrowException as error:
            raise CorruptResults(
                [f"{r.path}: of one table, but {error}" for r in firsts]
            ) from error
        return pa.schema([*unified, *_PATH_FIELDS])

    def read(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """All rows in memory; see `stream`."""
        names = self.schema.names if columns is None else columns
        schema = pa.schema([self.schema.field(name) for name in names])
        return pa.Table.from_batches(list(self.stream(columns, where)), schema)

    def stream(
        self,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        *,
        batch_rows: int = _BATCH_ROWS,
    ) -> Iterator[pa.RecordBatch]:
        """The rows in batches, in the order of the files, every page checked.

        Args:
            columns: Which columns; all by default.
            where: Which rows; all by default. On `source` or `bucket` it spares opening files.
            batch_rows: The most rows in a batch.

        Raises:
            CorruptResults: A file was altered. Names every such file.
            pyarrow.ArrowInvalid: A column is not in the schema.
        """
        dataset = self._dataset
        chosen = {fragment.path for fragment in dataset.get_fragments(filter=where)}
        records = [record for record in self.records if record.path in chosen]
        check_footers(self.files, records)
        scanner = dataset.scanner(
            columns=columns, filter=where, batch_size=batch_rows, cache_metadata=False
        )
        return _checked(scanner.to_batches(), self.files, records)

    @cached_property
    def _dataset(self) -> "ds.FileSystemDataset":
        import pyarrow.dataset as ds  # it imports pandas, and half a second passes

        checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
        return ds.FileSystemDataset.from_paths(
            [record.path for record in self.records],
            schema=self.schema,
            format=ds.ParquetFileFormat(default_fragment_scan_options=checked),
            filesystem=self.files.arrow(),
            partitions=[_path_values(record) for record in self.records],
        )


def read_schema(files: Files, record: FileRecord) -> pa.Schema:
    """The schema of one file, with the file's metadata.

    Raises:
        CorruptResults: The footer is not the one that was committed.
    """
    check_footers(files, [record])
    return pq.read_schema(record.path, filesystem=files.arrow())


def check_footers(files: Files, records: Collection[FileRecord]) -> None:
    """Compare the footers of files with the ledger, without reading their pages.

    Raises:
        CorruptResults: Footers are altered or gone. Names every such file.
    """
    footers = files.map(lambda record: _footer_of(files, record), records)
    altered = [r.path for r, f in zip(records, footers, strict=True) if f != r.footer_sha256]
    if altered:
        raise CorruptResults(
            [f"{path}: its footer is not the one that was committed" for path in altered]
        )


def _checked(
    batches: Iterator[pa.RecordBatch], files: Files, records: Sequence[FileRecord]
) -> Iterator[pa.RecordBatch]:
    try:
        yield from (batch for batch in batches if batch.num_rows)
    except (OSError, pa.ArrowException):
        altered = [r.path for r in records if _is_altered(files, r)]
        if altered:
            problems = [f"{path}: is not what was committed" for path in altered]
            raise CorruptResults(problems) from None
        raise


def _bucket_of(record: FileRecord) -> tuple[str, str]:
    _, source, bucket = split_table_path(record.path)
    return source, bucket


def _path_values(record: FileRecord) -> pc.Expression:
    source, bucket = _bucket_of(record)
    return (pc.field("source") == source) & (pc.field("bucket") == bucket)


def _footer_of(files: Files, record: FileRecord) -> str | None:
    try:
        return footer_sha256(lambda last: files.read(record.path, last=last))
    except FileNotFoundError:
        return None


def _is_altered(files: Files, record: FileRecord) -> bool:
    return not files.exists(record.path) or files.sha256(record.path) != record.sha256
