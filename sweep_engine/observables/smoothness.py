"""How outputs change along lines of inputs: frequency, variation, boundary, linear pieces."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sweep_engine.columns import Column
from sweep_engine.models import dense_layers, is_dense
from sweep_engine.observables.contours import contour_length
from sweep_engine.observables.input_lines import InputLines, input_lines
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.spec.observables import Smoothness
from sweep_engine.tasks import Loss

NEEDED = {"line": "two_inputs", "plane": "three_inputs", "grid": "one_or_two_numbers"}

ROUNDING = 16 * float(np.finfo(np.float32).eps)
"""Outputs that differ by no more than this, as a share of the largest, are constant."""

GRADIENTS_AT_ONCE = 64
"""How many test inputs are differentiated together: what bounds the memory of a block."""


def smoothness(spec: Smoothness) -> Observable:
    """Make the observable; its columns begin with what the lines lie on."""

    def named(name: str) -> str:
        return f"{spec.on}_{name}"

    columns = [
        Column(named("mean_frequency"), "float32", "cycles",
               "per line: mean over the cosine spectrum of the outputs; NaN: constant"),
        Column(named("total_variation"), "float32", "",
               "length of the outputs' path along a line, mean over lines"),
        Column(named("curvature"), "float32", "",
               "total variation of the outputs' slope, a line of length 1; mean over lines"),
        Column(named("linear_pieces"), "float32", "",
               f"1 + units that switch between neighbours of {spec.points} points, mean over "
               "lines: a lower bound; relu layers, else null"),
    ]  # fmt: skip
    if spec.on != "line":
        columns.append(
            Column(named("boundary_length"), "float32", "",
                   "length of the decision boundary in the square or box, in the inputs' unit; "
                   "null without labels or without a plane")
        )  # fmt: skip
    return Observable(
        columns=tuple(columns),
        compute=lambda outcome: {
            named(name): value for name, value in _compute(spec, outcome).items()
        },
        needs=(NEEDED[spec.on],),
    )


def _compute(spec: Smoothness, outcome: Outcome) -> dict[str, Array]:
    chosen = input_lines(spec, outcome.train_inputs)
    # Line by line: a block of lanes holds the activations of one line, not of a square.
    outputs, switches = jax.lax.map(lambda line: _on_line(outcome, line), chosen.points)
    found = {
        "mean_frequency": mean_frequency(outputs),
        "total_variation": total_variation(outputs),
        "curvature": curvature(outputs),
    }
    if switches is not None:
        is_known = jnp.all(jnp.isfinite(outputs))  # not where three inputs span no plane
        found["linear_pieces"] = jnp.where(is_known, 1 + jnp.mean(switches), jnp.nan)
    if chosen.steps is not None and outcome.loss.labels is not None:
        found["boundary_length"] = _boundary_length(outcome.loss, outputs, chosen)
    return found


def _on_line(outcome: Outcome, line: Float[Array, "n ..."]) -> tuple[Array, Array | None]:
    """Compute the outputs, and how many relu units switch from point to point."""
    outputs = outcome.network.apply(outcome.params, line)
    if not is_dense(outcome.network):
        return outputs, None
    layers = dense_layers(outcome.network, outcome.theta)
    if layers.activation != "relu":
        return outputs, None
    switches = jnp.zeros((), jnp.int32)
    for given, _ in layers.hidden(line):
        is_on = given > 0
        switches += jnp.sum(is_on[1:] != is_on[:-1], dtype=jnp.int32)
    return outputs, switches.astype(jnp.float32)


def mean_frequency(outputs: Float[Array, "L n C"]) -> Float[Array, ""]:
    """Compute the mean number of cycles per line over the spectrum of the outputs.

    The cosine transform (type II) of n points has k/2 cycles in its k-th term; the constant one
    is left out. It continues a line by its mirror image, so that a difference of the ends is not
    taken for a jump, as by the Fourier transform.

    Source:
        Rahaman et al. (2019), ICML (spectra of networks along lines);
        Ahmed, Natarajan & Rao (1974), IEEE Trans. Comput. C-23(1) (the transform).
    """
    count = outputs.shape[1]
    k, i = np.arange(count)[:, None], np.arange(count)
    cosines = jnp.asarray(np.cos(np.pi * k * (i + 0.5) / count), outputs.dtype)
    varying = outputs - jnp.mean(outputs, axis=1, keepdims=True)
    terms = jnp.einsum("ki,lic->lkc", cosines, varying, precision=jax.lax.Precision.HIGHEST)
    power = jnp.sum(terms**2, axis=(0, 2)).at[0].set(0.0)
    is_constant = jnp.max(jnp.abs(varying)) <= ROUNDING * jnp.max(jnp.abs(outputs))
    mean = jnp.sum(power * jnp.arange(count) / 2) / jnp.sum(power)
    return jnp.where(is_constant, jnp.nan, mean)


def total_variation(outputs: Float[Array, "L n C"]) -> Float[Array, ""]:
    """Compute the length of the path of outputs along a line, in the mean over lines."""
    steps = jnp.diff(outputs, axis=1)
    return jnp.mean(jnp.sum(jnp.sqrt(jnp.sum(steps**2, axis=2)), axis=1))


def curvature(outputs: Float[Array, "L n C"]) -> Float[Array, ""]:
    """Compute the total variation of the slope along a line of length 1, in the mean over lines.

    Of a function of linear pieces it is the sum of the kinks' changes of slope.
    """
    return total_variation(jnp.diff(outputs, axis=1) * (outputs.shape[1] - 1))


def _boundary_length(loss: Loss, outputs: Array, chosen: InputLines) -> Float[Array, ""]:
    """Measure where the label changes: every piece of boundary belongs to two classes."""
    assert chosen.steps is not None
    rows = outputs[: outputs.shape[1]]  # the columns are the same points again
    if rows.shape[2] == 1:
        return contour_length(rows[:, :, 0], *chosen.steps)
    lengths = []
    for label in range(rows.shape[2]):
        others = jnp.max(jnp.delete(rows, label, axis=2), axis=2)
        lengths.append(contour_length(rows[:, :, label] - others, *chosen.steps))
    return jnp.sum(jnp.stack(lengths)) / 2


def _input_gradient(outcome: Outcome) -> dict[str, Array]:
    assert outcome.test_inputs is not None

    def norm(x: Array) -> Array:
        jacobian = jax.jacrev(lambda x: outcome.network.apply(outcome.params, x[None])[0])(x)
        return jnp.sqrt(jnp.sum(jacobian**2))

    norms = jax.lax.map(norm, outcome.test_inputs, batch_size=GRADIENTS_AT_ONCE)
    return {"input_gradient_norm": jnp.mean(norms)}


INPUT_GRADIENT = Observable(
    columns=(
        Column("input_gradient_norm", "float32", "",
               "Frobenius norm of the outputs' Jacobian by the input, mean over the test set"),
    ),
    compute=_input_gradient,
    needs=("test",),
)  # fmt: skip
"""Source: Novak et al. (2018), ICLR, Sensitivity and generalization in neural networks."""
