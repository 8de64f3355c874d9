"""What is made once in a run of the tests, by whichever of pytest's workers needs it first."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

RECORD = "made.json"


def common_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder that all of pytest's workers share."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def controller() -> int:
    """The process that ends last of pytest's: this one, or that which started the workers."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Keep the other workers out meanwhile; a worker that dies lets the next one in."""
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def made_once(folder: Path, make: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    """Make a folder's contents unless another worker has; what `make` returned then."""
    folder.mkdir(exist_ok=True)
    with alone(folder / "lock"):
        made = made_before(folder)
        if made is None:
            made = make(folder)
            (folder / RECORD).write_text(json.dumps(made))
        return made


def made_before(folder: Path) -> dict[str, str] | None:
    """What `make` returned of a folder; None if it was not made."""
    record = folder / RECORD
    return json.loads(record.read_text()) if record.exists() else None
