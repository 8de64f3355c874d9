"""A preference is the sum of its parts, exactly."""

import numpy as np
import pytest

from sweep_engine.atlas.rows import Row
from sweep_engine.atlas.splits import BOTH, INTERACTION, _kind, splits
from sweep_engine.atlas.standardised import UNKNOWN
from sweep_engine.densities import Draws, Pair
from sweep_engine.spec import Comparison

KINDS = {"depth": "architecture", "start": "initialisation", "batch": "optimiser", "task": "task"}
BASE = {"depth": "1", "start": "small", "batch": "1", "task": "a"}
COMPARISON = Comparison(source="sgd", reference="prior", observable="l2_norm")
RNG = np.random.default_rng(0)
MEAN = {"1": 0.0, "2": 1.0, "small": 0.0, "large": 0.5, "a": 3.0, "b": -2.0}


def rows(skip=()):
    found = []
    for task in "ab":
        for depth in "12":
            for start in ("small", "large"):
                if (depth, start) in skip:
                    continue
                centre = MEAN[task] + MEAN[depth] + MEAN[start]
                centre += 0.7 * (depth == "2" and start == "large")
                prior = Draws.of(RNG.normal(centre, 2, 4000))
                for batch in "12":
                    sgd = Draws.of(RNG.normal(centre - float(batch), 1, 2000))
                    levels = {"depth": depth, "start": start, "batch": batch, "task": task}
                    pair = Pair(COMPARISON, {}, (1,), (1,))
                    found.append(Row(levels, pair, UNKNOWN, UNKNOWN, np.nan,
                                     {"norm": sgd}, {"norm": prior}))  # fmt: skip
    return found


def test_the_parts_add_up_to_the_whole():
    found = list(splits(rows(), KINDS, BASE, "norm"))
    assert len(found) == 16
    for each in found:
        parts = each.parts.values()
        assert sum(part.value for part in parts) == pytest.approx(each.total.value, abs=1e-12)
        truth = {
            "architecture": MEAN[each.row.levels["depth"]] / 2,
            "initialisation": MEAN[each.row.levels["start"]] / 2,
            INTERACTION: 0.35 * (each.row.levels["depth"] == "2")
            * (each.row.levels["start"] == "large"),
            "optimiser": -float(each.row.levels["batch"]) / 2,
        }  # fmt: skip
        for name, part in each.parts.items():
            assert abs(part.value - truth[name]) <= 5 * part.stderr


def test_the_base_row_has_no_part_but_the_optimiser():
    for each in splits(rows(), KINDS, BASE, "norm"):
        if each.row.levels["depth"] == "1" and each.row.levels["start"] == "small":
            assert each.parts["architecture"].value == each.parts[INTERACTION].value == 0
            assert each.parts["architecture"].stderr == 0
            assert each.parts["optimiser"].value == each.total.value


def test_what_a_fraction_cannot_tell_apart_is_one_part():
    (missing,) = [
        dict(each.parts)
        for each in splits(rows(skip={("2", "small")}), KINDS, BASE, "norm")
        if each.row.levels == {"depth": "2", "start": "large", "batch": "1", "task": "a"}
    ]
    assert set(missing) == {BOTH, "optimiser"}
    assert not list(splits(rows(skip={("1", "small")}), KINDS, BASE, "norm"))  # no base


@pytest.mark.parametrize(
    ("paths", "kind"),
    [
        ({"task.target"}, "task"),
        ({"model.depth", "sources.sgd.init"}, "architecture"),
        ({"sources.sgd.init.scale", "sources.prior.law.scale"}, "initialisation"),
        ({"sources.sgd.batch_size"}, "optimiser"),
    ],
)
def test_where_a_factor_acts(paths, kind):
    assert _kind(paths, {"sources.prior.law.scale", "model.depth"}) == kind
