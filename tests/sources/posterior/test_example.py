"""The bundled example, made smaller: a MAP estimate, the posterior, AdamW elsewhere."""

from importlib.resources import files

import numpy as np
import pytest
import yaml

from sweep_engine import compare, execution, open_results
from sweep_engine.spec import Sweep

EXAMPLE = yaml.safe_load((files("sweep_engine") / "examples" / "posterior.yaml").read_text())
RUNS, CHAINS, DRAWS = 112, 16, 16
SMALLER = {
    "map": {"runs": RUNS},
    "map_adam": {"runs": RUNS},
    "adamw": {"runs": RUNS},
    "bayes": {"chains": CHAINS, "draws": DRAWS, "warmup": 50},
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    sources = {name: EXAMPLE["sources"][name] | change for name, change in SMALLER.items()}
    compared = [one for one in EXAMPLE["compare"] if one["reference"] != "prior"]
    changes = {"sources": sources, "compare": compared, "execution": {"lanes": RUNS}}
    folder = tmp_path_factory.mktemp("example") / "out"
    assert execution.run(Sweep.model_validate(EXAMPLE | changes), folder).is_complete
    return folder


def column(out, name):
    """A column's values, source by source."""
    table = open_results(out).runs(["source", name]).to_pydict()
    source, values = np.array(table["source"]), np.array(table[name])
    return {one: values[source == one] for one in SMALLER}


def test_the_numbers_in_the_file_are_those_of_the_map():
    sources = EXAMPLE["sources"]
    bayes = sources["bayes"]
    assert "temperature" not in bayes  # it is 1
    l2 = 1 / (EXAMPLE["task"]["examples"] * bayes["law"]["std"] ** 2)
    assert sources["map"]["optimizer"]["l2"] == l2
    assert sources["map_adam"]["optimizer"]["l2"] == l2
    assert sources["adamw"]["optimizer"]["weight_decay"] == l2


def test_sgd_and_adam_reach_the_same_maximum_and_adamw_another_place(out):
    """The largest of several local maxima is that of all runs but a few."""
    std = EXAMPLE["sources"]["bayes"]["law"]["std"]
    n = EXAMPLE["task"]["examples"]
    loss, norm = column(out, "train_loss"), column(out, "l2_norm")
    log_density = {name: -n * loss[name] - norm[name] ** 2 / (2 * std**2) for name in SMALLER}
    best = log_density["map"].max()
    assert log_density["map_adam"].max() == pytest.approx(best, abs=0.01)
    assert log_density["bayes"].max() < best
    assert log_density["adamw"].max() < best - 5
    assert norm["adamw"].min() > 2 * norm["map"].max()
    assert norm["bayes"].mean() > 1.3 * norm["map"].max()


def test_the_comparison_tells_them_apart(out):
    """Kolmogorov-Smirnov distances: from a point, and from the posterior's draws."""
    assert compare(out, "map", "adamw", "l2_norm").value == pytest.approx(1.0)
    assert compare(out, "map", "bayes", "l2_norm").value > 0.9
