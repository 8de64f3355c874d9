"""Read the results of a sweep: only what the ledger names, and only if it is unaltered."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from sweep_engine.errors import CorruptResults, OutputError
from sweep_engine.shown import ShortTable, Shown
from sweep_engine.store.directory import OutputDirectory
from sweep_engine.store.inventory import take_inventory
from sweep_engine.store.layout import LEDGER, split_table_path
from sweep_engine.store.scan import TableFiles, read_schema
from sweep_engine.store.schema import curves_schema, file_metadata, runs_schema, tallies_schema

if TYPE_CHECKING:
    from sweep_engine.store.network import CallableNetwork


@dataclass(frozen=True)
class Params:
    """Parameters of runs of one bucket, in the order of its files.

    Attributes:
        source: What drew the runs.
        bucket: The compiled program that they share.
        run_id: One a row.
        step: The number of optimiser steps after which each was taken.
        theta: One flat parameter vector a row.
    """

    source: str
    bucket: str
    run_id: Int64[np.ndarray, " R"]
    step: Int64[np.ndarray, " R"]
    theta: Float32[np.ndarray, "R P"]


class Results(Shown):
    """The tables of an output directory, as they were when it was opened.

    Rows come in the order of the files' paths, and in a file in the order of writing. Reading
    raises `CorruptResults`, naming every such file, if a file was altered.

    Attributes:
        ledger: What is done, by shard, and the files that hold it.
    """

    def __init__(self, root: Path | str, schemas: Mapping[str, pa.Schema] | None = None) -> None:
        """Open a directory and compare the names and sizes of its files with the ledger.

        Args:
            root: The output directory: a folder, s3://bucket/prefix or gs://bucket/prefix.
            schemas: By table, the schema to give it while it has no rows.

        Raises:
            OutputError: There are no results there.
            CorruptResults: A file is missing, stray or of the wrong size, or an entry of the
                ledger is damaged. Names every such file.
        """
        self._directory = OutputDirectory(root)
        self._files = self._directory.files
        if not self._directory.is_ours:
            raise OutputError(f"{root}: no results here (there is no {LEDGER}/)")
        inventory = take_inventory(self._files)
        if inventory.problems:
            raise CorruptResults(sorted(inventory.problems.values()))
        self.ledger = inventory.ledger
        known = {"runs": runs_schema(), "tallies": tallies_schema(), "curves": curves_schema()}
        self._empty_schemas = known | dict(schemas or {})
        self._tables: dict[tuple[str, str | None, str | None], TableFiles] = {}

    def short_table(self) -> ShortTable:
        """Say how many rows of each source every table has."""
        rows: dict[str, Counter[str]] = {}
        for record in self.ledger.files.values():
            table, source, _ = split_table_path(record.path)
            rows.setdefault(source, Counter())[table] += record.rows
        tables = sorted({table for counts in rows.values() for table in counts})
        return ShortTable(
            f"results in {self._files.location}",
            ("source", *(f"rows of {table}" for table in tables)),
            [
                (source, *(f"{counts[table]:,}" for table in tables))
                for source, counts in sorted(rows.items())
            ],
        )

    def runs(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """The table `runs`, one row a run.

        Args:
            columns: Which columns; all by default.
            where: Which rows, such as `pc.field("source") == "sgd"`; all by default.
        """
        return self.table("runs").read(columns, where)

    def iter_runs(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As `runs`, in a stream of batches."""
        return self.table("runs").stream(columns, where)

    def tallies(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """As `runs`, the table `tallies`: one row a shard and thing counted, to be added up."""
        return self.table("tallies").read(columns, where)

    def iter_tallies(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As `tallies`, in a stream of batches."""
        return self.table("tallies").stream(columns, where)

    def curves(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """As `runs`, the table `curves`: one row a run and recorded step."""
        return self.table("curves").read(columns, where)

    def params(
        self, source: str, bucket: str | None = None, where: pc.Expression | None = None
    ) -> list[Params]:
        """The parameters of a source's runs, one record a bucket.

        Args:
            source: Which source.
            bucket: Which bucket; all of the source's by default.
            where: Which rows, by `run_id` and `step`; all by default.
        """
        return [
            _params(name, table.read(where=where))
            for name, table in self._params_buckets(source, bucket)
        ]

    def final_params(
        self, source: str, bucket: str, where: pc.Expression | None = None
    ) -> tuple[Int64[np.ndarray, " R"], Float32[np.ndarray, "R P"]]:
        """(run ids, theta) of runs of one bucket in their last stored state, by id.

        Args:
            source: Which source.
            bucket: Which bucket.
            where: Which rows, as in `params`.
        """
        parts = self.params(source, bucket, where)
        if not parts or not len(parts[0].run_id):
            return np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
        (stored,) = parts
        order = np.lexsort((stored.step, stored.run_id))
        run_id = stored.run_id[order]
        last = np.append(run_id[1:] != run_id[:-1], True)
        return run_id[last], stored.theta[order[last]]

    def iter_params(
        self,
        source: str,
        bucket: str | None = None,
        where: pc.Expression | None = None,
        *,
        batch_rows: int = 4096,
    ) -> Iterator[Params]:
        """As `params`, in a stream of records of at most `batch_rows` rows of one bucket."""
        for name, table in self._params_buckets(source, bucket):
            for batch in table.stream(where=where, batch_rows=batch_rows):
                yield _params(name, pa.Table.from_batches([batch]))

    def network(self, run_id: int) -> "CallableNetwork":
        """Give back one stored network, in its final state, as a function of inputs (N, ...).

        Raises:
            OutputError: The run is not there, or its parameters were not stored.
        """
        from sweep_engine.store.network import (
            callable_network,
        )  # it takes jax, no other reading does

        mine = pc.field("run_id") == run_id
        rows = self.runs(["source", "bucket", "setting"], mine).to_pylist()
        found = self.params(rows[0]["source"], rows[0]["bucket"], mine) if rows else []
        if not found or not len(found[0].step):
            raise OutputError(f"{self._files.location}: no parameters of run {run_id} are stored")
        last = int(np.argmax(found[0].step))
        return callable_network(self._directory, rows[0]["setting"], found[0].theta[last])

    def table(self, name: str, source: str | None = None, bucket: str | None = None) -> TableFiles:
        """The files of a table, or those of one source or bucket, to be read as one."""
        wanted = (name, source, bucket)
        if wanted not in self._tables:  # kept: it reads a footer a bucket to know its columns
            records = tuple(
                record
                for record in self.ledger.files.values()
                if _matches(split_table_path(record.path), wanted)
            )
            self._tables[wanted] = TableFiles(self._files, records, self._empty_schemas.get(name))
        return self._tables[wanted]

    def file_metadata(self, table: str, source: str, bucket: str) -> dict[str, Any]:
        """What holds for the files of a bucket: versions, device kind, lane width, layout.

        Raises:
            KeyError: The bucket has no rows in the table.
        """
        records = self.table(table, source, bucket).records
        if not records:
            raise KeyError(f"{table}/source={source}/bucket={bucket}")
        return file_metadata(read_schema(self._files, records[0]))

    def buckets(self, table: str, source: str) -> list[str]:
        """The buckets of a source that have rows in a table."""
        records = self.table(table, source).records
        return sorted({split_table_path(record.path)[2] for record in records})

    def _params_buckets(
        self, source: str, bucket: str | None
    ) -> list[tuple[tuple[str, str], TableFiles]]:
        names = self.buckets("params", source) if bucket is None else [bucket]
        tables = [((source, name), self.table("params", source, name)) for name in names]
        return [(name, table) for name, table in tables if table.records]


def open_results(root: Path | str, schemas: Mapping[str, pa.Schema] | None = None) -> Results:
    """Open the results of a sweep; see `Results`."""
    return Results(root, schemas)


def _matches(parts: tuple[str, str, str], wanted: tuple[str, str | None, str | None]) -> bool:
    return all(want in (None, part) for part, want in zip(parts, wanted, strict=True))


def _params(name: tuple[str, str], table: pa.Table) -> Params:
    theta = table["theta"].combine_chunks()
    return Params(
        *name,
        run_id=table["run_id"].to_numpy(),
        step=table["step"].to_numpy(),
        theta=theta.flatten().to_numpy().reshape(len(table), theta.type.list_size),
    )
