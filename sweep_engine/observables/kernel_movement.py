"""Kernel movement: how far the neural tangent kernel and the layers have moved from the start."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.columns import Column
from sweep_engine.models import Network
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.observables.scales import weight_matrices
from sweep_engine.spec.observables import KernelMovement


def kernel_movement(spec: KernelMovement) -> Observable:
    """Make the observable."""
    return Observable(
        _columns(spec),
        compute=lambda outcome: _compute(spec, outcome),
        needs=("start_if_known", *(("test",) if spec.inputs == "test" else ())),
    )


def _columns(spec: KernelMovement) -> tuple[Column, ...]:
    kernel = f"the tangent kernel on the first {spec.examples} {spec.inputs} inputs"
    null = "null where no start is known"
    return (
        Column("kernel_trace", "float32", "",
               f"mean over inputs of |df/dtheta|^2, summed over outputs: trace of {kernel} over "
               "their number"),
        Column("kernel_target_alignment", "float32", "",
               f"centred cosine between {kernel} and that of the targets; NaN for one input"),
        Column("kernel_cka", "float32", "",
               f"centred cosine between {kernel} and the start's: 1, it has not turned (lazy); "
               f"NaN for one input; {null}"),
        Column("kernel_change", "float32", "",
               f"Frobenius distance from the start's kernel over its norm: 0, lazy; {null}"),
        Column("layer_relative_changes", "list<float32>", "",
               f"|W - W_0| / |W_0| of each layer's weights; {null}"),
    )  # fmt: skip


def tangent_kernel(
    network: Network, theta: Float[Array, " P"], inputs: Float[Array, "N ..."]
) -> Float[Array, "N N"]:
    """Sum the neural tangent kernel over outputs: K_ij = sum_c df_c(x_i) . df_c(x_j).

    Source:
        Jacot, Gabriel & Hongler (2018), NeurIPS, section 4.
    """

    def outputs(theta: Float[Array, " P"]) -> Float[Array, "N C"]:
        return network.apply(network.layout.unflatten(theta), inputs)

    def of_output(number: Array) -> Float[Array, "N N"]:
        jacobian = jax.jacrev(lambda theta: outputs(theta)[:, number])(theta)
        return jacobian @ jacobian.T

    num_outputs = jax.eval_shape(outputs, theta).shape[1]
    return jnp.sum(jax.lax.map(of_output, jnp.arange(num_outputs)), axis=0)


def cka(first: Float[Array, "N N"], second: Float[Array, "N N"]) -> Float[Array, ""]:
    """Compute the cosine between two kernels, both centred.

    Source:
        Cortes, Mohri & Rostamizadeh (2012), JMLR 13, 795, definition 4;
        Kornblith, Norouzi, Lee & Hinton (2019), ICML.
    """
    first, second = _centred(first), _centred(second)
    return jnp.sum(first * second) / (_norm(first) * _norm(second))


def _centred(kernel: Float[Array, "N N"]) -> Float[Array, "N N"]:
    rows = kernel - jnp.mean(kernel, axis=0, keepdims=True)
    return rows - jnp.mean(rows, axis=1, keepdims=True)


def _norm(array: Array) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(array * array))


def _compute(spec: KernelMovement, outcome: Outcome) -> dict[str, Array]:
    inputs, targets = outcome.train_inputs, outcome.train_targets
    if spec.inputs == "test":
        assert outcome.test_inputs is not None
        assert outcome.test_targets is not None
        inputs, targets = outcome.test_inputs, outcome.test_targets
    inputs, targets = inputs[: spec.examples], targets[: spec.examples]
    kernel = tangent_kernel(outcome.network, outcome.theta, inputs)
    pull = _pull(outcome, targets)
    values = {
        "kernel_trace": jnp.trace(kernel) / len(kernel),
        "kernel_target_alignment": cka(kernel, pull @ pull.T),
    }
    if outcome.start is None:
        return values
    before = tangent_kernel(outcome.network, outcome.start, inputs)
    return values | {
        "kernel_cka": cka(kernel, before),
        "kernel_change": _norm(kernel - before) / _norm(before),
        "layer_relative_changes": _changes(outcome, outcome.start),
    }


def _pull(outcome: Outcome, targets: Array) -> Float[Array, "N C"]:
    """Give where the loss pulls outputs of 0: the target, its sign, or its unit vector, centred."""
    zeros = jnp.zeros((len(targets), outcome.train_outputs.shape[1]), jnp.float32)
    return -jax.grad(lambda f: jnp.sum(outcome.loss.per_example(f, targets)))(zeros)


def _changes(outcome: Outcome, start: Float[Array, " P"]) -> Float[Array, " L"]:
    pairs = zip(outcome.weights(), weight_matrices(outcome.layout, start), strict=True)
    return jnp.stack([_norm(now - before) / _norm(before) for now, before in pairs])
