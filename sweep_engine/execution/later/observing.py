"""Observables of networks that are stored: columns are added to `runs`, nothing is trained.

`sweep.json` says which observables the rows have. A file of `runs` that lacks columns of one is
work to be done: its networks are observed, and a file with the columns takes its place by an
entry of the ledger, as in a compaction. So an interrupted `observe` goes on where it was, and
runs that come later are given the same columns.
"""

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float32
from pydantic import TypeAdapter, ValidationError

from sweep_engine.comparability import columns_fitted_on
from sweep_engine.errors import CorruptResults, Interrupted, OutputError, SpecError
from sweep_engine.execution.later.bases import basis_of
from sweep_engine.execution.programs.programs import Programs, compilation_cache
from sweep_engine.observables import (
    FittedObservable,
    Observable,
    columns_of,
    is_fitted_on,
    observables,
)
from sweep_engine.planning import plan
from sweep_engine.sources import Bucket, Control, observe_stored
from sweep_engine.spec import Sweep
from sweep_engine.spec.observables import Observables, merge
from sweep_engine.store import (
    OutputDirectory,
    Results,
    finish_publishing,
    open_results,
    read_ledger,
)
from sweep_engine.store.commit import commit
from sweep_engine.store.layout import OBSERVED_PREFIX, split_table_path
from sweep_engine.store.ledger import FileRecord
from sweep_engine.store.manifest import (
    Manifest,
    manifest_of,
    read_previous,
    write_manifest,
)
from sweep_engine.store.rows import observed_cells
from sweep_engine.store.scan import read_schema
from sweep_engine.store.schema import observable_fields


@dataclass(frozen=True)
class Observed:
    """What `observe` did.

    Attributes:
        files: Files of `runs` that were given columns.
        rows: Their rows.
        without_params: Rows among them whose parameters are not stored: their cells are null.
    """

    files: int
    rows: int
    without_params: int


