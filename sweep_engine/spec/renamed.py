"""Words of a sweep file that were renamed.

Files with the old word stay readable, and a sweep's id is that of the words it was first written
with: a renamed word changes no id.
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


def first_written(data: dict[str, Any]) -> dict[str, Any]:
    """Put the old words back into a sweep's plain data.

    Example:
        >>> first_written({"compare": [{"estimator": "decomposition"}, {"estimator": "ks"}]})
        {'compare': [{'estimator': 'ledger'}, {'estimator': 'ks'}]}

    Args:
        data: As `dump_sweep` gives it.
    """
    for renamed in RENAMED:
        data = _restored(data, renamed.path, renamed)
    return data


def _restored(data: Any, path: tuple[str, ...], renamed: Renamed) -> Any:
    if not path:
        return renamed.old if data == renamed.new else data
    key, rest = path[0], path[1:]
    if key == "*":
        return [_restored(each, rest, renamed) for each in data]
    return data | {key: _restored(data[key], rest, renamed)} if key in data else data
