"""The storage operations that everything in the store goes through, and where they are real."""

import re
import stat
from pathlib import Path

from sweep_engine.errors import OutputError, explain
from sweep_engine.store.files.files import Files
from sweep_engine.store.files.local import LocalFiles

__all__ = ["Files", "LocalFiles", "open_files"]

_ADDRESS = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]+):/")


def open_files(root: Path | str) -> Files:
    """Open an output directory: a folder, or an address `s3://bucket/prefix`, `gs://...`.

    Nothing is read or written yet.

    Raises:
        OutputError: No folder can be there, the address is of another kind or malformed, or its
            client is not installed.
    """
    address = _ADDRESS.match(str(root))
    if address is None:
        _check_folder(root)
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


def _check_folder(root: Path | str) -> None:
    """See that a folder is there or could be."""
    if not str(root):
        raise OutputError("the output directory has no name: give a folder")
    try:
        if not stat.S_ISDIR(Path(root).stat().st_mode):
            raise OutputError(f"{root} is a file: give a folder")
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(explain(error)) from error
