"""From a file to its columns: the reader of every kind of file."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sweep_engine.data_files.columns import Columns
from sweep_engine.data_files.npz import read_npz
from sweep_engine.data_files.parquet import read_parquet
from sweep_engine.errors import FieldError

READERS: dict[str, Callable[[Path, tuple[str, ...], str], tuple[np.ndarray, np.ndarray]]] = {
    ".npz": read_npz,
    ".parquet": read_parquet,
}
"""What reads inputs and targets, by the ending of the file's name."""


def read_columns(path: Path, x: str | tuple[str, ...], y: str) -> Columns:
    """Read the columns of a task.

    Args:
        path: A .npz or Parquet file.
        x: The array or column of inputs, or the columns, one number of an example each.
        y: The array or column of targets.

    Raises:
        FieldError: the file cannot be read, lacks a column, or holds what no network can be
            given.
    """
    names = (x,) if isinstance(x, str) else x
    if y in names:
        raise FieldError(("x",), f"{y!r} is the target: a network would be given the answer")
    try:
        found = Columns(*READERS[path.suffix](path, names, y), names, y)
    except FieldError:
        raise
    except MemoryError:
        raise FieldError(("path",), f"{path.name} is larger than this machine's memory") from None
    except _of_foreign_bytes() as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0][:200]
        raise FieldError(("path",), f"{path.name} cannot be read: {reason}") from error
    found.check()
    return found


def _of_foreign_bytes() -> tuple[Any, ...]:
    """List what numpy, zipfile and pyarrow raise where a file is not what its name says."""
    import pyarrow as pa

    return (
        OSError, EOFError, TypeError, ValueError, LookupError, RuntimeError, SyntaxError,
        OverflowError, zipfile.BadZipFile, zlib.error, pa.ArrowException,
    )  # fmt: skip
