"""The figure of what was recorded on the way."""

import numpy as np

from sweep_engine.densities import Study
from sweep_engine.execution import run
from sweep_engine.report.figures.curves import _is_regular, curve_figures
from sweep_engine.report.figures.recorded import recorded_figures
from sweep_engine.spec import Sweep, settings
from sweep_engine.spec.sweep import Axes
from sweep_engine.store import open_results

SWEEP = Sweep(
    name="recorded",
    task={"kind": "factorisation"},
    model={"kind": "scalar_factorisation"},
    accept={"train_loss": 1e-8},
    sources={
        "gd": {
            "kind": "train",
            "init": {"kind": "gaussian"},
            "stop": {"max_steps": 30, "fit": False},
            "record": {"observables": ["balance", "norms"], "every": 10},
            "runs": 5,
        },
        "box": {"kind": "prior", "law": {"kind": "box"}, "draws": 16},
    },
    axes={"sources.gd.optimizer.learning_rate": [0.05, 0.1]},
)


def test_every_recorded_number_is_a_panel_with_a_line_a_setting(tmp_path):
    assert run(SWEEP, tmp_path).is_complete
    (figure,) = recorded_figures(Study.open(tmp_path))
    drawn = {panel.y.label: panel.marks for panel in figure.panels}
    assert set(drawn) == {
        "balance u", "balance c", "L2 norm", "Frobenius product", "spectral product",
    }  # fmt: skip
    rows = open_results(tmp_path).curves().to_pandas()
    for setting, line in zip(settings(SWEEP), drawn["balance c"], strict=False):
        rate = setting.values["sources.gd.optimizer.learning_rate"]
        assert line.label == f"gd, learning_rate = {rate}"
        mine = (
            rows[rows["run_id"] // 2**32 == setting.id]
            .groupby("step")["balance_c"]
            .median()
            .dropna()
        )
        np.testing.assert_array_equal(line.x, mine.index)
        np.testing.assert_allclose(line.y, mine)
    assert len(drawn["balance c"]) == 2


def test_steps_that_are_observed_are_regular_beside_the_checks():
    step = np.array([0, 60, 120, 180, 240, 7, 14, 200])
    observed = np.isin(step, [7, 14])
    regular = [True, True, True, False, True, True, True, False]
    assert list(_is_regular(step, observed)) == regular
    assert list(_is_regular(step[:5], np.zeros(5, bool))) == regular[:5]


def test_flows_are_drawn_along_their_time(tmp_path):
    """Beside training, which is drawn along its steps, and never in one panel with it."""
    flow = {
        "kind": "flow",
        "init": {"kind": "gaussian"},
        "stop": {"max_time": 2.0, "fit": False},
        "times": [0.0, 0.5],
        "record": {"observables": ["balance"]},
        "runs": 24,
    }
    gd = SWEEP.model_dump(exclude_none=True)["sources"]["gd"]
    gd |= {"runs": 24, "record": {"observables": ["balance"], "every": 30}}
    sweep = SWEEP.model_copy(update={"axes": Axes()}).model_dump(exclude_none=True)
    assert run(Sweep.model_validate(sweep | {"sources": {"gd": gd, "flow": flow}}), tmp_path)
    study = Study.open(tmp_path)
    (curves,), (recorded,) = curve_figures(study), recorded_figures(study)
    steps, times = curves.panels
    assert (steps.x.label, times.x.label) == ("step", "time")
    np.testing.assert_array_equal(times.marks[0].x, [0, 0.5, 2])
    assert {mark.label for mark in times.marks} == {"flow", ""}
    drawn = {(panel.x.label, panel.y.label): panel.marks for panel in recorded.panels}
    assert drawn.keys() == {(x, y) for x in ("step", "time") for y in ("balance u", "balance c")}
    (line,) = drawn["time", "balance c"]
    assert line.label == "flow"
    np.testing.assert_array_equal(line.x, [0, 0.5])
    np.testing.assert_allclose(line.y[0], line.y[1], atol=1e-4)  # it is conserved
    (trained,) = drawn["step", "balance c"]
    assert trained.label == "gd"
    assert trained.colour != line.colour
