"""Training by the kernel is training by XLA, but for the order in which sums are rounded."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, Finished, open_source, work
from sweep_engine.sources.train import programs as train_programs
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.settings import Setting

RUNS, LANES = 40, 16
SGD = {"kind": "sgd", "learning_rate": 0.5, "momentum": 0.8, "l2": 0.001}
ADAM = {"kind": "adam", "learning_rate": 0.02, "weight_decay": 0.01}
RATE = "sources.sgd.optimizer.learning_rate"

CASES = {
    "sgd, full batch": {"optimizer": SGD, "stop": {"max_steps": 200}},
    "nesterov, checks of their own": {
        "optimizer": SGD | {"nesterov": True},
        "batch_size": 4,
        "stop": {"max_steps": 150, "fit": False, "check_every": 7, "train_loss": 0.2},
    },
    "adam, with replacement": {
        "optimizer": ADAM,
        "batch_size": 6,
        "sampling": "with_replacement",
        "stop": {"max_steps": 150},
    },
}
SOURCE = {"optimizer": SGD, "batch_size": 10, "stop": {"max_steps": 60, "train_loss": 0.5}}
LONG = {"nesterov, checks of their own"}
RELATIVE = 1e-4
"""What two roundings may differ by: float32 keeps 6e-8 of a value, a gradient's sum of 20 terms
some 3e-7; over up to 200 steps of a smooth network errors add up and grow, tenfold by a
minibatch's turns. Parameters that differ by 5 % of a rate differ by 1e-2."""


CNN = {"kind": "cnn", "channels": [4, 3], "kernel": [3, 2], "padding": ["same", 1],
       "stride": [1, 2], "max_pool": [2, 1], "dense": [5], "activation": "tanh"}  # fmt: skip
"""Takes signals of 5 numbers: 5 positions, pooled to 2, then 2 with zeros at the ends."""

BLOCKS = {"kind": "residual", "blocks": 1, "width": 8, "activation": "tanh", "norm": "layer"}
SLOWLY = SOURCE | {"optimizer": SGD | {"learning_rate": 0.02}}
"""Keeps away from units that are all alike, where a norm makes much of how they are rounded."""

MODELS = {"convolutions": (SOURCE, CNN), "blocks": (SLOWLY, BLOCKS)}


def programs_of(
    implementation: str,
    source: dict,
    activation: str = "tanh",
    lanes: int = LANES,
    model: dict | None = None,
):
    rate = source["optimizer"]["learning_rate"]
    spec = {"kind": "train", "init": {"kind": "lecun_normal"}, "runs": RUNS} | source
    sweep = Sweep.model_validate(
        {
            "name": "kernel",
            "seed": 3,
            "task": {"kind": "boolean", "bits": 5, "target": "x1 ^ x2", "train": 20},
            "model": model or {"kind": "mlp", "widths": [12], "activation": activation},
            "sources": {"sgd": spec},
            "axes": {RATE: [0.5 * rate, rate]},
            "execution": {"implementation": implementation, "lanes": lanes},
        }
    )
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    return programs, found


def trained(programs, found: list[Setting], runs: int = RUNS) -> Finished:
    return work(programs, [Piece(setting, 0, runs) for setting in found], Control())


def by(implementation: str, source: dict, activation: str = "tanh") -> Finished:
    return trained(*programs_of(implementation, source, activation))


def same_ends(one: Finished, other: Finished) -> np.ndarray:
    a, b = one.solutions, other.solutions
    return np.all(
        [getattr(a, f) == getattr(b, f) for f in ("status", "steps", "fit_step", "fit")], 0
    )


def gaps(one: Finished, other: Finished) -> np.ndarray:
    """Relative distance of every run's parameters."""
    a, b = (np.float64(finished.solutions.theta) for finished in (one, other))
    return np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)


def assert_same_training(one: Finished, other: Finished) -> None:
    """A run within rounding of fitting may fit a check later; 1 in 40 is far more than do."""
    assert np.array_equal(one.solutions.run_id, other.solutions.run_id)
    same = same_ends(one, other)
    assert same.mean() >= 0.975
    assert np.max(gaps(one, other)[same]) <= RELATIVE
    np.testing.assert_allclose(
        one.columns["train_loss"][same], other.columns["train_loss"][same], rtol=RELATIVE, atol=1e-6
    )
    for run in one.solutions.run_id[same]:
        a, b = (curve_of(finished, run) for finished in (one, other))
        np.testing.assert_array_equal(a[:, 0], b[:, 0])
        np.testing.assert_allclose(a[:, 1], b[:, 1], rtol=RELATIVE, atol=1e-6)
        np.testing.assert_allclose(a[:, 2], b[:, 2], rtol=1e-7)  # k / N, rounded either way


def curve_of(finished: Finished, run: int) -> np.ndarray:
    """Step, loss and error of a run's recorded checks."""
    curves = finished.curves
    mine = curves.run_id == run
    return np.stack([curves.step, curves.train_loss, curves.train_error], axis=1)[mine]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.long] * (n in LONG)) for n in CASES]
)
def test_smooth_networks_are_trained_alike(name):
    kernel, xla = (by(implementation, CASES[name]) for implementation in ("cpu", "xla"))
    assert_same_training(kernel, xla)
    assert len(set(xla.solutions.steps)) > 5, "the runs should end at different times"
    if name == "sgd, full batch":
        faster = SGD | {"l2": 0.0011}
        wrong = by("cpu", CASES[name] | {"optimizer": faster})
        with pytest.raises(AssertionError):
            assert_same_training(wrong, xla)


