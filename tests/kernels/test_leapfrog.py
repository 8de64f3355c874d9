"""Test losses, gradients and leapfrog steps: every implementation against float64."""

import ctypes
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.kernels import native
from sweep_engine.kernels.chain_moves import cpu, mapped, plain
from sweep_engine.kernels.chain_moves.case import Data, Density, Phase, Stride
from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.fused_training.convolution import Convolution
from tests.kernels.fused_training.raw import POISON

CASES = {
    "ragged": Case((3, 5, 17, 1), "tanh", False, "logistic", num_examples=37),
    "classes": Case((6, 20, 12, 4), "gelu", True, "cross_entropy", num_examples=11),
    "linear": Case((5, 1), "linear", True, "squared", num_examples=4),
    "blocks": Case(
        (4, 9, 9, 9, 1), "tanh", True, "squared_labels", num_examples=9, norm="layer",
        residual=True,
    ),
    "signals": Case(
        (9, 4, 3), "tanh", True, "cross_entropy", num_examples=21, image=(9, 1),
        convolutions=(Convolution(5, 3, 1, ((1, 1),), max_pool=2),),
    ),
}  # fmt: skip
"""Take several tiles of examples, a part of one, a single layer, and examples in lanes."""

NUM_RUNS, NUM_STEPS = 7, 5
TOLERANCE = 1e-5
"""Allows, relative, for float32: some hundred roundings of 6e-8, most of which cancel. A gradient
that lacks a term, or has a wrong one, is off by a thousand times as much."""

LONG = {"linear", "blocks", "signals"}


def of_cases(*names):
    marked = [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in names]
    return pytest.mark.parametrize("name", marked)


every_case = of_cases(*CASES)
every_implementation = pytest.mark.parametrize("implementation", mapped.IMPLEMENTATIONS)


def data_of(case, rng, rows):
    """Make examples that all networks share, or of each."""
    shape = rows, case.num_examples
    x = rng.normal(size=(*shape, case.widths[0]))
    if case.loss == "squared":
        return Data(x, rng.normal(size=shape))
    return Data(x, rng.integers(0, max(case.widths[-1], 2), shape).astype(float))


@functools.cache
def example(name, rows=1):
    """theta and data, then all of a leapfrog call, in float64 with values of float32."""
    case, rng = CASES[name], np.random.default_rng(3)
    data = data_of(case, rng, rows)
    z, momentum, slope = rng.normal(size=(3, NUM_RUNS, case.num_params))
    scale = rng.uniform(0.2, 0.6, (rows, case.num_params))
    weights = rng.uniform(0.5, 2.0, (2, NUM_RUNS))
    steps = np.full(NUM_RUNS, NUM_STEPS, np.int32)
    found = Phase(z, momentum, slope), Density(scale, *weights), data
    size = rng.choice([-1, 1], NUM_RUNS) * rng.uniform(0.05, 0.1, NUM_RUNS)
    given = jax.tree.map(lambda a: a.astype(np.float32).astype(float), (*found, size))
    return *given[:3], Stride(given[3], steps)


def in_float32(arrays):
    return jax.tree.map(lambda a: a.astype(np.float32) if a.dtype == float else a, arrays)


def theta_of(name, rows=1):
    phase, density, *_ = example(name, rows)
    return density.scale * phase.z


@functools.cache
def truth_of(name, rows):
    """Compute gradients and steps, by one program."""
    case, given = CASES[name], example(name, rows)

    def both(theta, *given):
        return plain.loss_gradient(case, theta, given[2]), plain.leapfrog(case, *given)

    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, jax.jit(both)(theta_of(name, rows), *given))


def true_gradient(name, rows=1):
    return truth_of(name, rows)[0]


def true_steps(name, rows=1):
    return truth_of(name, rows)[1]


def assert_near(found, truth):
    """Compare every network's arrays, relative to their length."""
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True):
        one, other = (np.asarray(a, float).reshape(NUM_RUNS, -1) for a in (one, other))
        gap = np.linalg.norm(one - other, axis=1)
        assert np.all(gap <= TOLERANCE * np.linalg.norm(other, axis=1))


@functools.cache
def compiled(implementation, function, case):
    return jax.jit(
        functools.partial(getattr(mapped.IMPLEMENTATIONS[implementation], function), case)
    )