def observe(
    out: Path | str,
    asked: Sequence[Any] = (),
    *,
    report: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Observed:
    """Add observables to the stored networks of a sweep, without training again.

    Args:
        out: The output directory.
        asked: Names, specifications or objects as in a sweep's `observables`; those that are
            there already are left as they are. With none, what an earlier call left is done.
        report: Called with a line after every file.
        should_stop: Asked between files, and in them between blocks of networks.

    Raises:
        SpecError: an observable is not valid or does not fit the task or model; nothing was
            written.
        OutputError: there is no sweep, it is in use, or it stores no parameters.
        Interrupted: `should_stop` said so; what is done is kept.
    """
    directory = OutputDirectory(out)
    previous = read_previous(directory)
    if previous is None:
        raise OutputError(f"{out}: no sweep here")
    manifest = manifest_of(previous)
    sweep = _with(manifest.plan.sweep, asked)
    if sweep.store.params == "none":
        raise OutputError(f"{out}: `store: {{params: none}}`: there are no networks to observe")
    planned = plan(sweep, manifest.plan.shards, lambda: manifest.plan.moved_ids)
    grown = replace(manifest, plan=planned)
    compilation_cache()
    work = _Work(directory, grown)
    work.check(sweep.observables[len(manifest.plan.sweep.observables) :])
    with directory.lock():
        write_manifest(directory, grown, previous)
        return work.run(report, Control(should_stop=should_stop))


def observe_late(
    directory: OutputDirectory, manifest: Manifest, should_stop: Callable[[], bool]
) -> None:
    """Compute the observables that need all runs, holding the lock.

    Raises:
        Interrupted: `should_stop` said so; what is done is kept.
    """
    _Work(directory, manifest).run(lambda _: None, Control(should_stop=should_stop))


def _with(sweep: Sweep, asked: Sequence[Any]) -> Sweep:
    try:
        given = TypeAdapter(Observables).validate_python(tuple(asked))
    except ValidationError as error:
        raise SpecError([f"{e['msg']} ({e['input']!r})" for e in error.errors()]) from error
    merged = merge(sweep.observables, given)
    there: set[str] = set()
    for one in merged:
        names = {name for name, _ in columns_of(one)}
        if both := sorted(names & there):
            raise SpecError([f"an observable of other settings fills the column {both[0]} already"])
        there |= names
    return sweep.model_copy(update={"observables": merged})


@dataclass(frozen=True)
class _Work:
    """The files of `runs` that lack columns, and the programs that compute them."""

    directory: OutputDirectory
    manifest: Manifest

    @cached_property
    def programs(self) -> Programs:
        """The buckets without observables, whatever classes theirs may be of."""
        bare = self.manifest.plan.sweep.model_copy(update={"observables": ()})
        return Programs(
            plan(bare, self.manifest.plan.shards, lambda: self.manifest.plan.moved_ids),
            self.manifest.frozen,
        )

    @cached_property
    def results(self) -> Results:
        return open_results(self.directory.root)

    def check(self, new: Sequence[Any]) -> None:
        """Refuse observables that cannot be computed of these networks."""
        problems: dict[str, None] = {}
        for name in self.manifest.plan.buckets:
            bucket = self.programs.of(name).bucket
            for observable in observables(tuple(new)):
                if problem := _problem(observable, bucket):
                    column = observable.columns[0].name
                    problems[f"{bucket.setting.source}: observable {column}: {problem}"] = None
        for one in new:
            source = one.fit_source
            if source is not None and source not in self.manifest.plan.sweep.sources:
                problems[f"fitted_on: no source named {source!r}"] = None
        if problems:
            raise SpecError(list(problems))

    def run(self, report: Callable[[str], None], control: Control) -> Observed:
        files = self.directory.files
        ledger = read_ledger(files)
        finish_publishing(files, ledger)
        todo = [(r, missing) for r in ledger.files.values() if r.table == "runs"
                and (missing := self._missing(r))]  # fmt: skip
        opened: dict[tuple[str, tuple[str, ...]], Bucket] = {}
        rows = without = 0
        for i, (record, missing) in enumerate(todo):
            _, _, name = split_table_path(record.path)
            key = name, tuple(column for one in missing for column, _ in columns_of(one))
            if key not in opened:
                opened[key] = self._open(name, missing)
            try:
                without += self._add_columns(record, opened[key], control)
            except Interrupted as error:
                raise Interrupted("interrupted; what is done is kept, the same goes on") from error
            rows += record.rows
            report(f"{i + 1:,}/{len(todo):,} files, {rows:,} rows")
        return Observed(len(todo), rows, without)

    def _missing(self, record: FileRecord) -> list[Any]:
        there = set(read_schema(self.directory.files, record).names)
        return [
            one
            for one in self.manifest.plan.sweep.observables
            if not {name for name, _ in columns_of(one)} <= there
        ]

    def _open(self, name: str, missing: Sequence[Any]) -> Bucket:
        bucket = self.programs.of(name).bucket
        return replace(bucket, observed=[self._observable(one, bucket) for one in missing])

    def _observable(self, named: Any, bucket: Bucket) -> Observable:
        (observable,) = observables((named,))
        if not isinstance(observable, FittedObservable):
            return observable
        size = self.manifest.plan.sweep.sources[named.fit_source].unit_size
        files, network = self.directory.files, bucket.network
        return observable.on_basis(basis_of(files, self.results, named, observable, network, size))

    def _add_columns(self, record: FileRecord, bucket: Bucket, control: Control) -> int:
        """Replace a file by one with more columns; returns how many rows have no parameters."""
        table = _read(self.directory, record)
        _, source, name = split_table_path(record.path)
        run_id = table["run_id"].to_numpy()
        stored, theta = self._params(source, name, run_id)
        settings = self.manifest.plan.settings
        values = observe_stored(bucket, stored, theta, settings, control)
        columns = [column for observable in bucket.observed for column in observable.columns]
        place = np.searchsorted(stored, run_id)
        known = np.isin(run_id, stored)
        fitted = columns_fitted_on(self.manifest.plan.sweep, source)
        for field in observable_fields(columns):
            kept = known
            if field.name in fitted:
                size = self.manifest.plan.sweep.sources[source].unit_size
                kept = known & ~is_fitted_on(run_id, size)
            cells = observed_cells(values.get(field.name), place, kept, field.type)
            table = table.append_column(field, cells)
        content = record.sha256 + ",".join(column.name for column in columns)
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        stem = re.sub("(-[0-9a-f]{16})?[.]parquet$", "", record.path)
        commit(
            self.directory.files,
            f"{OBSERVED_PREFIX}{digest}",
            {f"{stem}-{digest}.parquet": table},
            replaces=(record.path,),
            receipt={"columns": [column.name for column in columns]},
        )
        return int((~known).sum())

    def _params(
        self, source: str, name: str, run_id: np.ndarray
    ) -> tuple[np.ndarray, Float32[np.ndarray, "R P"]]:
        low, high = int(run_id.min()), int(run_id.max())
        where = (pc.field("run_id") >= low) & (pc.field("run_id") <= high)
        stored, theta = self.results.final_params(source, name, where)
        mine = np.isin(stored, run_id)
        return stored[mine], theta[mine]


def _problem(observable: Observable, bucket: Bucket) -> str | None:
    if bucket.has_own_targets:
        return "chains that start at teachers have labels of their own, which are not stored"
    return observable.problem(bucket.task, bucket.setting.model)


def _read(directory: OutputDirectory, record: FileRecord) -> pa.Table:
    data = directory.files.read(record.path)
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise CorruptResults([f"{record.path}: is not what was committed"])
    return pq.ParquetFile(io.BytesIO(data)).read()