@pytest.mark.parametrize("name", MODELS)
def test_other_networks_are_trained_alike(name):
    """Compare theta: the same parameters stand in the same places."""
    source, model = MODELS[name]
    kernel, xla = (
        trained(*programs_of(implementation, source, model=model))
        for implementation in ("cpu", "xla")
    )
    assert_same_training(kernel, xla)
    assert len(set(xla.solutions.steps)) > 5, "the runs should end at different times"


RELU = {
    "optimizer": SGD | {"learning_rate": 0.2},
    "batch_size": 5,
    "stop": {"max_steps": 150, "train_loss": 1e-6},
}


@pytest.fixture(scope="module")
def kernel():
    programs, found = programs_of("cpu", RELU, "relu")
    return programs, found, trained(programs, found)


def started(programs, found: list[Setting]) -> Finished:
    """Runs that end where they start."""
    stop = found[0].spec.stop.model_copy(update={"train_loss": 1e9})
    still = [replace(s, spec=s.spec.model_copy(update={"stop": stop})) for s in found]
    return trained(programs, still)


def test_relu_networks_start_alike_and_most_end_alike(kernel):
    """Chaos parts those whose hidden unit is within rounding of 0, so by quantiles."""
    programs, found, by_kernel = kernel
    xla = programs.by("xla")
    starts = started(programs, found), started(xla, found)
    assert set(starts[0].solutions.steps) == {0}
    np.testing.assert_array_equal(starts[0].solutions.theta, starts[1].solutions.theta)
    by_xla = trained(xla, found)
    same = same_ends(by_kernel, by_xla)
    assert same.mean() >= 0.9
    median, most = np.quantile(gaps(by_kernel, by_xla)[same], [0.5, 0.9])
    assert median <= 1e-5
    assert most <= 1e-3


def assert_same_rows(one: Finished, other: Finished) -> None:
    """Bit for bit, for the runs that both have."""
    common, a, b = np.intersect1d(one.solutions.run_id, other.solutions.run_id, return_indices=True)
    assert len(common) > 0
    for name in ("theta", "status", "steps", "fit", "fit_step"):
        both = getattr(one.solutions, name)[a], getattr(other.solutions, name)[b]
        np.testing.assert_array_equal(*both, err_msg=name)
    np.testing.assert_array_equal(one.columns["train_loss"][a], other.columns["train_loss"][b])
    for run in common:
        np.testing.assert_array_equal(curve_of(one, run), curve_of(other, run))


def test_neighbours_and_places_change_no_bit(kernel):
    """Half of the runs, in another order: other neighbours, other lanes, refilled elsewhere."""
    programs, found, whole = kernel
    assert RunStatus.FIT in whole.solutions.status
    assert len(whole.solutions) > 2 * LANES, "lanes should be refilled"
    some = [Piece(found[1], 7, 31), Piece(found[0], 0, 3)]
    assert_same_rows(work(programs, some, Control()), whole)


def test_threads_change_no_bit(kernel):
    programs, found, whole = kernel
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(lambda _: trained(programs, found), range(4)):
            assert_same_rows(again, whole)


def test_the_width_of_the_block_changes_no_bit_of_a_kernels_run(kernel):
    """A network is trained alone; only what XLA draws could differ."""
    other = trained(*programs_of("cpu", RELU, "relu", lanes=8))
    assert_same_rows(other, kernel[2])


def test_a_block_of_many_starts_changes_no_bit_of_tiny_networks(monkeypatch):
    """Lanes start K at a time, however many blocks of K are trained at once."""
    source = CASES["sgd, full batch"] | {"runs": RUNS}
    wide, found = programs_of("cpu_tiny", source)
    assert wide.width == train_programs.TINY_LANES
    monkeypatch.setattr(train_programs, "TINY_LANES", LANES)
    narrow, _ = programs_of("cpu_tiny", source)
    assert narrow.width == LANES < 2 * RUNS
    by_narrow = trained(narrow, found)
    assert len(set(by_narrow.solutions.steps)) > 5, "the runs should end at different times"
    assert_same_rows(trained(wide, found), by_narrow)


def test_lanes_that_have_ended_cost_nothing(kernel):
    lane_steps = kernel[2].lane_steps
    assert lane_steps.busy == lane_steps.all == kernel[2].solutions.steps.sum()


def test_a_run_that_diverges_is_a_row_and_touches_no_other(kernel):
    programs, found, _ = kernel
    spec = found[1].spec.model_copy(
        update={"optimizer": found[1].spec.optimizer.model_copy(update={"learning_rate": 1e38})}
    )
    bad = replace(found[1], spec=spec)
    mixed = work(programs, [Piece(found[0], 0, 9), Piece(bad, 0, 9)], Control())
    diverged = mixed.solutions.setting == bad.id
    assert (mixed.solutions.status[diverged] == RunStatus.DIVERGED).all()
    clean = work(programs, [Piece(found[0], 0, 9)], Control())
    assert_same_rows(clean, mixed)
