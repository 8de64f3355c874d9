"""What a run must not depend on, when it ends, and what is counted."""

import collections
import dataclasses
import functools
import itertools

import jax
import numpy as np
import pytest

from sweep_engine import execution
from sweep_engine.keys import halves, run_ids
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, Inputs, open_source, work
from sweep_engine.sources.stepped import loop
from sweep_engine.sources.stepped.programs import KEEP, START
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.sources import sizes
from sweep_engine.store import open_results
from tests.statistics import assert_catches, assert_frequencies

LANES, HIDDEN, BITS = 8, 6, 4
TASK = {"kind": "boolean", "bits": BITS, "target": "x1 ^ x2", "train": 9}
MODEL = {"kind": "mlp", "widths": [HIDDEN], "activation": "tanh"}
SGD = {"kind": "sgd", "learning_rate": 0.5, "momentum": 0.5}
RATES = {"sources.source.optimizer.learning_rate": [0.5, 0.25]}
NUM_RUNS = 40


def _sweep(source, *, task=TASK, model=MODEL, axes=None, lanes=LANES, accept=None):
    return Sweep(
        name="invariants",
        seed=3,
        task=task,
        model=model,
        sources={"source": source},
        axes=axes or {},
        accept=accept or {"train_error": 0.0},
        execution={"lanes": lanes},
    )


def _open(source, **options):
    """The settings of a sweep and the bucket that they share."""
    sweep = _sweep(source, **options)
    found = settings(sweep)
    return found, open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)


def _train(**changes):
    source = {
        "kind": "train",
        "init": {"kind": "gaussian", "std": 1.0, "shared": True},
        "optimizer": SGD,
        "stop": {"max_steps": 3000},
        "runs": NUM_RUNS,
    }
    return source | changes


@functools.cache
def _minibatches():
    """Two learning rates; every run meets 3 of the 9 examples a step, in its own order."""
    init = {"kind": "gaussian", "std": 1.0}
    return _open(_train(init=init, batch_size=3), axes=RATES)


def _finish(programs, *pieces):
    return work(programs, [Piece(*piece) for piece in pieces], Control())


@functools.cache
def _reference():
    (fast, _), programs = _minibatches()
    return _rows(_finish(programs, (fast, 0, NUM_RUNS)))


def _rows(finished):
    """Everything about each run, as bytes, by its id."""
    solutions, columns = finished.solutions, finished.columns
    fields = (f.name for f in dataclasses.fields(solutions))
    values = [getattr(solutions, name) for name in fields]
    values = [value for value in values if value is not None] + list(columns.values())
    rows = {run: [v[i].tobytes() for v in values] for i, run in enumerate(solutions.run_id)}
    if finished.curves is not None:
        curves = finished.curves
        recorded_of = curves.run_id, curves.step, curves.train_loss, curves.train_error
        for recorded in zip(*recorded_of, strict=True):
            rows[recorded[0]].append(np.array(recorded[1:]).tobytes())
    return rows


def _among(rows, others):
    return {run: row for run, row in rows.items() if run in others}


# --- The same bits ------------------------------------------------------------------------


def test_the_reference_runs_differ_and_end_at_different_times():
    """Else the tests below could not fail."""
    rows = _reference()
    (fast, _), programs = _minibatches()
    steps = _finish(programs, (fast, 0, NUM_RUNS)).solutions.steps
    assert len({tuple(row[1:]) for row in rows.values()}) == NUM_RUNS > 4 * LANES
    assert len(set(steps)) > LANES


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, 17, 18)],
        [(0, 33, 40), (0, 5, 10)],
        [(1, 0, 3), (0, 8, 24), (1, 20, 31)],
        [(1, 0, 1), (0, 0, 40)],
    ],
    ids=["alone", "other lanes and order", "beside other settings", "one lane further"],
)
def test_same_bits_whatever_lane_neighbours_and_number_of_runs(pieces):
    found, programs = _minibatches()
    rows = _rows(_finish(programs, *((found[s], start, stop) for s, start, stop in pieces)))
    ours = run_ids(found[0].id, 0, NUM_RUNS)
    rows = _among(rows, set(ours))
    assert rows == _among(_reference(), set(rows))
    assert rows


