"""Starts that are given: pruned, poisoned, and snapshots on the way."""

import functools
import itertools

import numpy as np
import pytest

from sweep_engine import execution
from sweep_engine.keys import run_ids
from sweep_engine.models import build
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, Inputs, StoredRuns, open_source, work
from sweep_engine.sources.stepped.pruning import kept_parameters
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.models import Mlp
from sweep_engine.spec.starts import Mask
from sweep_engine.store import open_results

LANES, RUNS = 8, 12
TASK = {"kind": "boolean", "bits": 4, "target": "x1 ^ x2", "train": 9}
MODEL = {"kind": "mlp", "widths": [5], "activation": "tanh"}
NETWORK = build(Mlp(widths=(5,), activation="tanh"), (4,), 1)
LAYOUT = NETWORK.layout
PARENT = {"kind": "train", "runs": RUNS, "stop": {"snapshots": [0]}}


def _open(source, axes=None, **parent):
    sweep = Sweep(
        name="starts",
        seed=2,
        task=TASK,
        model=MODEL,
        sources={"parent": PARENT | parent, "source": source},
        axes=axes or {},
        execution={"lanes": LANES},
    )
    found = [s for s in settings(sweep) if s.source == "source"]
    return found, open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)


def _ticket(optimizer, keep=0.4, **stop):
    return {
        "kind": "train",
        "init": {"from": "parent", "at": 0, "mask": {"keep": keep}},
        "optimizer": optimizer,
        "stop": {"max_steps": 50, "fit": False} | stop,
        "runs": RUNS,
    }


def _stored(seed=0, runs=RUNS, *, with_final=True):
    rng = np.random.default_rng(seed)
    theta, final = rng.standard_normal((2, runs, LAYOUT.num_params)).astype(np.float32)
    return StoredRuns(
        theta=theta,
        steps=np.zeros(runs, np.int64),
        status=np.zeros(runs, np.int32),
        log_weight=np.zeros(runs),
        final=final if with_final else None,
    )


def _take(stored, index):
    return StoredRuns(*(getattr(stored, name)[index] for name in StoredRuns.__dataclass_fields__))


# --- masks ----------------------------------------------------------------------------------


def _weights():
    return np.concatenate(
        [np.arange(x.offset, x.offset + x.size) for x in LAYOUT.leaves if not x.is_bias]
    )


@pytest.mark.parametrize(("keep", "kept"), [(1.0, 25), (0.2, 5), (0.5, 12), (1e-6, 1)])
def test_the_largest_weights_of_all_are_kept(keep, kept):
    theta = _stored().final
    mask = kept_parameters(LAYOUT, theta, Mask(keep=keep))
    weights = _weights()
    assert np.all(mask.sum(axis=1) == kept + LAYOUT.num_params - len(weights)), "and all biases"
    for row, chosen in zip(np.abs(theta[:, weights]), mask[:, weights], strict=True):
        assert chosen.sum() == kept
        assert row[chosen].min() >= row[~chosen].max(initial=0)


def test_the_largest_weights_of_every_layer_are_kept():
    theta = _stored().final * np.where(np.arange(LAYOUT.num_params) < 20, 100.0, 1.0)
    by_layer = kept_parameters(LAYOUT, theta, Mask(keep=0.4, scope="layer"))
    in_all = kept_parameters(LAYOUT, theta, Mask(keep=0.4))
    kernels = [leaf for leaf in LAYOUT.leaves if not leaf.is_bias]
    counts = [by_layer[0, x.offset : x.offset + x.size].sum() for x in kernels]
    assert counts == [8, 2]
    assert [in_all[0, x.offset : x.offset + x.size].sum() for x in kernels] == [10, 0]


def test_a_ticket_of_a_ticket_keeps_a_share_of_what_is_left():
    theta = _stored().final
    first = kept_parameters(LAYOUT, theta, Mask(keep=0.5))
    second = kept_parameters(LAYOUT, np.where(first, theta, 0), Mask(keep=0.5))
    weights = _weights()
    assert np.all(second[:, weights].sum(axis=1) == 6)
    assert not np.any(second[:, weights] & ~first[:, weights])


# --- tickets --------------------------------------------------------------------------------

