"""Ids of settings: 31 bits of a hash, and what two settings do that share them.

Of settings with one hash the first keeps it and the others hash again. First is what was planned
before, then the order of the sweep: so ids never change, whatever a sweep grows by.
"""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

Known = Callable[[], Mapping[str, int]]
"""Gives ids that settings have already, by their digests; asked where two share one."""


def hash31(digest: str, attempt: int = 0) -> int:
    """Give the id of a setting whose content has a SHA-256.

    Args:
        digest: It, in hex.
        attempt: How many ids of it have been refused.
    """
    if attempt:
        digest = hashlib.sha256(f"{digest}/{attempt}".encode()).hexdigest()
    return int(digest[:8], 16) >> 1


def moved_ids(digests: Sequence[str], known: Known) -> dict[str, int]:
    """Say which settings have another id than their first one, by their digests.

    Args:
        digests: Of all settings, in order, each once.
        known: The ids that are kept: all of an earlier plan, or those that it moved.
    """
    by_id: dict[int, list[str]] = defaultdict(list)
    for digest in digests:
        by_id[hash31(digest)].append(digest)
    if len(by_id) == len(digests):
        return {}
    there = set(digests)
    found = {digest: kept for digest, kept in known().items() if digest in there}
    taken = set(found.values())
    # An id that no two share stays, whatever others move to.
    alone = [digest for group in by_id.values() if len(group) == 1 for digest in group]
    for digest in dict.fromkeys(itertools.chain(alone, digests)):
        if digest not in found:
            attempts = (hash31(digest, attempt) for attempt in itertools.count())
            found[digest] = next(id for id in attempts if id not in taken)
            taken.add(found[digest])
    return {digest: id for digest, id in found.items() if id != hash31(digest)}