@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["short segments", "long segments"])
@pytest.mark.parametrize("share", [1, LANES], ids=["refill when all end", "refill one by one"])
def test_same_bits_whatever_segments_and_refills(monkeypatch, seconds, share):
    monkeypatch.setattr(loop, "SEGMENT_SECONDS", seconds)
    monkeypatch.setattr(loop, "REFILL_SHARE", share)
    (fast, _), programs = _minibatches()
    assert _rows(_finish(programs, (fast, 0, NUM_RUNS))) == _reference()


def test_a_diverging_neighbour_changes_no_bit():
    task = TASK | {"loss": "squared"}
    axes = {"sources.source.optimizer.learning_rate": [0.05, 1e6]}
    source = _train(stop={"max_steps": 200, "fit": False})
    (good, bad), programs = _open(
        source, task=task, model=MODEL | {"activation": "relu"}, axes=axes
    )
    alone = _rows(_finish(programs, (good, 0, 12)))
    mixed = _finish(programs, (good, 0, 3), (bad, 0, 5), (good, 3, 9), (bad, 5, 12), (good, 9, 12))
    assert _among(_rows(mixed), alone) == alone
    diverged = mixed.solutions.setting == bad.id
    assert diverged.sum() == 12
    assert np.all((mixed.solutions.status == RunStatus.DIVERGED) == diverged)
    assert not mixed.solutions.fit[diverged].any()
    assert not np.isfinite(mixed.columns["train_loss"][diverged]).any()


def test_lane_widths_share_keys_and_starts_and_nearly_all_else():
    landed = []
    source = _train(
        init={"kind": "gaussian", "std": 1.0},
        batch_size=3,
        stop={"max_steps": 50, "fit": False},
    )
    for lanes in (LANES, 64):
        (setting,), programs = _open(source, lanes=lanes)
        words = halves(run_ids(setting.id, 0, lanes))
        starts = np.asarray(
            programs.bucket.draw(
                words, programs.bucket.hyper([setting] * lanes), programs.bucket.root
            )
        )
        landed.append((starts[:LANES], _finish(programs, (setting, 0, NUM_RUNS)).solutions.theta))
    (start, theta), (other_start, other_theta) = landed
    np.testing.assert_array_equal(start, other_start)
    gap = np.linalg.norm(theta - other_theta, axis=1)
    assert np.mean(gap <= 1e-5 * np.linalg.norm(theta, axis=1)) >= 0.9


def test_a_finished_run_does_not_move():
    (setting, _), programs = _minibatches()
    words = halves(run_ids(setting.id, 0, LANES))
    hyper = programs.bucket.hyper([setting] * LANES)

    def advance(states, order, steps):
        orders = np.full(LANES, order, np.int32)
        limits = np.array([steps, 0], np.int32)
        data = programs.bucket.data.train
        return programs.advance(states, orders, words, hyper, programs.bucket.root, data, limits)

    before = jax.tree.map(np.asarray, advance(programs.empty_state, START, 4))
    ends = [RunStatus.RUNNING, *RunStatus][: LANES - 1]
    before = before._replace(status=np.array([*ends, RunStatus.RUNNING], np.int32))
    after = advance(before, KEEP, 30)
    ended = np.asarray(before.status) != RunStatus.RUNNING
    assert ended.sum() == 5
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(np.asarray(one)[ended], np.asarray(other)[ended])
    assert np.all(np.asarray(after.step)[~ended] > 4)


# --- Streams ------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_shared_starts(shared):
    init = {"kind": "gaussian", "std": 1.0, "shared": shared}
    found, programs = _open(_train(init=init), axes=RATES)
    starts = [
        np.asarray(
            programs.bucket.draw(
                halves(run_ids(setting.id, 0, LANES)),
                programs.bucket.hyper([setting] * LANES),
                programs.bucket.root,
            )
        )
        for setting in found
    ]
    assert np.array_equal(*starts) == shared
    assert len(np.unique(starts[0], axis=0)) == LANES


def test_every_run_has_its_own_order_and_every_epoch_is_a_permutation():
    (setting, _), programs = _minibatches()
    words = halves(run_ids(setting.id, 0, LANES))
    hyper = programs.bucket.hyper([setting] * LANES) | {
        "stop.max_steps": np.full(LANES, 10**6, np.int32),
        "optimizer.learning_rate": np.full(LANES, 1e-6, np.float32),
    }
    states, orders = programs.empty_state, []
    for epoch in range(4):
        told = np.full(LANES, KEEP if epoch else START, np.int32)
        states = programs.advance(
            states,
            told,
            words,
            hyper,
            programs.bucket.root,
            programs.bucket.data.train,
            np.array([3, 0], np.int32),
        )
        running = np.asarray(states.status) == RunStatus.RUNNING
        orders.append(np.asarray(states.carried.order)[running])
    orders = np.concatenate(orders)
    assert len(orders) > 2 * LANES
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(9), (len(orders), 1)))
    assert len(np.unique(orders, axis=0)) == len(orders)