OPTIMIZERS = {
    "momentum": {"kind": "sgd", "learning_rate": 0.3, "momentum": 0.9, "nesterov": True},
    "decay": {"kind": "sgd", "weight_decay": 0.1, "l2": 0.1, "momentum": 0.5},
    "adamw": {"kind": "adam", "learning_rate": 0.05, "weight_decay": 0.1},
    "rmsprop": {"kind": "rmsprop", "learning_rate": 0.01, "momentum": 0.5},
    "langevin": {"kind": "langevin", "learning_rate": 0.05, "temperature": 1.0},
    "random search": {"kind": "random_search"},
    "pattern search": {"kind": "pattern_search"},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_pruned_weights_stay_0_and_the_others_move(optimizer):
    (setting,), programs = _open(_ticket(optimizer, snapshots=[0, 25]))
    stored = _stored()
    found = work(programs, [Piece(setting, 0, RUNS)], Control(), Inputs(starts=stored)).solutions
    mask = kept_parameters(LAYOUT, stored.final, Mask(keep=0.4))
    np.testing.assert_array_equal(found.snapshots[:, 0], np.where(mask, stored.theta, 0))
    for theta in (found.theta, found.snapshots[:, 1]):
        np.testing.assert_array_equal(theta[~mask], 0)
        assert np.mean(theta[mask] != stored.theta[mask]) > 0.1
    assert np.all(np.isfinite(found.theta))


def test_a_mask_that_keeps_all_changes_nothing_but_rounding():
    optimizer = OPTIMIZERS["momentum"]
    stored = _stored()
    landed = []
    for init in ({"from": "parent", "at": 0}, {"from": "parent", "at": 0, "mask": {"keep": 1.0}}):
        (setting,), programs = _open(_ticket(optimizer) | {"init": init})
        starts = stored if "mask" in init else _stored(with_final=False)
        found = work(programs, [Piece(setting, 0, RUNS)], Control(), Inputs(starts=starts))
        landed.append(found.solutions.theta)
    np.testing.assert_allclose(*landed, rtol=1e-3, atol=1e-4)


def test_a_ticket_trains_like_a_network_that_has_only_these_weights():
    """Gradient descent by hand, in float64, in the coordinates that are kept."""
    (setting,), programs = _open(_ticket({"kind": "sgd", "learning_rate": 0.1}, max_steps=20))
    stored, task = _stored(), programs.bucket.task
    found = work(programs, [Piece(setting, 0, RUNS)], Control(), Inputs(starts=stored)).solutions
    mask = kept_parameters(LAYOUT, stored.final, Mask(keep=0.4))
    x, sign = task.train.x.astype(float), 2.0 * task.train.y - 1
    for run in range(3):
        theta = np.where(mask[run], stored.theta[run], 0).astype(float)
        for _ in range(20):
            theta -= 0.1 * np.where(mask[run], _gradient(theta, x, sign), 0)
        np.testing.assert_allclose(found.theta[run], theta, rtol=1e-4, atol=1e-5)


def _gradient(theta, x, sign):
    kernel, bias, out, out_bias = np.split(theta, np.cumsum([20, 5, 5]))
    hidden = np.tanh(x @ kernel.reshape(4, 5) + bias)
    slope = -sign / (1 + np.exp(sign * (hidden @ out + out_bias))) / len(x)
    back = slope[:, None] * out * (1 - hidden**2)
    return np.concatenate([(x.T @ back).ravel(), back.sum(0), hidden.T @ slope, [slope.sum()]])


@functools.cache
def _swept():
    axes = {"sources.source.init.mask.keep": [0.2, 0.6]}
    return _open(_ticket(OPTIMIZERS["adamw"], fit=True), axes)


def test_same_bits_whatever_lane_neighbours_and_number_of_runs():
    (sparse, dense), programs = _swept()
    stored, both = _stored(), _stored(seed=1, runs=20)
    whole = work(programs, [Piece(sparse, 0, RUNS)], Control(), Inputs(starts=stored)).solutions
    parts = [both.theta[:8], stored.theta[5:9], both.theta[8:]]
    mixed = StoredRuns(
        theta=np.concatenate(parts),
        steps=np.zeros(24, np.int64),
        status=np.zeros(24, np.int32),
        log_weight=np.zeros(24),
        final=np.concatenate([both.final[:8], stored.final[5:9], both.final[8:]]),
    )
    pieces = [Piece(dense, 0, 8), Piece(sparse, 5, 9), Piece(dense, 8, 20)]
    found = work(programs, pieces, Control(), Inputs(starts=mixed)).solutions
    ours = np.isin(found.run_id, run_ids(sparse.id, 5, 9))
    assert ours.sum() == 4
    np.testing.assert_array_equal(found.theta[ours], whole.theta[5:9])
    np.testing.assert_array_equal(found.steps[ours], whole.steps[5:9])


def test_a_start_that_diverged_spoils_its_own_run_alone():
    (sparse, _), programs = _swept()
    stored = _stored()
    sound = work(programs, [Piece(sparse, 0, RUNS)], Control(), Inputs(starts=stored)).solutions
    stored.final[3] = np.nan
    found = work(programs, [Piece(sparse, 0, RUNS)], Control(), Inputs(starts=stored)).solutions
    others = np.arange(RUNS) != 3
    np.testing.assert_array_equal(found.theta[others], sound.theta[others])
    assert found.status[3] == RunStatus.DIVERGED
    assert not found.fit[3]


def test_a_start_must_be_given():
    (setting, _), programs = _swept()
    with pytest.raises(ValueError, match="none are given"):
        work(programs, [Piece(setting, 0, RUNS)], Control())


def test_tickets_in_a_row(tmp_path):
    """Every ticket prunes what the one before has left, and goes back to its start."""
    stop = {"max_steps": 40, "fit": False, "snapshots": [0]}
    prune = {"at": 0, "mask": {"keep": 0.5}}
    sources = {"dense": {"kind": "train", "stop": stop, "runs": 5}}
    for name, parent in (("first", "dense"), ("second", "first"), ("third", "second")):
        init = {"from": parent} | prune
        sources[name] = {"kind": "train", "init": init, "stop": stop, "runs": 5}
    sweep = Sweep(
        name="tickets", task=TASK, model=MODEL, sources=sources, execution={"lanes": LANES}
    )
    assert execution.run(sweep, tmp_path).is_complete
    kept, starts = [], []
    for name in sources:
        (params,) = open_results(tmp_path).params(name)
        order = np.argsort(params.run_id, kind="stable")
        theta = params.theta[order].reshape(5, 2, -1)
        starts.append(theta[:, 0])
        kept.append(theta[:, 1] != 0)
    weights = _weights()
    assert [set(mask[:, weights].sum(axis=1)) for mask in kept] == [{25}, {12}, {6}, {3}]
    for before, after in itertools.pairwise(kept):
        assert not np.any(after[:, weights] & ~before[:, weights])
    for mask, start in zip(kept[1:], starts[1:], strict=True):
        np.testing.assert_array_equal(start[:, weights], np.where(mask, starts[0], 0)[:, weights])


# --- snapshots ------------------------------------------------------------------------------


def test_snapshots_are_the_states_of_runs_that_stopped_there():
    """At full batch and from shared starts, to the last bit: they run one program."""
    steps = [0, 1, 7, 30]
    source = {
        "kind": "train",
        "init": {"kind": "gaussian", "shared": True},
        "optimizer": OPTIMIZERS["momentum"],
        "stop": {"fit": False, "check_every": 4, "snapshots": steps},
        "runs": RUNS,
    }
    found, programs = _open(source, {"sources.source.stop.max_steps": [1, 7, 30, 50]})
    ends = [work(programs, [Piece(one, 0, RUNS)], Control()).solutions for one in found]
    longest = ends[-1]
    assert longest.snapshots.shape == (RUNS, 4, LAYOUT.num_params)
    np.testing.assert_array_equal(longest.snapshot_steps, np.tile(steps, (RUNS, 1)))
    for slot, end in zip((1, 2, 3), ends, strict=False):
        np.testing.assert_array_equal(longest.snapshots[:, slot], end.theta)
    assert np.all(np.isnan(ends[0].snapshots[:, 2:]) | (ends[0].snapshots[:, 2:] == 0))


def test_snapshots_do_not_depend_on_lanes_and_refills():
    source = {
        "kind": "train",
        "init": {"kind": "gaussian"},
        "optimizer": {"kind": "sgd", "learning_rate": 0.5},
        "batch_size": 3,
        "stop": {"max_steps": 300, "snapshots": [0, 6, 20]},
        "runs": 40,
    }
    (setting,), programs = _open(source)
    whole = work(programs, [Piece(setting, 0, 40)], Control()).solutions
    part = work(programs, [Piece(setting, 21, 30)], Control()).solutions
    assert len(set(whole.steps)) > LANES
    reached = part.snapshot_steps <= part.steps[:, None]
    np.testing.assert_array_equal(part.snapshots[reached], whole.snapshots[21:30][reached])
    np.testing.assert_array_equal(part.theta, whole.theta[21:30])


# --- bad minima -----------------------------------------------------------------------------


def test_sgd_stays_at_the_bad_minimum_that_poison_made(tmp_path):
    """Both fit the same clean examples; where they generalise to is where they came from."""
    task = {"kind": "boolean", "bits": 7, "target": "x1", "train": 32}
    init, go = {"kind": "he_normal"}, {"max_steps": 1000, "fit": False, "check_every": 100}
    sgd = {
        "kind": "train",
        "optimizer": {"kind": "sgd", "learning_rate": 0.5},
        "stop": go,
        "runs": 16,
    }
    sources = {
        "poisoned": {
            "kind": "train",
            "task": task | {"poison": {"examples": 64}},
            "init": init,
            "optimizer": {"kind": "adam", "learning_rate": 0.01},
            "stop": {"max_steps": 5000, "check_every": 10},
            "runs": 16,
        },
        "sgd": sgd | {"init": init},
        "stays": sgd | {"init": {"from": "poisoned"}},
        "there": {"kind": "snapshot", "from": "poisoned"},
    }
    sweep = Sweep(
        name="bad-minima",
        seed=3,
        task=task,
        model={"kind": "mlp", "widths": [40]},
        sources=sources,
        execution={"lanes": 16},
    )
    assert execution.run(sweep, tmp_path).is_complete
    runs = open_results(tmp_path).runs(["source", "fit", "train_error", "test_error"]).to_pandas()
    mean = runs.groupby("source").mean()
    assert mean.fit.min() == 1, "poisoned by its own rule, there by the clean one"
    assert mean.train_error.max() == 0
    assert mean.test_error["poisoned"] >= 64 / 96
    assert mean.test_error["there"] == mean.test_error["poisoned"]
    assert mean.test_error["stays"] > 0.1 > 0.01 > mean.test_error["sgd"]
