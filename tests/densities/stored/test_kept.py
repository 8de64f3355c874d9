"""Check that what was read last is not read again, and never taken for something else."""

from types import SimpleNamespace

import numpy as np
import pytest

from sweep_engine.densities.draws import MANY_DRAWS, Draws
from sweep_engine.densities.stored.kept import Kept
from sweep_engine.densities.stored.sides import Side, counted
from sweep_engine.spec import Comparison


class Stored(SimpleNamespace):
    """Stand for something told from others by which it is, as a study is."""

    __eq__, __hash__ = object.__eq__, object.__hash__


def study_of(number):
    """Stand for a study whose draws say, by their first value, which reading they are of."""
    read, rows_counted = [], []

    def draws(*asked):
        read.append(asked)
        return Draws.of(np.append(np.zeros(number - 1), float(len(read)))[::-1])

    def counts(*asked):
        rows_counted.append(asked)
        return np.array([b"a", b"b"]), np.array([len(rows_counted), 1])

    kept_draws = Kept(2**30, lambda each: each.num_bytes)
    return Stored(
        draws=draws, function_counts=counts, read=read, rows_counted=rows_counted,
        kept_draws=kept_draws, kept_cells=Kept(2, lambda _: 1), sweep=SimpleNamespace(sources={}),
    )  # fmt: skip


def side(study, name="sgd", settings=(0,), **asked):
    comparison = Comparison(source="sgd", reference="box", observable="l2_norm", **asked)
    return Side(study, name, settings, comparison)


def test_the_same_rows_are_read_once():
    study = study_of(3)
    first = side(study).draws(["l2_norm"])
    assert side(study, estimator="wasserstein").draws(["l2_norm"]) is first
    assert len(study.read) == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda study: side(study, name="box").draws(["l2_norm"]),
        lambda study: side(study, settings=(1,)).draws(["l2_norm"]),
        lambda study: side(study).draws(["test_error"]),
        lambda study: side(study).draws(["l2_norm", "test_error"]),
        lambda study: side(study, given="fit").draws(["l2_norm"]),
        lambda study: side(study, where={"steps": (0, 9)}).draws(["l2_norm"]),
        lambda study: side(study, where={"steps": (0, 8)}).draws(["l2_norm"]),
        lambda study: side(study).draws(["l2_norm"], in_order=True),
    ],
)
def test_other_rows_are_read_anew(other):
    study = study_of(3)
    side(study).draws(["l2_norm"])
    side(study, where={"steps": (0, 7)}).draws(["l2_norm"])
    found = other(study)
    assert len(study.read) == 3
    assert found.values.max() == 3.0


def test_many_draws_are_in_order_unless_rows_must_stay_beside_those_of_another_column():
    study = study_of(MANY_DRAWS)
    assert side(study).draws(["l2_norm"]).values[0] == 1.0
    assert side(study).draws(["l2_norm"], in_order=True).values[-1] == 2.0
    few = study_of(3)
    assert side(few).draws(["l2_norm"], in_order=True).values[0] == 1.0


def test_functions_are_counted_once_for_a_pair_and_apart_for_other_studies():
    study, other = study_of(3), study_of(3)
    first = counted(side(study), side(study, name="box"))
    assert counted(side(study, estimator=None), side(study, name="box")) is first
    assert len(study.rows_counted) == 2
    apart = counted(side(study), side(other, name="box"))
    assert len(other.rows_counted) == 1
    assert apart is not first
    assert counted(side(study, given="fit"), side(study, name="box", given="fit")) is not first


def test_what_does_not_fit_is_not_kept_and_the_oldest_goes_first():
    kept, made = Kept(10, size=len), []

    def of(key, value):
        return kept.of(key, lambda: made.append(key) or value)

    of("large", "x" * 11), of("large", "x" * 11)
    of("a", "aaaaa"), of("b", "bbbbb"), of("a", "?"), of("c", "ccccc")
    assert (of("a", "?"), of("c", "?"), of("b", "new")) == ("aaaaa", "ccccc", "new")
    assert made == ["large", "large", "a", "b", "c", "b"]