def _visits(sampling, runs, steps=1):
    """How often each of 4 examples was met in a step of 2.

    Inputs are the unit vectors, the target is 1 and starts are all but 0, so that at
    learning rate 2 each meeting adds 1 to the example's own weight.
    """
    task = {"kind": "regression", "x": np.eye(4).tolist(), "y": [1.0] * 4}
    source = _train(
        init={"kind": "gaussian", "std": 1e-6},
        optimizer={"kind": "sgd", "learning_rate": 2.0},
        batch_size=2,
        sampling=sampling,
        stop={"max_steps": steps, "fit": False},
    )
    model, accept = {"kind": "linear", "bias": False}, {"max_residual": 1e-3}
    (setting,), programs = _open(source, task=task, model=model, accept=accept, lanes=64)
    theta = _finish(programs, (setting, 0, runs)).solutions.theta
    np.testing.assert_allclose(theta, np.round(theta), atol=1e-4)
    return [tuple(row) for row in np.round(theta).astype(int).tolist()]


def test_minibatches_without_replacement():
    pairs = [
        tuple(int(i in pair) for i in range(4)) for pair in itertools.combinations(range(4), 2)
    ]
    counts = collections.Counter(_visits("without_replacement", 6000))
    assert set(counts) == set(pairs)
    assert_frequencies([counts[pair] for pair in pairs], np.full(6, 1 / 6))
    assert set(_visits("without_replacement", 100, steps=2)) == {(1, 1, 1, 1)}


def test_minibatches_with_replacement():
    drawn = [tuple(np.bincount(pair, minlength=4).tolist()) for pair in np.ndindex(4, 4)]
    cases = sorted(set(drawn))

    def check(visits):
        counts = collections.Counter(visits)
        assert counts.keys() <= set(cases)
        probabilities = [drawn.count(case) / 16 for case in cases]
        assert_frequencies([counts[case] for case in cases], probabilities)

    check(_visits("with_replacement", 6000))
    assert_catches(check, lambda: _visits("without_replacement", 6000))


# --- When a run ends ----------------------------------------------------------------------


def _outputs(theta):
    """The network by hand, in float64, on the training inputs; and their labels."""
    _, programs = _minibatches()
    x, y = programs.bucket.task.train.x.astype(float), programs.bucket.task.train.y
    cuts = np.cumsum([BITS * HIDDEN, HIDDEN, HIDDEN])
    kernel, bias, out, out_bias = np.split(theta.astype(float), cuts, axis=1)
    hidden = np.tanh(x @ kernel.reshape(-1, BITS, HIDDEN) + bias[:, None])
    return (hidden @ out[..., None])[..., 0] + out_bias, y


def _loss_and_error(theta):
    outputs, y = _outputs(theta)
    loss = np.log1p(np.exp(-(2.0 * y - 1) * outputs)).mean(axis=1)
    return loss, ((outputs > 0) != y).mean(axis=1)


