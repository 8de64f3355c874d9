"""The committed table of the nearest-neighbour KL's bias, and what is said on its strength."""

import importlib.util
import json
import math
from pathlib import Path

import pytest

from sweep_engine.densities.points.neighbours import BIAS, NUM_NEIGHBOURS, NearestNeighbours
from tests.statistics import NUM_STDERRS

TABLE = json.loads((Path(__file__).parent / "knn_bias.json").read_text())
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "knn_bias.py"

TRUST = NearestNeighbours.trust


def script():
    spec = importlib.util.spec_from_file_location("knn_bias", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row_of(dimension, truth):
    (row,) = (r for r in TABLE["rows"] if (r["dimension"], r["truth"]) == (dimension, truth))
    return row


@pytest.mark.parametrize(("dimension", "truth"), [(1, 2.0), (2, 0.5), (5, 1.0)])
def test_the_table_is_what_its_script_gives(dimension, truth):
    again, row = script().row(dimension, truth), row_of(dimension, truth)
    assert (TABLE["num_draws"], TABLE["num_neighbours"]) == (4000, NUM_NEIGHBOURS)
    assert again["mean"] == pytest.approx(row["mean"], abs=2e-4)


def test_the_table_covers_one_to_twenty_dimensions():
    assert {row["dimension"] for row in TABLE["rows"]} == {1, 2, 3, 5, 10, 20}


def test_where_it_is_trusted_it_falls_short_by_less_than_is_allowed_for():
    """Within the table's own noise: t of 5 degrees of freedom, 12 cells."""
    for row in TABLE["rows"]:
        trusted = row["dimension"] <= TRUST.max_dimension and row["truth"] <= TRUST.max_nats
        if trusted:
            assert row["truth"] - row["mean"] < BIAS * row["truth"] + 4 * row["stderr"], row
    outside = row_of(20, 1.0)
    assert outside["truth"] - outside["mean"] > BIAS + 4 * outside["stderr"], "hence the range"


@pytest.mark.parametrize(("dimension", "seen"), [(1, 1.90), (5, 1.56), (20, 1.27)])
def test_the_values_measured_before(dimension, seen):
    """At truth 2, with 4,000 draws: 1.90, 1.56 and 1.27, from single experiments."""
    row = row_of(dimension, 2.0)
    single = row["stderr"] * math.sqrt(TABLE["repeats"])
    assert abs(row["mean"] - seen) < NUM_STDERRS * math.hypot(single, row["stderr"])


def test_it_saturates_near_five():
    assert all(4 < row_of(d, 8.0)["mean"] < 6 for d in (1, 2, 3, 5, 10, 20))
