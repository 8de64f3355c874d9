"""Results in memory: rows of a sweep are many small selections from the same few columns."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sweep_engine.densities import Study
from sweep_engine.store import Results

_ADDRESS = ("source", "bucket", "setting", "unit", "log_weight", "status", "fit")
_OF_ALL_DRAWS = "function"
"""Name of the tallies of all functions drawn: as many as draws, and not given a fit."""


class HeldResults(Results):
    """Results of some sources, of which some columns are read once."""

    def __init__(self, results: Results, sources: Sequence[str], columns: Sequence[str]) -> None:
        vars(self).update(vars(results))
        known = results.table("runs").schema.names
        names = [name for name in (*_ADDRESS, "function_id", *columns) if name in known]
        mine = pc.field("source").isin(list(sources))
        self._runs = results.runs(list(dict.fromkeys(names)), mine)
        self._tallies = results.tallies(where=mine & (pc.field("what") != _OF_ALL_DRAWS))

    def runs(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """As of results, from memory where the columns are held."""
        if columns is None or not set(columns) <= set(self._runs.column_names):
            return super().runs(columns, where)
        return _chosen(self._runs, columns, where)

    def tallies(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """As of results, without those of all functions drawn."""
        return _chosen(self._tallies, columns or self._tallies.column_names, where)

    def iter_tallies(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As `tallies`, in batches."""
        yield from self.tallies(columns, where).to_batches()


def held(study: Study, sources: Sequence[str], columns: Sequence[str]) -> Study:
    """Read some columns of some sources once, for many selections."""
    return Study(HeldResults(study.results, sources, columns), study.plan)


def _chosen(table: pa.Table, columns: Sequence[str], where: pc.Expression | None) -> pa.Table:
    chosen = table if where is None else table.filter(where)
    return chosen.select(list(columns))