def test_a_run_ends_at_the_first_check_that_fits():
    (setting,), programs = _open(_train(stop={"max_steps": 100, "check_every": 7}))
    finished = _finish(programs, (setting, 0, NUM_RUNS))
    found = finished.solutions
    fit = found.status == RunStatus.FIT
    assert 0 < fit.sum() < NUM_RUNS
    assert np.all(found.status[~fit] == RunStatus.MAX_STEPS)
    assert np.all(found.steps[~fit] == 100)
    # Rule and losses are checked at every 7th step, and at the last.
    assert np.all((found.steps[fit] % 7 == 0) | (found.steps[fit] == 100))
    loss, error = _loss_and_error(found.theta)
    np.testing.assert_array_equal(found.fit, fit)
    np.testing.assert_array_equal(error == 0, fit)
    np.testing.assert_array_equal(found.fit_step, np.where(fit, found.steps, -1))
    np.testing.assert_allclose(finished.columns["train_loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(finished.columns["train_error"], error, atol=1e-6)
    assert not np.any(finished.curves.train_error[_is_before_the_last(finished)] == 0)


def _is_before_the_last(finished):
    run = finished.curves.run_id
    return np.append(run[1:] == run[:-1], False)


@functools.cache
def _by_steps():
    """Shared starts, full batch, a check every 7 steps; no end but these."""
    axes = {
        "sources.source.stop.max_steps": [7, 14, 28, 59, 3000, 3000],
        "sources.source.stop.train_loss": [1e-30, 1e-30, 1e-30, 1e-30, 0.3, 1e9],
    }
    stop = {"fit": False, "check_every": 7, "train_loss": 1.0}
    found, programs = _open(_train(stop=stop), axes={"zip": [axes]})
    finished = _finish(programs, *((setting, 0, LANES) for setting in found))
    return found, finished


def test_stop_at_a_loss_or_a_number_of_steps():
    found, finished = _by_steps()
    solutions = finished.solutions
    loss, _ = _loss_and_error(solutions.theta)
    np.testing.assert_allclose(finished.columns["train_loss"], loss, rtol=1e-5)
    for setting in found[:4]:
        mine = solutions.setting == setting.id
        assert np.all(solutions.status[mine] == RunStatus.MAX_STEPS)
        assert np.all(solutions.steps[mine] == setting.spec.stop.max_steps)
    by_loss, at_once = (solutions.setting == setting.id for setting in found[4:])
    assert np.all(solutions.status[by_loss | at_once] == RunStatus.LOSS_REACHED)
    assert np.all(finished.columns["train_loss"][by_loss] <= 0.3)
    assert np.all(solutions.steps[by_loss] > 0)
    assert np.all(solutions.steps[by_loss] % 7 == 0)
    assert np.all(solutions.steps[at_once] == 0)


def test_the_curve_is_the_losses_on_the_way():
    """Shorter runs from the same starts end where the longest passes by."""
    found, finished = _by_steps()
    curves = finished.curves
    loss = finished.columns["train_loss"].reshape(len(found), LANES)
    after = dict(zip((7, 14, 28, 59), loss, strict=False)) | {0: loss[5]}
    for run in range(LANES):
        mine = curves.run_id == run_ids(found[3].id, run, run + 1)[0]
        assert curves.step[mine].tolist() == [0, 7, 14, 28, 56, 59]
        for step, recorded in zip(curves.step[mine], curves.train_loss[mine], strict=True):
            assert step == 56 or recorded == after[int(step)][run]


def test_extra_steps_keep_both_states():
    """At full batch and from shared starts, the first fit is where a plain run ends."""
    stop = {"max_steps": 3000, "check_every": 2}
    (plain,), plain_programs = _open(_train(stop=stop))
    (longer,), longer_programs = _open(_train(stop=stop | {"extra_steps": 25}))
    short = _finish(plain_programs, (plain, 0, NUM_RUNS)).solutions
    long = _finish(longer_programs, (longer, 0, NUM_RUNS)).solutions
    assert short.first_fit is None
    # Another program may round otherwise, and a run part from its twin.
    gap = np.linalg.norm(long.first_fit - short.theta, axis=1)
    same = (long.fit_step == short.fit_step) & (gap <= 1e-5 * np.linalg.norm(short.theta, axis=1))
    assert same.mean() >= 0.9
    went_on = long.fit_step >= 0
    assert np.all(long.steps[went_on] == long.fit_step[went_on] + 25)
    assert np.all(_loss_and_error(long.first_fit[went_on])[1] == 0)
    assert np.all(np.any(long.first_fit[went_on] != long.theta[went_on], axis=1))
    np.testing.assert_array_equal(long.fit, _loss_and_error(long.theta)[1] == 0)


# --- Draws and acceptances ----------------------------------------------------------------

RULE_TASK = {"kind": "boolean", "bits": 3, "target": "x1", "train": 5}
LAW = {"kind": "box", "half_width": 1.0, "shared": True}
DRAWS = 3000


@functools.cache
def _prior(keep="all"):
    source = {"kind": "prior", "law": LAW, "draws": DRAWS, "keep": keep}
    return _open(source, task=RULE_TASK, lanes=32)


@functools.cache
def _guess(**counts):
    return _open({"kind": "guess_and_check", "law": LAW} | counts, task=RULE_TASK, lanes=32)


def test_prior_draws_do_not_depend_on_the_shard():
    (setting,), programs = _prior()
    whole = _rows(_finish(programs, (setting, 0, DRAWS)))
    parts = [_finish(programs, (setting, *ends)) for ends in ((0, 700), (700, 701), (701, DRAWS))]
    assert whole == {run: row for part in parts for run, row in _rows(part).items()}
    assert len(whole) == DRAWS
    assert sum(tally.draws for part in parts for tally in part.tallies) == DRAWS


@pytest.mark.parametrize("keep", ["all", "fit", "none", 100])
def test_tallies_count_every_draw_whatever_is_kept(keep):
    (setting,), programs = _prior()
    every = _finish(programs, (setting, 0, DRAWS))
    (kept_setting,), kept_programs = _prior(keep)
    kept = _finish(kept_programs, (kept_setting, 0, DRAWS))
    fit = every.solutions.fit
    recount = collections.Counter(row.tobytes() for row in every.functions)
    refits = collections.Counter(row.tobytes() for row in every.functions[fit])
    (tally,) = kept.tallies
    names = [row.tobytes() for row in tally.functions]
    assert (tally.draws, tally.fits) == (DRAWS, fit.sum())
    assert dict(zip(names, tally.counts, strict=True)) == recount
    assert {n: k for n, k in zip(names, tally.fit_counts, strict=True) if k} == refits
    chosen = {"all": np.full(DRAWS, True), "fit": fit, "none": np.full(DRAWS, False)}
    rows = chosen.get(keep, np.arange(DRAWS) < 100)
    np.testing.assert_array_equal(kept.solutions.run_id, every.solutions.run_id[rows])
    np.testing.assert_array_equal(kept.solutions.fit, fit[rows])


def test_guess_and_check_keeps_the_draws_of_the_prior_that_fit():
    """With a shared law draw i is the same in both."""
    (setting,), programs = _prior()
    (guess,), guess_programs = _guess(draws=DRAWS)
    draws = _finish(programs, (setting, 0, DRAWS))
    accepted = _finish(guess_programs, (guess, 0, DRAWS))
    fit = draws.solutions.fit
    assert 20 < fit.sum() < DRAWS / 2
    index = np.flatnonzero(fit)
    np.testing.assert_array_equal(accepted.solutions.run_id & 0xFFFFFFFF, index)
    np.testing.assert_array_equal(accepted.solutions.theta, draws.solutions.theta[fit])
    np.testing.assert_array_equal(accepted.functions, draws.functions[fit])
    assert np.all(accepted.solutions.fit)
    (tally,) = accepted.tallies
    assert (tally.draws, tally.fits, tally.fit_counts.sum()) == (DRAWS, fit.sum(), fit.sum())


def test_counting_stops_at_the_kth_acceptance():
    (guess,), programs = _guess(draws=DRAWS)
    every = _finish(programs, (guess, 0, DRAWS)).solutions
    for accepted in (1, 7, len(every)):
        cut = work(programs, [Piece(guess, 0, DRAWS)], Control(), Inputs(accepted))
        np.testing.assert_array_equal(cut.solutions.run_id, every.run_id[:accepted])
        (tally,) = cut.tallies
        assert tally.fits == accepted
        assert tally.draws == (every.run_id[accepted - 1] & 0xFFFFFFFF) + 1
    more = work(programs, [Piece(guess, 0, DRAWS)], Control(), Inputs(len(every) + 1))
    assert (more.tallies[0].draws, more.tallies[0].fits) == (DRAWS, len(every))


def test_acceptances_are_counted_over_shards(monkeypatch, tmp_path):
    """Many small shards give the rows and the number of draws of a single large one."""
    (prior,), prior_programs = _prior()
    fit = np.flatnonzero(_finish(prior_programs, (prior, 0, DRAWS)).solutions.fit)
    accepted = 40
    monkeypatch.setattr(sizes, "DRAWS_PER_SHARD", 128)
    source = {"kind": "guess_and_check", "law": LAW, "accepted": accepted, "max_draws": 100_000}
    summary = execution.run(_sweep(source, task=RULE_TASK, lanes=32), tmp_path / "out")
    assert summary.is_complete
    assert summary.computed > 2
    results = open_results(tmp_path / "out")
    index = results.runs(["run_id"])["run_id"].to_numpy() & 0xFFFFFFFF
    np.testing.assert_array_equal(np.sort(index), fit[:accepted])
    tallies = results.tallies(["what", "count"]).to_pandas().groupby("what")["count"].sum()
    assert tallies["fit"] == accepted
    assert tallies["draws"] == fit[accepted - 1] + 1