def gradient_by(implementation, name, rows=1, theta=None):
    theta = theta_of(name, rows) if theta is None else theta
    call = compiled(implementation, "loss_gradient", CASES[name])
    return call(*in_float32((theta, example(name, rows)[2])))


def steps_by(implementation, name, rows=1, start=None, stride=None, **weights):
    phase, density, data, usual = example(name, rows)
    given = start or phase, density._replace(**weights), data, stride or usual
    return compiled(implementation, "leapfrog", CASES[name])(*in_float32(given))


@every_case
def test_gradients_and_steps_are_those_of_float64(name):
    assert_near(gradient_by("cpu", name), true_gradient(name))
    assert_near(steps_by("cpu", name), true_steps(name))


def test_the_plain_twin_is_as_near_in_float32():
    """Show that the tolerance is one of rounding."""
    assert_near(gradient_by("plain", "ragged"), true_gradient("ragged"))
    assert_near(steps_by("plain", "ragged"), true_steps("ragged"))


def test_each_network_may_have_examples_and_scales_of_its_own():
    assert_near(gradient_by("cpu", "ragged", NUM_RUNS), true_gradient("ragged", NUM_RUNS))
    assert_near(steps_by("cpu", "ragged", NUM_RUNS), true_steps("ragged", NUM_RUNS))


def a_little_more(array):
    return array * (1 + 1e-3)


def test_wrong_gradients_and_steps_are_caught():
    phase, density, _, stride = example("ragged")
    wrong = [
        gradient_by("cpu", "ragged", theta=a_little_more(theta_of("ragged"))),
        gradient_by("cpu", "ragged", theta=np.roll(theta_of("ragged"), 1, axis=1)),
    ]
    for found in wrong:
        with pytest.raises(AssertionError):
            assert_near(found, true_gradient("ragged"))
    wrong = [
        steps_by("cpu", "ragged", by_loss=a_little_more(density.by_loss)),
        steps_by("cpu", "ragged", by_square=a_little_more(density.by_square)),
        steps_by(
            "cpu", "ragged", stride=stride._replace(step_size=a_little_more(stride.step_size))
        ),
        steps_by("cpu", "ragged", stride=stride._replace(num_steps=stride.num_steps - 1)),
        steps_by("cpu", "ragged", start=phase._replace(slope=0 * phase.slope)),
    ]
    for found in wrong:
        with pytest.raises(AssertionError):
            assert_near(found, true_steps("ragged"))


@of_cases("ragged", "blocks")
def test_a_network_does_not_depend_on_the_others(name):
    """Have one that is NaN, or infinite, say so in its loss; its neighbours keep their bits."""
    theta, phase = theta_of(name).copy(), example(name)[0]
    theta[2, 0], theta[4] = np.nan, np.inf
    bad = phase._replace(z=theta)
    found = gradient_by("cpu", name, theta=theta), steps_by("cpu", name, start=bad)
    assert np.isnan(found[0][0][2])
    assert not np.isfinite(found[0][0][4])
    assert not np.isfinite(found[1][1][np.array([2, 4])]).any()
    others = np.delete(np.arange(NUM_RUNS), [2, 4])
    again = phase._replace(z=np.where(np.isfinite(theta), theta, 0.0))
    truth = gradient_by("cpu", name, theta=again.z), steps_by("cpu", name, start=again)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True):
        np.testing.assert_array_equal(one[others], other[others])
    alone = gradient_by("cpu", name, theta=again.z[5:6])
    for one, other in zip(alone, truth[0], strict=True):
        np.testing.assert_array_equal(one[0], other[5])


def poisoned(*shapes):
    return [np.full(shape, POISON, np.uint32).view(np.float32) for shape in shapes]


class Rows(ctypes.Structure):
    """`Rows` in cpu/arguments.h."""

    _fields_ = (("data", ctypes.c_void_p), ("stride", ctypes.c_int64))


