"""Counts per function id out of tallies of any size: added up in a stream, joined by id.

Ids are fixed-width bytes, or stay in Arrow: as Python strings, millions of them would fill the
memory long before the counts do.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Shaped

MAX_ROWS = 1_000_000
"""Rows that are gathered before they are added up."""


def add_up(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Add up the counts of every function id, a million rows at a time.

    Example:
        >>> batch = pa.record_batch({"function_id": ["a", "b", "a"], "count": [1, 2, 3]})
        >>> add_up([batch, batch]).sort_by("function_id").to_pydict()
        {'function_id': ['a', 'b'], 'count': [8, 4]}

    Args:
        batches: With columns `function_id` and `count`.

    Returns:
        A table of the same columns, one row an id, in no order.
    """
    schema = pa.schema([("function_id", pa.string()), ("count", pa.int64())])
    total, gathered, rows = schema.empty_table(), [], 0
    for batch in batches:
        gathered.append(pa.Table.from_batches([batch]).select(schema.names).cast(schema))
        rows += batch.num_rows
        if rows > max(MAX_ROWS, len(total)):
            total, gathered, rows = _grouped([total, *gathered], schema), [], 0
    return _grouped([total, *gathered], schema)


def _grouped(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    summed = pa.concat_tables(tables).group_by("function_id").aggregate([("count", "sum")])
    return summed.rename_columns({"count_sum": "count"}).select(schema.names)


def fixed_width(ids: pa.ChunkedArray) -> Shaped[np.ndarray, " F"]:
    """Give ids as bytes of one width: they sort fast and take no more room than they need.

    Example:
        >>> fixed_width(pa.chunked_array([["ab", "cd"]])).tolist()
        [b'ab', b'cd']

    Args:
        ids: ASCII text without nulls.
    """
    widths = pc.unique(pc.binary_length(ids)).to_pylist()
    if len(widths) != 1:
        return np.array(ids.to_pylist(), "S")
    packed = ids.combine_chunks().cast(pa.binary()).cast(pa.binary(widths[0]))
    return np.frombuffer(packed.buffers()[1], f"S{widths[0]}")[packed.offset :][: len(packed)]
