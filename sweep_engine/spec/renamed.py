"""Words of a sweep file that were renamed, and keys that were added.

Files with the old word stay readable, and a sweep's id is that of the words it was first written
with: a renamed word changes no id, nor does a key of today that is left out.
"""

from typing import Any, NamedTuple

from pydantic import BeforeValidator


class Renamed(NamedTuple):
    """A value of one key that has another name today.

    Attributes:
        path: The key, from the top of the sweep; `*` stands for every place of a list.
        old: The word that stays readable, and in ids.
        new: The word of today.
    """

    path: tuple[str, ...]
    old: str
    new: str

    def of_today(self, word: Any) -> Any:
        """Give the new word for the old one, and any other as it is."""
        return self.new if word == self.old else word

    def reader(self) -> BeforeValidator:
        """Read the old word as the new one."""
        return BeforeValidator(self.of_today)


ESTIMATOR = Renamed(("compare", "*", "estimator"), "ledger", "decomposition")
"""*Ledger* is the record of committed shards alone."""

IMPLEMENTATION = Renamed(("execution", "implementation"), "reference", "xla")
"""*Reference* is the source compared with alone."""

RENAMED = (ESTIMATOR, IMPLEMENTATION)


ADDED = (("sources", "*", "record"),)
"""Keys that came after the first release, `*` for every member: where they are null, ids are made
without them."""


def first_written(data: dict[str, Any]) -> dict[str, Any]:
    """Put the old words back into a sweep's plain data, and take null keys of today out.

    Example:
        >>> first_written({"compare": [{"estimator": "decomposition"}, {"estimator": "ks"}]})
        {'compare': [{'estimator': 'ledger'}, {'estimator': 'ks'}]}

    Args:
        data: As `dump_sweep` gives it.
    """
    for renamed in RENAMED:
        data = _restored(data, renamed.path, renamed)
    for path in ADDED:
        data = _without_null(data, path)
    return data


def _restored(data: Any, path: tuple[str, ...], renamed: Renamed) -> Any:
    if not path:
        return renamed.old if data == renamed.new else data
    key, rest = path[0], path[1:]
    if key == "*":
        return [_restored(each, rest, renamed) for each in data]
    return data | {key: _restored(data[key], rest, renamed)} if key in data else data


def _without_null(data: Any, path: tuple[str, ...]) -> Any:
    key, rest = path[0], path[1:]
    if not isinstance(data, dict):
        return data
    if not rest:
        return {name: value for name, value in data.items() if name != key or value is not None}
    chosen = data if key == "*" else {key: data[key]} if key in data else {}
    return data | {name: _without_null(value, rest) for name, value in chosen.items()}
