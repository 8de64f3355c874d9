"""Output directories on a disk and on an S3 server that answers many requests at a time."""

import pytest

from tests.s3 import endpoint_of, new_place

__all__ = ["endpoint_of"]


@pytest.fixture
def place(request, tmp_path, endpoint_of):
    """A new place, `local` or on the server that the test's parameter `where` names."""
    with new_place(request.getfixturevalue("where"), tmp_path, endpoint_of) as place:
        yield place
