"""One base of tests for every implementation of a training segment."""

import functools
from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.kernels.fused_training import cpu, plain
from sweep_engine.kernels.fused_training.case import (
    DIVERGED,
    RUNNING,
    Adam,
    Case,
    Checks,
    KernelState,
)
from sweep_engine.kernels.fused_training.implementations import KNOW_BLOCKS, KNOW_CONVOLUTIONS
from tests.kernels.fused_training import raw
from tests.kernels.fused_training.cases import (
    BEYOND,
    CASES,
    KINKED,
    SMOOTH,
    Example,
    Train,
    make,
)
from tests.statistics import assert_catches, assert_same_law

IMPLEMENTATIONS: dict[str, Train] = {
    "plain": plain.train_segment,
    "cpu": cpu.train_segment,
    "cpu_tiny": cpu.train_tiny_segment,
    "cuda on the host": raw.cuda_on_host,  # its outputs and shared memory are poisoned too
    "tpu interpreted": raw.tpu_interpreted,
}
KERNELS = [name for name in IMPLEMENTATIONS if name != "plain"]
TOO_SLOW_FOR_MANY_RUNS = {"cuda on the host", "tpu interpreted"}  # barriers; small operations
NUM_RUNS = 12

SHORT = {"plain": ["ragged"]}
SHORT |= {"cpu": ["yardstick", "ragged", "classes", "signals", "images", "norms", "blocks"]}
SHORT |= {"cpu_tiny": ["ragged", "classes"]}
SHORT |= {"cuda on the host": ["ragged", "classes", "signals", "images", "pixels"]}
SHORT |= {"tpu interpreted": ["ragged"]}


def knows(implementation: str, name: str) -> bool:
    """Say whether an implementation knows all that a case asks for."""
    kernel, case = implementation.split()[0], CASES[name]
    has_blocks = case.norm or case.residual
    return (kernel in KNOW_CONVOLUTIONS or not case.convolutions) and (
        kernel in KNOW_BLOCKS or not has_blocks
    )


def pairs(
    implementations: list[str], names: list[str], long: Sequence[str] = ()
) -> pytest.MarkDecorator:
    """Every implementation with every case; a few of each are not long tests."""
    return pytest.mark.parametrize(
        ("implementation", "name"),
        [
            pytest.param(
                implementation,
                name,
                marks=[pytest.mark.long] * is_long,
                id=f"{implementation}-{name}",
            )
            for implementation in implementations
            for name in names
            if knows(implementation, name)
            for is_long in [name not in SHORT[implementation] or name in long]
        ],
    )


every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
every_kernel = pytest.mark.parametrize("implementation", KERNELS)


