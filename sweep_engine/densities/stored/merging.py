"""Counts per function id out of tallies of any size: added up in a stream, joined by id.

Ids are fixed-width bytes, or stay in Arrow: as Python strings, millions of them would fill the
memory long before the counts do.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int, Shaped

from sweep_engine.densities.cells.ids import add_up_by_id

MAX_ROWS = 1_000_000
"""Rows that are gathered before they are added up."""


def add_up(
    batches: Iterable[pa.RecordBatch],
) -> tuple[Shaped[np.ndarray, " F"], Int[np.ndarray, " F"]]:
    """Add up the counts of every function id, a million rows at a time or more.

    Example:
        >>> batch = pa.record_batch({"function_id": ["a", "b", "a"], "count": [1, 2, 3]})
        >>> ids, counts = add_up([batch, batch])
        >>> ids.tolist(), counts.tolist()
        ([b'a', b'b'], [8, 4])

    Args:
        batches: With columns `function_id` and `count`, without nulls.

    Returns:
        The ids as bytes, sorted, and their counts.
    """
    gathered, rows = [(np.empty(0, "S1"), np.empty(0, np.int64))], 0
    for batch in batches:
        ids = fixed_width(pa.chunked_array([batch["function_id"]]))
        gathered.append((ids, batch["count"].to_numpy()))
        rows += batch.num_rows
        if rows > max(MAX_ROWS, len(gathered[0][0])):
            gathered, rows = [_together(gathered)], 0
    return _together(gathered)


def _together(
    gathered: list[tuple[np.ndarray, np.ndarray]],
) -> tuple[Shaped[np.ndarray, " F"], Int[np.ndarray, " F"]]:
    ids, counts = (np.concatenate(part) for part in zip(*gathered, strict=True))
    gathered.clear()
    ids, (sums,) = add_up_by_id(ids, [counts])
    return ids, sums


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
