"""A learning rate as a share of the edge, on quadratics, where it is known."""

import numpy as np
import pytest
from pydantic import ValidationError

from sweep_engine.execution import run
from sweep_engine.planning import plan
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.sources import Train
from sweep_engine.store import open_results

NUM_RUNS = 5
EDGE = "sources.sgd.optimizer.of_edge"
X = [[1.0, 0.5], [-0.3, 2.0], [0.7, -1.1]]
Y = [1.0, -0.5, 0.3]
FIRST_STEPS = {
    "sgd": lambda g: -g,
    "momentum": lambda g: -g,
    "sign": lambda g: -np.sign(g),
    "adam": lambda g: -g / (np.abs(g) + 1e-8),
}
OPTIMIZERS = {"momentum": {"kind": "sgd", "momentum": 0.9}}


def sweep_of(optimizer, axes=None, **fields):
    source = {
        "kind": "train",
        "init": {"kind": "gaussian", "std": 1.0, "shared": True},
        "optimizer": optimizer,
        "stop": {"fit": False, "max_steps": 1, "snapshots": [0]},
        "runs": NUM_RUNS,
    } | fields
    return Sweep.model_validate(
        {
            "name": "edge",
            "seed": 3,
            "task": {"kind": "regression", "x": X, "y": Y},
            "model": {"kind": "linear", "bias": False},
            "sources": {"sgd": source},
            "accept": {"train_loss": 1e-9},
            "axes": axes or {},
            "execution": {"lanes": 4, "implementation": "xla"},
        }
    )


def trained(sweep):
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    return work(programs, [Piece(setting, 0, NUM_RUNS) for setting in found], Control())


def loss(theta, l2):
    residuals = theta @ np.transpose(X) - Y
    return 0.5 * (residuals**2).mean(axis=1) + 0.5 * l2 * (theta**2).sum(axis=1)


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("name", FIRST_STEPS)
def test_the_rate_of_every_run_and_its_first_step(name, l2):
    """At share 1 the loss is after the step what it was before, at 1/2 least along it."""
    optimizer = OPTIMIZERS.get(name, {"kind": name}) | {"of_edge": 1.0, "l2": l2}
    shares = [1.0, 0.5, 1.2]
    landed = trained(sweep_of(optimizer, {EDGE: shares}))
    start = landed.solutions.snapshots[:, 0].astype(float)
    x = np.array(X)
    hessian = x.T @ x / len(x) + l2 * np.eye(2)
    gradient = start @ hessian - x.T @ Y / len(x)
    u = FIRST_STEPS[name](gradient)
    edge = -2 * (gradient * u).sum(axis=1) / np.einsum("ri,ij,rj->r", u, hessian, u)
    rates = landed.columns["learning_rate"].reshape(len(shares), NUM_RUNS)
    for rate, share in zip(rates, shares, strict=True):
        np.testing.assert_allclose(rate, share * edge[:NUM_RUNS], rtol=1e-4)
    assert len(set(rates[0])) == NUM_RUNS
    change = loss(landed.solutions.theta.astype(float), l2) - loss(start, l2)
    at_edge, half, beyond = change.reshape(len(shares), NUM_RUNS)
    before = loss(start, l2)[:NUM_RUNS]
    np.testing.assert_allclose(at_edge, 0, atol=1e-4 * before.max())
    assert np.all(half < 0)
    assert np.all(beyond > 0)


def test_the_rate_stays_that_of_the_start_whatever_the_minibatches():
    whole = trained(sweep_of({"kind": "sgd", "of_edge": 0.5}))
    stop = {"fit": False, "max_steps": 5}
    parts = trained(sweep_of({"kind": "sgd", "of_edge": 0.5}, batch_size=1, stop=stop))
    start, other = (r.columns["learning_rate"] for r in (whole, parts))
    assert np.all(np.isfinite(other))
    assert set(parts.solutions.steps) == {5}
    np.testing.assert_array_equal(np.isfinite(start), True)
    np.testing.assert_allclose(start, other, rtol=1e-5)


def test_an_axis_may_give_the_edge_to_some_settings_alone(tmp_path):
    """Their rates stand in the column; those of the others are the settings' own."""
    levels = [{"kind": "sgd", "learning_rate": 0.01}, {"kind": "adam", "of_edge": 0.5}]
    sweep = sweep_of({"kind": "sgd"}, {"sources.sgd.optimizer": levels})
    assert run(sweep, tmp_path).is_complete
    rates = open_results(tmp_path).runs(["learning_rate"])["learning_rate"]
    assert rates.null_count == NUM_RUNS
    assert len(rates) == 2 * NUM_RUNS


def test_one_program_for_all_shares_and_a_column_only_where_rates_vary():
    assert len(plan(sweep_of({"kind": "sgd", "of_edge": 1.0}, {EDGE: [0.1, 0.5]})).buckets) == 1
    assert sweep_of({"kind": "sgd", "of_edge": 1.0}).own_columns == ("learning_rate",)
    assert sweep_of({"kind": "sgd"}).own_columns == ()
    assert (
        plan(sweep_of({"kind": "sgd", "of_edge": 1.0})).sweep.sources["sgd"].curvature_limit is None
    )


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"kind": "sgd", "of_edge": 0.5, "learning_rate": 0.3}, "leave learning_rate out"),
        ({"kind": "sharpness_limited", "of_edge": 0.5}, "of_edge"),
        ({"kind": "straight_through", "of_edge": 0.5}, "of_edge"),
        ({"kind": "random_search", "of_edge": 0.5}, "of_edge"),
        ({"kind": "sgd", "of_edge": 0.0}, "greater than 0"),
    ],
)
def test_what_has_no_edge_is_refused(optimizer, message):
    with pytest.raises(ValidationError, match=message):
        Train(runs=1, optimizer=optimizer)
