"""A segment of training in plain JAX: the truth that the kernels are held to."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from sweep_engine.kernels.fused_training.case import (
    DIVERGED,
    FIT,
    LOSS_REACHED,
    MAX_STEPS,
    RUNNING,
    Adam,
    Case,
    Checks,
    Data,
    KernelState,
    Limits,
    Segment,
    Sgd,
    check_segment,
)
from sweep_engine.kernels.fused_training.convolution import Convolution

Records = Float[Array, "R T 2"]

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "gelu": jax.nn.gelu, "linear": lambda x: x}
"""The activations by name; `gelu` is the tanh approximation."""

EPSILON = 1e-5
"""Adds to the mean square of norms, which may be 0."""


def start(case: Case, theta: Float[Array, "R P"]) -> KernelState:
    """Make the states of runs that have not taken a step."""
    num_runs = len(theta)
    nan = jnp.full(num_runs, jnp.nan, theta.dtype)
    zero = jnp.zeros(num_runs, jnp.int32)
    moments = jnp.zeros((num_runs, case.num_moments * case.num_params), theta.dtype)
    return KernelState(theta, moments, zero, zero + RUNNING, zero - 1, zero, nan, nan)


def train_segment(
    case: Case,
    checks: Checks,
    state: KernelState,
    hyper: Sgd | Adam,
    limits: Limits,
    data: Data,
    segment: Segment,
    *,
    num_records: int,
) -> tuple[KernelState, Records]:
    """Train every network for its number of turns.

    Gradients are of the mean loss over the step's examples, plus l2 theta; then
    theta <- theta - learning_rate (u + weight_decay theta), with u the optimiser's direction.
    A check at step s is of the whole training set, due where s is a multiple of `every` or
    max_steps is reached. It ends a run that has diverged, fits, has reached its loss or is
    out of steps, the first of these that holds.

    Args:
        case: What is static.
        checks: The rule, static too.
        state: Where the runs are.
        hyper: Their hyperparameters.
        limits: Where they end.
        data: The training examples, of all networks.
        segment: Turns and minibatches.
        num_records: T, recorded checks.

    Returns:
        The states, and (loss, error) at the first T multiples of `every` that are steps of this
        segment; NaN where no such check was made.

    Raises:
        ValueError: the minibatches are not of the case's size.
    """
    check_segment(case, segment)
    one = partial(_train_one, case, checks, num_records, data)
    return jax.vmap(one)(state, hyper, limits, segment)


class Measured(NamedTuple):
    """Hold what a check finds on the whole training set."""

    loss: Float[Array, ""]
    error: Float[Array, ""]


def _train_one(
    case: Case,
    checks: Checks,
    num_records: int,
    data: Data,
    state: KernelState,
    hyper: Sgd | Adam,
    limits: Limits,
    segment: Segment,
) -> tuple[KernelState, Float[Array, "T 2"]]:
    first_check = -(-state.step // checks.every)

    def turn(carry: tuple[Array, KernelState, Array]) -> tuple[Array, KernelState, Array]:
        i, before, records = carry
        regular = before.step % checks.every == 0
        due = regular | (before.step >= limits.max_steps)
        measured = _measure(case, before.theta, data)
        state = select(due, check(case, checks, before, limits, measured), before)
        here = jnp.arange(num_records) == before.step // checks.every - first_check
        records = jnp.where((here & regular)[:, None], jnp.stack(measured), records)
        examples = data if case.minibatch is None else _take(data, segment.indices[i])
        stepped = step(case, state, hyper, examples)
        return i + 1, select(state.status == RUNNING, stepped, state), records

    def goes_on(carry: tuple[Array, KernelState, Array]) -> Bool[Array, ""]:
        i, state, _ = carry
        return (i < segment.num_turns) & (state.status == RUNNING)

    records = jnp.full((num_records, 2), jnp.nan, state.theta.dtype)
    _, state, records = jax.lax.while_loop(goes_on, turn, (jnp.int32(0), state, records))
    return state, records


def _take(data: Data, index: Int[Array, " B"]) -> Data:
    return Data(data.x[index], data.y[index])


def outputs(case: Case, theta: Float[Array, " P"], x: Float[Array, "N D"]) -> Float[Array, "N C"]:
    """Compute the outputs of one network."""
    offset = 0

    def taken(*shape: int) -> Array:
        nonlocal offset
        offset += prod(shape)
        return theta[offset - prod(shape) : offset].reshape(shape)

    def biases(size: int) -> Array | float:
        return taken(size) if case.bias else 0.0

    activation = ACTIVATIONS[case.activation]
    if case.convolutions:
        x = x.reshape(len(x), *case.image)
    for one in case.convolutions:
        window = (one.kernel,) * len(one.padding)
        x = _convolved(x, taken(*window, x.shape[-1], one.channels), one)
        x = activation(x + biases(one.channels))
        x = _pooled(_pooled(x, one.max_pool, jnp.max), one.mean_pool, jnp.mean)
    x = x.reshape(len(x), -1)
    features = (x.shape[1], *case.widths[1:])
    layers = [(taken(n, m), biases(m)) for n, m in pairwise(features)]
    norms = iter([(taken(n), taken(n) if case.norm == "layer" else 0.0) for n in case.norms])

    def dense(x: Array) -> Array:
        weights, bias = layers.pop(0)
        return jnp.matmul(x, weights, precision="highest") + bias

    def norm(x: Array) -> Array:
        return normalised(x, *next(norms), centred=case.norm == "layer") if case.norm else x

    x = dense(x)
    while case.residual and len(layers) > 1:
        x = x + dense(activation(dense(norm(x))))
    while layers and not case.residual:
        x = dense(activation(norm(x)))
    return dense(norm(x)) if layers else x


def normalised(
    x: Float[Array, "N H"], gain: Float[Array, " H"], bias: Array | float, *, centred: bool
) -> Float[Array, "N H"]:
    """Normalise the units of every example; a layer norm takes their mean away first."""
    x = x - jnp.mean(x, axis=1, keepdims=True) if centred else x
    square = jnp.mean(x**2, axis=1, keepdims=True)
    return (1 + gain) * x / jnp.sqrt(square + EPSILON) + bias


def _convolved(x: Float[Array, "N *L D"], weights: Array, one: Convolution) -> Array:
    axes = "HW"[: len(one.padding)]
    return jax.lax.conv_general_dilated(
        x,
        weights,
        (one.stride,) * len(axes),
        one.padding,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        precision="highest",
    )


def _pooled(x: Float[Array, "N *L D"], side: int, summary: Callable[..., Array]) -> Array:
    """Summarise windows that do not overlap; what is left over at an axis's end is dropped."""
    num, *sides, channels = x.shape
    whole = [n // side for n in sides]
    x = x[(slice(None), *(slice(n * side) for n in whole))]
    split = x.reshape(num, *(part for n in whole for part in (n, side)), channels)
    return summary(split, axis=tuple(range(2, split.ndim - 1, 2)))


def losses(case: Case, f: Float[Array, "N C"], y: Array) -> Float[Array, " N"]:
    """Compute the loss of every example from the outputs."""
    match case.loss:
        case "logistic":
            return jax.nn.softplus(-(2.0 * y - 1.0) * f[:, 0])
        case "cross_entropy":
            return -jnp.take_along_axis(jax.nn.log_softmax(f), y[:, None], axis=1)[:, 0]
        case "squared":
            return 0.5 * (f[:, 0] - y) ** 2
        case "squared_labels":
            return 0.5 * (f[:, 0] - (2.0 * y - 1.0)) ** 2


def _measure(case: Case, theta: Float[Array, " P"], data: Data) -> Measured:
    f = outputs(case, theta, data.x)
    loss = jnp.mean(losses(case, f, data.y))
    if case.loss == "squared":
        return Measured(loss, jnp.full_like(loss, jnp.nan))
    labels = jnp.argmax(f, axis=1) if case.loss == "cross_entropy" else f[:, 0] > 0
    wrong = (labels != data.y) | jnp.any(jnp.isnan(f), axis=1)
    return Measured(loss, jnp.mean(wrong.astype(f.dtype)))


def check(
    case: Case, checks: Checks, state: KernelState, limits: Limits, found: Measured
) -> KernelState:
    """Note what a check found, and whether it ends the run."""
    if checks.rule == "train_error":  # as counts, so that a share means so many examples
        allowed = limits.fit * case.num_examples + 1e-3
        holds = found.error * case.num_examples <= allowed
    else:
        holds = found.loss <= limits.fit
    fit = holds & jnp.isfinite(found.loss)
    fit_step = jnp.where(fit & (state.fit_step < 0), state.step, state.fit_step)
    ends = {  # the last one that holds
        MAX_STEPS: state.step >= limits.max_steps,
        LOSS_REACHED: found.loss <= limits.loss,
        FIT: (fit_step >= 0) & checks.stop_at_fit,
        DIVERGED: ~jnp.isfinite(found.loss),
    }
    status = jnp.full_like(state.status, RUNNING)
    for end, holds in ends.items():
        status = jnp.where(holds, end, status)
    return state._replace(
        status=status,
        fit_step=fit_step,
        fit=fit.astype(jnp.int32),
        loss=found.loss,
        error=found.error,
    )


def step(case: Case, state: KernelState, hyper: Sgd | Adam, examples: Data) -> KernelState:
    """Take one step of one network."""

    def objective(theta: Array) -> Array:
        return jnp.mean(losses(case, outputs(case, theta, examples.x), examples.y))

    gradient = jax.grad(objective)(state.theta)
    moments = tuple(jnp.split(state.moments, case.num_moments))
    theta, moments = update(case, hyper, state.theta, moments, gradient, state.step)
    return state._replace(theta=theta, moments=jnp.concatenate(moments), step=state.step + 1)


def update(
    case: Case,
    hyper: Sgd | Adam,
    theta: Array,
    moments: tuple[Array, ...],
    gradient: Array,
    step: Int[Array, "..."],
) -> tuple[Array, tuple[Array, ...]]:
    """Update parameters and moments by the gradient of the mean loss, each element by itself."""
    gradient += hyper.l2 * theta
    if isinstance(hyper, Adam):
        direction, moments = _adam(hyper, moments, gradient, step)
    else:
        moment = gradient + hyper.momentum * moments[0]
        nesterov = case.optimizer == "nesterov"
        direction = gradient + hyper.momentum * moment if nesterov else moment
        moments = (moment,)
    return theta - hyper.learning_rate * (direction + hyper.weight_decay * theta), moments


def _adam(
    hyper: Adam, moments: tuple[Array, ...], gradient: Array, step: Int[Array, "..."]
) -> tuple[Array, tuple[Array, ...]]:
    first, second = moments
    first = hyper.b1 * first + (1 - hyper.b1) * gradient
    second = hyper.b2 * second + (1 - hyper.b2) * gradient**2
    count = (step + 1).astype(gradient.dtype)
    unbiased = first / (1 - hyper.b1**count), second / (1 - hyper.b2**count)
    return unbiased[0] / (jnp.sqrt(unbiased[1]) + hyper.eps), (first, second)


def select(condition: Bool[Array, "..."], yes: Any, no: Any) -> Any:
    """Choose between two trees where a condition holds and where it does not."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
