"""The density of states of all 2^16 networks of binary weights, and its figure."""

import jax
import numpy as np
import pytest
from scipy import stats

from sweep_engine.densities import Study
from sweep_engine.densities.stored.states import _ln_p, _ratio, density_of_states
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


@pytest.mark.parametrize("whole", [1.0, 1 + 2**-52, 1 - 2**-53])
def test_masses_that_add_up_to_1_but_for_rounding_have_an_interval(whole):
    curve = _ln_p(np.array([[0.25, whole], [0.75, whole]]), 0.95)
    assert np.all(curve.low <= curve.value)
    assert np.all(curve.value <= curve.high)
    assert np.all(curve.high <= 0)


def test_one_repetition_with_all_the_mass_decides_nothing():
    """Of repetitions so far apart the largest has most: the plain mean's interval is too narrow.

    Cox's is known to hold a little less than it says for few of them: 0.935 of 2,000 here.
    """
    rng = np.random.default_rng(0)
    spread, covered, plain = 1.5, 0, 0
    for _ in range(400):
        p = np.exp(-80 + spread * rng.standard_normal((8, 1)) - spread**2 / 2)
        curve = _ln_p(p, 0.95)
        covered += curve.low[0] <= -80 <= curve.high[0]
        mean = p.mean()
        reach = stats.t.ppf(0.975, 7) * p.std(ddof=1) / np.sqrt(8) / mean
        plain += abs(np.log(mean) + 80) <= reach
    assert covered >= 400 * (0.935 - 3 * 0.0125)
    assert plain < 400 * 0.88, "the wrong interval is caught"


def test_a_mean_that_rests_on_one_repetition_has_no_interval():
    mass = np.array([[1.0, 1.0], [1e-6, 1.0], [1e-6, 1.0], [1e-6, 1.0]])
    curve = _ratio(mass * np.array([[1.0], [2.0], [3.0], [4.0]]), mass, 0.95)
    assert curve.value == pytest.approx([1.0, 2.5], abs=1e-4)
    assert np.isnan([curve.low[0], curve.high[0]]).all()
    assert curve.low[1] < 2.5 < curve.high[1]
