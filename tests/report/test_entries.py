"""The figure of lists whose entries have names."""

import numpy as np

from sweep_engine.densities import Study
from sweep_engine.execution import run
from sweep_engine.report.figures.entries import entry_figures
from sweep_engine.spec import Sweep
from sweep_engine.store import open_results

VOLUME = {"kind": "local_volume", "preconditioners": ["none", "adam"], "directions": 4}
SWEEP = Sweep(
    name="entries",
    task={"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    model={"kind": "mlp", "widths": [2]},
    sources={
        "sgd": {
            "kind": "train",
            "init": {"kind": "fan_in"},
            "stop": {"max_steps": 4, "fit": False},
            "runs": 3,
        }
    },
    axes={"sources.sgd.optimizer.learning_rate": [0.1, 0.2]},
    observables=["norms", VOLUME],
    execution={"lanes": 4},
)


def test_each_setting_stands_beside_the_others_at_every_entry(tmp_path):
    """The lists of the layers, whose entries have no names, are not drawn."""
    assert run(SWEEP, tmp_path).is_complete
    (figure,) = entry_figures(Study.open(tmp_path))
    (panel,) = figure.panels
    assert panel.x.categories == ("none", "adam")
    rows = open_results(tmp_path).runs(["setting", "local_log_measures_loss"]).to_pylist()
    assert len(panel.marks) == 2
    for setting, mark in zip(sorted({row["setting"] for row in rows}), panel.marks, strict=True):
        mine = [row["local_log_measures_loss"] for row in rows if row["setting"] == setting]
        np.testing.assert_allclose(mark.values[:, 2], np.median(mine, axis=0))
        assert list(np.round(mark.x)) == [0, 1]
    assert (panel.marks[0].x < panel.marks[1].x).all()
    assert "the bound by each: none, adam" in figure.caption
