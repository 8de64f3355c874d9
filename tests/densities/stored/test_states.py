"""The density of states of all 2^16 networks of binary weights, and its figure."""

import jax
import numpy as np
import pytest

from sweep_engine.densities import Study
from sweep_engine.densities.stored.states import density_of_states
from sweep_engine.errors import InsufficientSamples
from sweep_engine.execution import run
from sweep_engine.laws import enumerate_support
from sweep_engine.models import build
from sweep_engine.report.figures.states import state_figures
from sweep_engine.spec import Sweep
from sweep_engine.tasks import load_task

SWEEP = Sweep.model_validate(
    {
        "name": "states",
        "seed": 2,
        "task": {"kind": "boolean", "bits": 3, "target": "x1 & x2", "train": 8},
        "model": {"kind": "mlp", "widths": [3], "activation": "tanh"},
        "sources": {
            "rare": {
                "kind": "splitting",
                "law": {"kind": "binary", "scale": 1.0},
                "particles": 128,
                "repetitions": 16,
                "moves": 6,
                "climb": "error",
                "keep_levels": True,
            },
            "few": {
                "kind": "splitting",
                "law": {"kind": "binary", "scale": 1.0},
                "particles": 128,
                "repetitions": 2,
                "moves": 6,
                "climb": "error",
                "keep_levels": True,
            },
            "sgd": {"kind": "train", "stop": {"max_steps": 40}, "runs": 8},
        },
        "observables": ["norms"],
        "execution": {"lanes": 32, "implementation": "xla"},
    }
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("states") / "out"
    assert run(SWEEP, out).is_complete
    return Study.open(out)


def setting_of(study, source):
    (found,) = (s for s in study.plan.settings.values() if s.source == source)
    return found


@pytest.fixture(scope="module")
def every_error(study):
    """The training error of every network."""
    setting = setting_of(study, "rare")
    task = load_task(setting.task, SWEEP.seed, None)
    network = build(setting.model, (3,), 1)
    points, _ = enumerate_support(setting.spec.law, network.layout)
    outputs = jax.jit(jax.vmap(lambda t: network.apply(network.layout.unflatten(t), task.train.x)))
    return ((np.asarray(outputs(points))[:, :, 0] > 0) != task.train.y).mean(axis=1)


def test_ln_p_of_every_training_error(study, every_error):
    """At 99.9 % each, about ten of them."""
    states = density_of_states(study, setting_of(study, "rare"), [], confidence=0.999)
    truth = np.array([np.log((every_error <= e + 1e-6).mean()) for e in states.errors])
    assert states.errors[0] == 0
    assert len(states.errors) >= 7
    assert np.all(states.log_p.low - 1e-6 <= truth)
    assert np.all(truth <= states.log_p.high + 1e-6)
    assert truth[0] < -3
    assert not np.all(truth + 1.5 <= states.log_p.high + 1e-6)


def test_all_binary_networks_have_one_norm(study):
    states = density_of_states(study, setting_of(study, "rare"), ["l2_norm"])
    np.testing.assert_allclose(states.means["l2_norm"].value, 4.0, rtol=1e-5)
    assert states.units == 16


def test_few_repetitions_are_refused_and_not_drawn(study):
    with pytest.raises(InsufficientSamples, match="needs 4 repetitions, there are 2"):
        density_of_states(study, setting_of(study, "few"), [])
    (figure,) = state_figures(study)
    assert figure.title == "Density of states of rare"
    names = [panel.title for panel in figure.panels]
    assert names[0] == "log_p"
    assert "l2_norm" in names
    labels = {mark.label for panel in figure.panels for mark in panel.marks}
    assert labels == {"rare", "sgd"}