def call_here(case, function, count, arrays, shared, results, *numbers):
    """Call a kernel without XLA: arrays, of which some are shared, and results are its struct."""
    of_arrays = [
        Rows(a.ctypes.data, 0) if i in shared else a.ctypes.data
        for i, a in enumerate([*arrays, *results])
    ]
    types = [Rows if isinstance(a, Rows) else ctypes.c_void_p for a in of_arrays]
    types += [ctypes.c_int64] * 2 + [ctypes.c_int32] * len(numbers)
    fields = [(f"field_{i}", one) for i, one in enumerate(types)]
    struct = type("Arguments", (ctypes.Structure,), {"_fields_": fields})
    packed = struct(*of_arrays, count, 0, *numbers)  # it counts the items itself
    getattr(native.load(cpu.build(case)), function)(ctypes.byref(packed))


@every_case
def test_every_number_is_written(name):
    phase, density, data, stride = in_float32(example(name))
    shape = NUM_RUNS, CASES[name].num_params
    given = [np.asarray(a) for a in cpu.gradient_operands(theta_of(name), data)]
    loss, gradient = found = poisoned((NUM_RUNS,), shape)
    call_here(CASES[name], "gradients_here", NUM_RUNS, given, (1, 2), found)
    assert_near((loss, gradient), true_gradient(name))
    given = [np.asarray(a) for a in cpu.leapfrog_operands(phase, density, data, stride)]
    found = poisoned(*[shape] * 3, (NUM_RUNS,))
    call_here(CASES[name], "trajectories_here", NUM_RUNS, given, (3, 6, 7), found)
    assert_near((Phase(*found[:3]), found[3]), true_steps(name))


def test_a_mapped_loss_is_differentiated_by_one_call_of_the_block():
    """Take what the lanes share in one row."""
    one = mapped.mean_loss(CASES["ragged"], "cpu")
    theta, (x, y) = theta_of("ragged").astype(np.float32), in_float32(example("ragged")[2])
    over = jax.vmap(jax.value_and_grad(lambda theta: 3 * one(theta, x[0], y[0])))
    loss, gradient = over(theta)
    assert_near((loss / 3, gradient / 3), true_gradient("ragged"))
    every = list(eqns(jax.make_jaxpr(over)(theta).jaxpr))
    (call,) = [eqn for eqn in every if eqn.primitive.name == "ffi_call"]
    assert [v.aval.shape[0] for v in call.invars] == [NUM_RUNS, 1, 1]


def eqns(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn
        for part in jax.tree.leaves(eqn.params, is_leaf=lambda p: hasattr(p, "eqns")):
            if hasattr(part := getattr(part, "jaxpr", part), "eqns"):
                yield from eqns(part)


def test_mapped_steps_are_those_of_the_block():
    phase, density, data, stride = in_float32(example("ragged"))
    one = mapped.leapfrog(CASES["ragged"], "cpu")
    shared = Data(data.x[0], data.y[0])
    over = jax.vmap(
        lambda phase, by_loss, size: one(
            phase, Density(density.scale[0], by_loss, jnp.float32(1)), shared,
            Stride(size, jnp.int32(NUM_STEPS)),
        )
    )  # fmt: skip
    found = over(phase, density.by_loss, stride.step_size)
    truth = steps_by("cpu", "ragged", by_square=np.ones(NUM_RUNS))
    for mine, other in zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True):
        np.testing.assert_array_equal(mine, other)
    alone, log_density = one(
        jax.tree.map(lambda a: a[3], phase),
        Density(density.scale[0], density.by_loss[3], jnp.float32(1)),
        shared,
        Stride(stride.step_size[3], jnp.int32(NUM_STEPS)),
    )
    np.testing.assert_array_equal(alone.z, truth[0].z[3])
    assert log_density == truth[1][3]


@every_implementation
@pytest.mark.parametrize("what", ["theta", "x", "y", "scale"])
def test_other_shapes_are_refused(what, implementation):
    phase, density, data, stride = in_float32(example("linear"))
    phase = phase._replace(z=phase.z[:, 1:]) if what == "theta" else phase
    density = density._replace(scale=density.scale[:, 1:]) if what == "scale" else density
    data = data._replace(**{what: getattr(data, what)[:, 1:]}) if what in "xy" else data
    by = mapped.IMPLEMENTATIONS[implementation]
    with pytest.raises(ValueError, match=f"expected {what} of shape"):
        by.leapfrog(CASES["linear"], phase, density, data, stride)
