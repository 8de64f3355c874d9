"""Estimates with what they are of, and with what is corrected for how many were made."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from sweep_engine.densities.estimate import Estimate, to_json
from sweep_engine.densities.stored.pairing import Pair
from sweep_engine.shown import ShortTable, Shown
from sweep_engine.store import Files
from sweep_engine.store.encoding import to_sealed_parquet
from sweep_engine.store.layout import COMPARISONS


@dataclass(frozen=True)
class Compared(Shown):
    """One estimate of one comparison at one point of the axes.

    Attributes:
        pair: What was compared.
        estimate: The number. Its interval is of this setting by itself.
        p_adjusted: Its p-value, adjusted for all that were made with it (Holm).
        num_settings: Settings of the comparison, each with such an estimate.
        wide: The number with the interval that holds at once with those of all settings
            (Bonferroni); None where there is one setting.
    """

    pair: Pair
    estimate: Estimate
    p_adjusted: float | None = None
    num_settings: int = 1
    wide: Estimate | None = None

    @property
    def simultaneous(self) -> tuple[float, float] | None:
        """The ends of the interval that holds at once with those of all settings."""
        return None if self.wide is None else (self.wide.low, self.wide.high)

    def at_once(self) -> "Compared":
        """With the interval that holds at once with those of all settings, if there are several.

        And with the value that goes with it: a bound that holds at once is another one.
        """
        if self.wide is None:
            return self
        wide = self.wide
        estimate = replace(self.estimate, value=wide.value, low=wide.low, high=wide.high)
        return replace(self, estimate=estimate)

    def short_table(self) -> ShortTable:
        """Say what was compared, and the estimate."""
        comparison = self.pair.comparison
        sides = dict.fromkeys((comparison.source, comparison.reference))
        title = f"{' against '.join(sides)}, {comparison.observable}"
        label = self.pair.label()
        table = self.estimate.short_table()
        return replace(table, title=f"{title}, {label}" if label else title)

    def to_dict(self) -> dict[str, Any]:
        """Give the estimate's fields, and what was corrected, as strict JSON."""
        low, high = self.simultaneous or (None, None)
        return self.estimate.to_dict() | {
            "p_adjusted": self.p_adjusted,
            "num_settings": self.num_settings,
            "low_simultaneous": to_json(low),
            "high_simultaneous": to_json(high),
        }


def write_comparisons(files: Files, compared: Sequence[Compared]) -> None:
    """Write `comparisons.parquet`: each estimate with everything needed to redo it."""
    rows = []
    for each in compared:
        fields = each.to_dict()
        numbers = {k: float(v) for k, v in fields.items() if k in _NUMBERS and v is not None}
        rows.append(
            {
                **_comparison_columns(each.pair),
                "at": json.dumps(each.pair.at, sort_keys=True),
                **{k: v for k, v in fields.items() if k not in _NUMBERS},
                **numbers,
            }
        )
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    files.write(COMPARISONS, to_sealed_parquet(table))


_COMPARISON = (
    "source", "reference", "observable", "given", "by", "over", "where", "match",
    "estimator", "at",
)  # fmt: skip


def _comparison_columns(pair: Pair) -> dict[str, str | None]:
    """Give the comparison as columns of text: its parts, and the axis values, as JSON."""
    comparison = pair.comparison.model_dump(mode="json", exclude={"at"})
    return {
        name: value if isinstance(value, str | None) else json.dumps(value, sort_keys=True)
        for name, value in comparison.items()
    }


_NUMBERS = (
    "value", "low", "high", "confidence", "n_eff_source", "n_eff_reference",
    "null_value", "null_low", "null_high", "p_value",
    "low_simultaneous", "high_simultaneous", "p_adjusted",
)  # fmt: skip

_COUNTS = ("num_source", "num_reference", "seed", "num_settings")

_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in _COMPARISON),
        pa.field("name", pa.string()),
        *(pa.field(name, pa.float64()) for name in _NUMBERS),
        *(pa.field(name, pa.int64()) for name in _COUNTS),
        *(pa.field(name, pa.string()) for name in ("unit", "method")),
        pa.field("warnings", pa.list_(pa.string())),
    ]
)
