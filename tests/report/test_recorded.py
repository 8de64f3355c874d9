"""The figure of what was recorded on the way."""

import numpy as np

from sweep_engine.densities import Study
from sweep_engine.execution import run
from sweep_engine.report.figures.curves import _is_regular
from sweep_engine.report.figures.recorded import recorded_figures
from sweep_engine.spec import Sweep, settings
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
        "balance_u", "balance_c", "l2_norm", "frobenius_product", "spectral_product",
    }  # fmt: skip
    rows = open_results(tmp_path).curves().to_pandas()
    for setting, line in zip(settings(SWEEP), drawn["balance_c"], strict=False):
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
    assert len(drawn["balance_c"]) == 2


def test_steps_that_are_observed_are_regular_beside_the_checks():
    step = np.array([0, 60, 120, 180, 240, 7, 14, 200])
    observed = np.isin(step, [7, 14])
    regular = [True, True, True, False, True, True, True, False]
    assert list(_is_regular(step, observed)) == regular
    assert list(_is_regular(step[:5], np.zeros(5, bool))) == regular[:5]
