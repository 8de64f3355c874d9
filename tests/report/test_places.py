"""What the page filters by: where estimates and figures stand on the swept axes."""

from types import SimpleNamespace

from sweep_engine.report.drawing.figure import SweptPlace
from sweep_engine.report.places import MAX_TICKS, place_of, swept_axes

RATE, WIDTHS, STD = "sources.sgd.optimizer.learning_rate", "model.widths", "sources.sgd.init.std"


def setting(**values):
    paths = {"rate": RATE, "widths": WIDTHS, "std": STD}
    return SimpleNamespace(values={paths[name]: value for name, value in values.items()})


def plan(*settings):
    return SimpleNamespace(settings=dict(enumerate(settings)))


def test_axes_with_one_value_are_left_out_and_numbers_are_in_order():
    axes = swept_axes(
        plan(
            setting(rate=0.1, widths=[64], std=1.0),
            setting(rate=0.02, widths=[8, 8], std=1.0),
            setting(rate=1.0, widths=[64]),
            setting(),
        )
    )
    assert [(axis.label, axis.values) for axis in axes] == [
        ("learning_rate", ("0.02", "0.1", "1.0")),
        ("widths", ("[64]", "[8, 8]")),
    ]
    assert [axis.is_numeric for axis in axes] == [True, False]


def test_axes_of_one_name_keep_their_paths():
    settings = [SimpleNamespace(values={"sources.a.runs": i, "sources.b.runs": i}) for i in (1, 2)]
    assert [axis.label for axis in swept_axes(plan(*settings))] == [
        "sources.a.runs",
        "sources.b.runs",
    ]


def test_a_numeric_axis_of_many_values_is_a_range():
    (few,) = swept_axes(plan(*(setting(rate=0.1 * k) for k in range(MAX_TICKS))))
    (many,) = swept_axes(plan(*(setting(rate=0.1 * k) for k in range(MAX_TICKS + 1))))
    assert (few.is_range, many.is_range) == (False, True)


def test_shared_values_are_where_it_is_and_the_others_are_pooled():
    place = place_of([setting(rate=0.1, widths=[8]), setting(rate=0.2, widths=[8]), setting()])
    assert place == SweptPlace({WIDTHS: "[8]"}, (RATE,))
