"""Words of a sweep file that have changed: the former ones are read, and ids are made of them.

A word is changed where it had two meanings. What a sweep *is* has not changed with it, so the
ids of its settings and buckets, by which stored results are found, stay what they were.
"""

from collections.abc import Mapping
from typing import Any

FORMER: Mapping[str, Mapping[str, str]] = {"implementation": {"xla": "reference"}}
"""By key: what a word was called before."""


def present_word(key: str, value: Any) -> Any:
    """Give today's word for a value of a key, which may be a former one."""
    present = {former: word for word, former in FORMER[key].items()}
    return present.get(value, value) if isinstance(value, str) else value


def in_former_words(data: Any) -> Any:
    """Copy plain data with every changed word as it was called before: what ids are made of."""
    if isinstance(data, list):
        return [in_former_words(item) for item in data]
    if not isinstance(data, dict):
        return data
    return {
        key: FORMER[key].get(value, value)
        if key in FORMER and isinstance(value, str)
        else in_former_words(value)
        for key, value in data.items()
    }
