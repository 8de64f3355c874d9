"""Seals: a file holds the SHA-256 of all of its bytes, in which the seal itself is zeros."""

import hashlib

UNSEALED = "0" * 64
"""What stands in a file in the place of its seal, until there is one; after all else like it."""


def seal(data: bytes) -> bytes:
    """Put a file's seal in its place.

    Raises:
        ValueError: the file has no place for one.
    """
    before, place, after = data.rpartition(UNSEALED.encode())
    if not place:
        raise ValueError("there is no place for a seal")
    return before + hashlib.sha256(data).hexdigest().encode() + after


def is_whole(data: bytes, found: str) -> bool:
    """Say whether a file with a seal is the one that was sealed.

    >>> sealed = seal(b"some data, sealed by " + UNSEALED.encode())
    >>> is_whole(sealed, sealed[-64:].decode())
    True
    >>> is_whole(sealed.replace(b"some", b"more"), sealed[-64:].decode())
    False
    """
    before, place, after = data.rpartition(found.encode())
    unsealed = before + UNSEALED.encode() + after
    return bool(place) and hashlib.sha256(unsealed).hexdigest() == found
