"""Reckon how long the answers to a sweep's comparisons take, before any is made."""

from sweep_engine.comparability import split_columns
from sweep_engine.densities.comparing import chosen_estimators, pairs_of
from sweep_engine.densities.registry import SUITED, suited_to
from sweep_engine.densities.stored.pairing import Pair
from sweep_engine.densities.stored.sides import sides_of
from sweep_engine.densities.stored.study import Study
from sweep_engine.errors import IncomparableSources
from sweep_engine.spec import Comparison

ROWS_A_SECOND = 50_000
"""Rows that one core reads and bins in a second: 65,000 were measured of a column with 2 million.

Estimators whose work grows faster than their rows look at a sample of them.
"""


def seconds_to_answer(study: Study) -> float:
    """Reckon what `answer_all` takes on one core, right to a factor of a few."""
    return sum(_comparison_seconds(study, comparison) for comparison in study.sweep.compare)


def _comparison_seconds(study: Study, comparison: Comparison) -> float:
    sides = {comparison.source, comparison.reference}
    table = "tallies" if comparison.observable == "function" else "runs"
    rows = sum(_num_rows(study, table, source) for source in sides)
    own = sum(_pair_seconds(study, pair) for pair in pairs_of(study, comparison))
    return own + rows / ROWS_A_SECOND


def _num_rows(study: Study, table: str, source: str) -> int:
    return sum(record.rows for record in study.results.table(table, source).records)


def _pair_seconds(study: Study, pair: Pair) -> float:
    try:
        chosen = chosen_estimators(*sides_of(study, pair))
    except IncomparableSources:
        return 0.0  # it is refused at once
    if chosen == (SUITED,):
        chosen = suited_to(len(split_columns(pair.comparison.observable)))
    return sum(each.seconds for each in chosen)
