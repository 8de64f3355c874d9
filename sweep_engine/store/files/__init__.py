"""The storage operations that everything in the store goes through, and where they are real."""

import re
from pathlib import Path

from sweep_engine.errors import OutputError
from sweep_engine.store.files.files import Files
from sweep_engine.store.files.local import LocalFiles

__all__ = ["Files", "LocalFiles", "open_files"]

_ADDRESS = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]+):/")


def open_files(root: Path | str) -> Files:
    """Open an output directory: a folder, or an address `s3://bucket/prefix`, `gs://...`.

    Nothing is read or written yet.

    Raises:
        OutputError: The address is of another kind or malformed, or its client is not installed.
    """
    address = _ADDRESS.match(str(root))
    if address is None:
        return LocalFiles(root)
    if isinstance(root, Path):
        raise OutputError(f"{root}: give an address as text, a Path drops one of its slashes")
    if address["scheme"] not in ("s3", "gs"):
        raise OutputError(f"{root}: expected a folder, s3://bucket/prefix or gs://bucket/prefix")
    try:
        from sweep_engine.store.files.objects import ObjectFiles

        return ObjectFiles(root)
    except ImportError as error:
        scheme = address["scheme"]
        raise OutputError(
            f"{root}: {error.name} is not installed: pip install 'sweep-engine[{scheme}]'"
        ) from error
