"""Output directories on a disk and on an S3 server that answers many requests at a time."""

import pytest

from tests.s3 import endpoint_of, new_place

__all__ = ["endpoint_of"]


@pytest.fixture
def place(where, tmp_path, endpoint_of):
    """A new place: `where`, a parameter of the test, is `local` or the name of a server."""
    with new_place(where, tmp_path, endpoint_of) as place:
        yield place