def assert_same_bits(one: KernelState, other: KernelState) -> None:
    for name, a, b in zip(KernelState._fields, one, other, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


@functools.cache
def in_float64(name: str, turns: int) -> KernelState:
    with jax.enable_x64(True):
        state, _ = make(CASES[name], NUM_RUNS, turns).in_float64().run(plain.train_segment)
        return jax.tree.map(np.asarray, state)


@functools.cache
def by_reference(name: str, turns: int) -> KernelState:
    return make(CASES[name], NUM_RUNS, turns).run(plain.train_segment)[0]


def distances(found: KernelState, truth: KernelState) -> np.ndarray:
    """Relative distance of every network's parameters, and of its moments, the larger."""

    def one(a: jax.Array, b: np.ndarray) -> np.ndarray:
        gap = np.asarray(a, np.float64) - b
        return np.linalg.norm(gap, axis=1) / np.linalg.norm(b, axis=1)

    return np.maximum(one(found.theta, truth.theta), one(found.moments, truth.moments))


@pairs(list(IMPLEMENTATIONS), list(CASES))
def test_first_gradient_is_that_of_float64(implementation, name):
    """After one step from rest the first moment is the gradient, or (1 - b1) times it."""
    example = make(CASES[name], NUM_RUNS, 1)
    hyper = example.hyper._replace(l2=0 * example.hyper.l2)
    state, _ = example._replace(hyper=hyper).run(IMPLEMENTATIONS[implementation])
    truth = gradients_in_float64(name)
    found = np.asarray(state.moments, np.float64)[:, : CASES[name].num_params]
    if isinstance(hyper, Adam):
        found /= 1 - np.asarray(hyper.b1, np.float64)[:, None]
    errors = np.linalg.norm(found - truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert errors.max() <= 1e-5


def test_a_convolution_one_place_further_on_is_caught():
    """Find another gradient by far more than the test above allows."""
    first, *others = CASES["signals"].convolutions
    moved = replace(first, padding=((1, 2),))
    wrong = replace(CASES["signals"], convolutions=(moved, *others))
    example = make(CASES["signals"], 1, 1)
    both = [example._replace(case=case) for case in (example.case, wrong)]
    right, other = jax.jit(lambda: [gradient(each, 0) for each in both])()
    assert jnp.linalg.norm(right - other) >= 0.01 * jnp.linalg.norm(right)


def test_a_norm_without_the_means_gradient_is_caught(monkeypatch):
    """Find another gradient by far more than the test above allows."""
    example = make(CASES["norms"], 1, 1)
    right = jax.jit(lambda: gradient(example, 0))()
    normalised = plain.normalised

    def wrong(x, gain, bias, *, centred):
        mean = jax.lax.stop_gradient(jnp.mean(x, axis=1, keepdims=True))
        return normalised(x - mean if centred else x, gain, bias, centred=False)

    monkeypatch.setattr(plain, "normalised", wrong)
    other = jax.jit(lambda: gradient(example, 0))()
    assert jnp.linalg.norm(right - other) >= 0.01 * jnp.linalg.norm(right)


@pytest.mark.parametrize("implementation", ["cpu", "cuda on the host"])
def test_equal_maxima_share_the_gradient(implementation):
    """Take a flat signal, all positions of which are equal; Adam's first moment is their share."""
    example = make(CASES["signals"], 2, 1)
    example = example._replace(data=example.data._replace(x=jnp.full_like(example.data.x, 0.5)))
    found, _ = example.run(IMPLEMENTATIONS[implementation])
    truth, _ = example.run(plain.train_segment)
    assert distances(found, truth).max() <= 1e-5


@functools.cache
def gradients_in_float64(name: str) -> np.ndarray:
    with jax.enable_x64(True):
        wide = make(CASES[name], NUM_RUNS, 1).in_float64()
        every = jax.jit(jax.vmap(functools.partial(gradient, wide)))
        return np.asarray(every(jnp.arange(NUM_RUNS)))


def gradient(example: Example, network: jax.Array) -> jax.Array:
    case, (x, y) = example.case, example.data
    if case.minibatch:
        chosen = example.segment.indices[network, 0]
        x, y = x[chosen], y[chosen]

    def mean_loss(theta):
        return jnp.mean(plain.losses(case, plain.outputs(case, theta, x), y))

    return jax.grad(mean_loss)(example.state.theta[network])


def assert_as_near(found: KernelState, name: str, turns: int) -> None:
    """As near to float64 as the reference's float32 is, up to a factor for another order of sums.

    Rounding errors of the two are alike in size and independent: a factor of 10 leaves room
    for their spread over networks; a wrong term is larger by 1000 (see the next test).
    """
    truth = in_float64(name, turns)
    allowed = 10 * np.median(distances(by_reference(name, turns), truth)) + 1e-6
    assert np.median(distances(found, truth)) <= allowed


@pairs(KERNELS, SMOOTH, long=BEYOND)
def test_fifty_smooth_steps(implementation, name):
    found, _ = make(CASES[name], NUM_RUNS, 50).run(IMPLEMENTATIONS[implementation])
    assert_as_near(found, name, 50)


@pytest.mark.parametrize("field", ["learning_rate", "l2", "weight_decay"])
@every_kernel
def test_fifty_steps_catch_a_wrong_hyperparameter(implementation, field):
    example = make(CASES["ragged"], NUM_RUNS, 50)
    wrong = example.hyper._replace(**{field: 1.05 * getattr(example.hyper, field)})
    found, _ = example._replace(hyper=wrong).run(IMPLEMENTATIONS[implementation])
    with pytest.raises(AssertionError):
        assert_as_near(found, "ragged", 50)


@pairs(KERNELS, KINKED)
def test_twenty_steps_with_kinks_by_quantiles(implementation, name):
    """A hidden unit within rounding of 0 takes another side: most networks meet none."""
    found, _ = make(CASES[name], NUM_RUNS, 20).run(IMPLEMENTATIONS[implementation])
    median, most = np.quantile(distances(found, in_float64(name, 20)), [0.5, 0.75])
    assert median <= 1e-5
    assert most <= 1e-3


@pairs(KERNELS, ["yardstick", "classes"])
def test_a_network_does_not_depend_on_the_others(implementation, name):
    train = IMPLEMENTATIONS[implementation]
    example = make(CASES[name], 5, 9)
    example = example._replace(
        segment=example.segment._replace(num_turns=jnp.array([9, 0, 3, 9, 1], jnp.int32))
    )
    together, records = example.run(train)
    assert together.step.tolist() == [9, 0, 3, 9, 1]
    for r in range(5):
        alone, record = example.networks(slice(r, r + 1)).run(train)
        assert_same_bits(alone, jax.tree.map(lambda a, r=r: a[r : r + 1], together))
        np.testing.assert_array_equal(record[0], records[r])


@every_implementation
def test_no_turns_change_nothing(implementation):
    example = make(CASES["ragged"], 3, 6)
    still = example.segment._replace(num_turns=jnp.zeros(3, jnp.int32))
    state, records = example._replace(segment=still).run(IMPLEMENTATIONS[implementation])
    assert_same_bits(state, example.state)
    assert np.isnan(records).all()


@pytest.mark.parametrize("spoilt", ["theta", "learning_rate"])
@pytest.mark.parametrize(
    ("implementation", "name"),
    [
        *((implementation, "yardstick") for implementation in IMPLEMENTATIONS),
        ("cpu", "signals"),
        ("cuda on the host", "signals"),
        ("cpu", "norms"),
    ],
)
def test_a_network_that_is_nan_ends_and_touches_no_other(implementation, name, spoilt):
    """At its start, or by an infinite step, which spoils padding too."""
    example = make(CASES[name], 6, 5, every=1)
    train = IMPLEMENTATIONS[implementation]
    clean, _ = example.run(train)
    bad = jnp.array([True, True, False, True, False, False])
    if spoilt == "theta":
        theta = example.state.theta.at[:, 7].set(jnp.where(bad, jnp.nan, 0.1))
        example = example._replace(state=example.state._replace(theta=theta))
        clean, _ = example._replace(state=example.state._replace(theta=jnp.nan_to_num(theta))).run(
            train
        )
    else:
        rate = jnp.where(bad, jnp.inf, example.hyper.learning_rate)
        example = example._replace(hyper=example.hyper._replace(learning_rate=rate))
    state, _ = example.run(train)
    assert state.status.tolist() == [DIVERGED if b else RUNNING for b in bad]
    np.testing.assert_array_equal(state.theta[~bad], clean.theta[~bad])
    assert not np.isfinite(state.theta[bad]).all(axis=1).any()
    assert (state.step[bad] == (0 if spoilt == "theta" else 1)).all()


@pairs(list(IMPLEMENTATIONS), ["yardstick", "classes"])
def test_two_segments_are_one(implementation, name):
    train = IMPLEMENTATIONS[implementation]
    whole = make(CASES[name], 4, 10)
    state, records = whole.run(train)
    indices = whole.segment.indices
    turns = jnp.full(4, 5, jnp.int32)
    half = whole._replace(segment=whole.segment._replace(num_turns=turns))
    between, first_records = half.run(train)
    rest = half._replace(
        state=between, segment=half.segment._replace(indices=jnp.roll(indices, -5, axis=1))
    )
    again, last_records = rest.run(train)
    assert_same_bits(again, state)
    # Checks at 0 and 4, then at 8.
    np.testing.assert_array_equal(records[:, :2], first_records[:, :2])
    np.testing.assert_array_equal(records[:, 2], last_records[:, 0])


RULES = {"yardstick": "train_error", "classes": "train_loss", "deep linear": "train_loss"}
SHORT_RULE = dict.fromkeys(KERNELS, "yardstick") | {"tpu interpreted": "deep linear"}


@pytest.mark.parametrize(
    ("implementation", "name"),
    [
        pytest.param(implementation, name, marks=[pytest.mark.long] * is_long)
        for implementation in KERNELS
        for name in RULES
        for is_long in [name != SHORT_RULE[implementation]]
    ],
)
def test_runs_end_as_the_reference_ends_them(implementation, name):
    """By every end there is; a loss within rounding of its limit may end a run a check later."""
    case, rule = CASES[name], RULES[name]
    example = make(case, 60, 40, every=3)
    runs = jnp.arange(60)
    limits = example.limits._replace(
        max_steps=jnp.where(runs % 4 == 0, 20, 10**6),
        fit=jnp.float32(0.2) + 0.005 * runs,
        loss=jnp.where(runs % 4 == 1, 0.66, -jnp.inf).astype(jnp.float32),
    )
    # Those that are to diverge.
    rate = jnp.where(runs % 4 == 3, jnp.inf, example.hyper.learning_rate)
    example = example._replace(
        checks=Checks(3, rule), limits=limits, hyper=example.hyper._replace(learning_rate=rate)
    )
    with jax.enable_x64(True):
        wide = jax.tree.map(np.asarray, example.in_float64().run(plain.train_segment, 30))
    truth, twin_records = example.run(plain.train_segment, 30)
    found, records = example.run(IMPLEMENTATIONS[implementation], 30)
    same = np.ones(60, bool)
    for field in ("status", "step", "fit_step", "fit"):
        for other in (found, wide[0]):
            same &= np.asarray(getattr(other, field) == getattr(truth, field))
    assert same.mean() >= 0.9
    kept = [np.asarray(each, np.float64)[same] for each in (records, twin_records, wide[1])]
    assert_records_as_near(*kept)
    with pytest.raises(AssertionError):  # losses that are off by a thousandth
        assert_records_as_near(kept[0] * [1.001, 1.0], *kept[1:])
    assert len(set(truth.status.tolist())) >= 3, "the example should end runs in several ways"


def assert_records_as_near(found: np.ndarray, plain: np.ndarray, truth: np.ndarray) -> None:
    """Losses are as near to those in float64 as the reference's, errors are the same.

    As in `assert_as_near`: rounding errors of the two are independent and alike in size. An
    output within rounding of 0 may have another label.
    """
    made = np.isfinite(truth[..., 0])
    np.testing.assert_array_equal(np.isfinite(found[..., 0]), made)
    gaps = [np.abs(each - truth)[made][:, 0] / truth[made][:, 0] for each in (found, plain)]
    sizes = [np.quantile(gap, 0.95) for gap in gaps]
    assert sizes[0] <= 10 * sizes[1] + 1e-6
    errors = np.isclose(found[made][:, 1], truth[made][:, 1], rtol=1e-6, equal_nan=True)
    assert errors.mean() >= 0.99


def final_losses(train: Train, seed: int, rate: float = 1.0) -> np.ndarray:
    case = Case((3, 12, 12, 1), "relu", True, "logistic", "sgd", 32, 8)
    example = make(case, 512, 40, seed=seed, every=39)
    hyper = example.hyper._replace(learning_rate=rate * example.hyper.learning_rate)
    state, _ = example._replace(hyper=hyper).run(train)
    return np.asarray(state.loss)


@pytest.mark.parametrize("implementation", sorted(set(KERNELS) - TOO_SLOW_FOR_MANY_RUNS))
def test_final_losses_have_the_law_of_the_reference(implementation):
    truth = final_losses(plain.train_segment, 1)
    train = IMPLEMENTATIONS[implementation]
    assert_same_law(final_losses(train, 2), truth)
    assert_catches(
        lambda sample: assert_same_law(sample, truth), lambda: final_losses(train, 2, rate=0.5)
    )


@pytest.mark.parametrize("name", ["ragged", "yardstick", "signals", "blocks"])
def test_all_of_the_outputs_is_written(name):
    """Called without XLA and with outputs full of NaN, the CPU kernel gives the same bits."""
    example = make(CASES[name], 3, 6)
    state, records = example.run(cpu.train_segment, 5)
    spoilt, spoilt_records = example.run(raw.cpu_segment, 5)
    assert_same_bits(spoilt, state)
    np.testing.assert_array_equal(spoilt_records, records)


@every_implementation
def test_minibatches_of_another_size_are_refused(implementation):
    example = make(CASES["ragged"], 2, 3)
    wrong = example.segment._replace(indices=jnp.zeros((2, 3, 4), jnp.int32))
    with pytest.raises(ValueError, match="minibatches of 5"):
        example._replace(segment=wrong).run(IMPLEMENTATIONS[implementation])
