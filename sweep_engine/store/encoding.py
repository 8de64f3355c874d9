"""Arrow tables as Parquet bytes, and the digest by which a reader knows a footer."""

import hashlib
import io
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from sweep_engine.store.seals import UNSEALED, is_whole, seal

ROW_GROUP_BYTES = 16 * 2**20

_TAIL_BYTES = 8  # the footer's length in 4 bytes, then the magic word
_MOST_FOOTERS = 16 * 2**10


_SEAL = "seal"


def to_sealed_parquet(table: pa.Table) -> bytes:
    """Encode a table that no entry of the ledger will name: its file's metadata holds its seal."""
    return seal(to_parquet(table, {_SEAL: UNSEALED}))


def is_as_sealed(data: bytes) -> bool | None:
    """Say whether a Parquet file is as it was sealed; None where it has no seal."""
    found = (pq.read_metadata(io.BytesIO(data)).metadata or {}).get(_SEAL.encode())
    return None if found is None else is_whole(data, found.decode("ascii", "replace"))


def to_parquet(table: pa.Table, file_metadata: Mapping[str, str] | None = None) -> bytes:
    """Encode a table: zstd, page checksums, row groups near 16 MB.

    Texts repeat and have a dictionary. Numbers have none: most differ from row to row, and of
    those that do not, zstd makes as little. Vectors of parameters share their exponents: they are
    stored byte plane by byte plane (byte_stream_split).

    Args:
        table: What to encode.
        file_metadata: What the file holds beside the schema's own metadata.
    """
    vectors = [
        f"{field.name}.list.element"
        for field in table.schema
        if pa.types.is_fixed_size_list(field.type)
    ]
    texts = [
        field.name
        for field in table.schema
        if pa.types.is_string(field.type) or pa.types.is_binary(field.type)
    ]
    sink = pa.BufferOutputStream()  # a file of Python's would take its lock for every write
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        use_dictionary=texts,
        use_byte_stream_split=vectors or False,
        write_page_checksum=True,
    ) as writer:
        writer.write_table(table, row_group_size=_row_group_rows(table))
        writer.add_key_value_metadata(dict(file_metadata or {}))
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def footer_sha256(read_last: Callable[[int], bytes]) -> str:
    """The SHA-256 of a Parquet footer, in hex.

    A page checksum says nothing of the footer, where one flipped bit can turn a column into
    another; the whole file's hash does, but costs reading all of it.

    Args:
        read_last: Gives the last n bytes of the file, or all if it has fewer.
    """
    tail = read_last(_MOST_FOOTERS)
    length = int.from_bytes(tail[-_TAIL_BYTES:][:4], "little") + _TAIL_BYTES
    footer = tail[-length:] if length <= len(tail) else read_last(length)
    return hashlib.sha256(footer).hexdigest()


def _row_group_rows(table: pa.Table) -> int:
    rows: int = ROW_GROUP_BYTES * table.num_rows // max(1, table.nbytes)
    return max(1, rows)
