"""The observable `flatness`: Hessian, Fisher information and sharpness of the training loss.

Relu and other kinks: their second derivative is 0 except on a set of measure 0, where JAX takes
one side's. Keys are the network's own, so that every value is a pure function of theta.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.columns import Column
from sweep_engine.observables.curvature import (
    Eigenpairs,
    Estimated,
    LinearMap,
    Smooth,
    Vector,
    eigenpairs,
    hessian_product,
    mean_of,
    probe,
)
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.spec.observables import Flatness

EXAMPLES_AT_ONCE = 16
"""Examples whose Jacobians are held at once."""


class Measure(NamedTuple):
    """Some columns of flatness, and what computes them from a network and a random stream."""

    columns: Callable[[Flatness], tuple[Column, ...]]
    compute: Callable[[Flatness, Outcome, Key[Array, ""]], dict[str, Array]]


def flatness(spec: Flatness) -> Observable:
    """Make the observable: the columns of the measures that are asked for."""
    measures = [(number, MEASURES[name]) for number, name in enumerate(MEASURES)
                if name in spec.measures]  # fmt: skip

    def compute(outcome: Outcome) -> dict[str, Array]:
        values: dict[str, Array] = {}
        for number, measure in measures:
            # By the number in the table: a measure has the same value whichever others there are.
            values |= measure.compute(spec, outcome, jax.random.fold_in(outcome.key, number))
        return values

    columns = tuple(column for _, measure in measures for column in measure.columns(spec))
    return Observable(columns=columns, compute=compute)


def _eigenvalue_columns(spec: Flatness) -> tuple[Column, ...]:
    share = f"residuals are at most {spec.tolerance:g} of the largest |eigenvalue|"
    return (
        Column("hessian_eigenvalue_max", "float32", "", "largest eigenvalue of the Hessian"),
        Column("hessian_eigenvalue_min", "float32", "", "smallest eigenvalue of the Hessian"),
        Column("hessian_eigenvalues", "list<float32>", "",
               f"the largest {spec.eigenvalues}; NaN where there are fewer parameters"),
        Column("hessian_converged", "bool", "", f"of the largest and the smallest the {share}"),
        Column("hessian_list_converged", "bool", "", f"of all that are listed the {share}"),
        Column("edge_ratio", "float32", "",
               "largest eigenvalue over the optimiser's limit, 2 / learning rate for SGD; null "
               "without one (draws, adaptive steps, schedules)"),
    )  # fmt: skip


def _eigenvalues(spec: Flatness, outcome: Outcome, key: Key[Array, ""]) -> dict[str, Array]:
    product = hessian_product(outcome.train_loss, outcome.theta)
    pairs = _pairs(spec, product, outcome.theta, key)
    allowed = spec.tolerance * jnp.max(jnp.abs(pairs.values))
    has_converged = pairs.residuals <= allowed  # not where it is NaN
    listed = pairs.values[: spec.eigenvalues]
    missing = (0, spec.eigenvalues - len(listed))
    values = {
        "hessian_eigenvalue_max": pairs.values[0],
        "hessian_eigenvalue_min": pairs.values[-1],
        "hessian_eigenvalues": jnp.pad(listed, missing, constant_values=jnp.nan),
        "hessian_converged": has_converged[0] & has_converged[-1],
        "hessian_list_converged": jnp.all(has_converged[: spec.eigenvalues]),
    }
    if outcome.curvature_limit is not None:
        values["edge_ratio"] = pairs.values[0] / outcome.curvature_limit
    return values


def _pairs(spec: Flatness, product: LinearMap, theta: Vector, key: Key[Array, ""]) -> Eigenpairs:
    return eigenpairs(product, key, len(theta), spec.steps)


def _trace_columns(spec: Flatness) -> tuple[Column, ...]:
    return (
        Column("hessian_trace", "float32", "", f"trace, from {spec.probes} random sign vectors"),
        Column("hessian_trace_stderr", "float32", "", "its standard error"),
        Column("hessian_frobenius", "float32", "", "Frobenius norm, from the same vectors"),
        Column("hessian_frobenius_stderr", "float32", "", "its standard error"),
    )


def _trace(spec: Flatness, outcome: Outcome, key: Key[Array, ""]) -> dict[str, Array]:
    product = hessian_product(outcome.train_loss, outcome.theta)
    traces, squares = probe(product, key, outcome.theta.shape, spec.probes)
    trace, square = mean_of(traces), mean_of(squares)
    norm = jnp.sqrt(square.value)
    return {
        **_estimated("hessian_trace", trace),
        "hessian_frobenius": norm,
        "hessian_frobenius_stderr": square.stderr / (2 * jnp.where(norm > 0, norm, 1)),
    }


def _estimated(name: str, estimate: Estimated) -> dict[str, Array]:
    return {name: estimate.value, f"{name}_stderr": estimate.stderr}


def _fisher_columns(spec: Flatness) -> tuple[Column, ...]:
    meaning = "trace of the Fisher information of an example; squared errors: noise of variance 1"
    return (Column("fisher_trace", "float32", "", meaning),)


def _fisher(spec: Flatness, outcome: Outcome, key: Key[Array, ""]) -> dict[str, Array]:
    """Average tr(J' S J) over the examples, S the loss's Hessian in an example's outputs.

    For these losses S does not depend on the target, so that this Gauss-Newton matrix is the
    Fisher information.

    Source:
        Martens (2020), JMLR 21(146), section 9.2.
    """

    def of_example(example: tuple[Array, Array]) -> Float[Array, ""]:
        x, y = example

        def outputs(theta: Vector) -> Float[Array, " C"]:
            return outcome.network.apply(outcome.layout.unflatten(theta), x[None])[0]

        def loss(f: Float[Array, " C"]) -> Float[Array, ""]:
            return outcome.loss.per_example(f[None], y[None])[0]

        jacobian = jax.jacrev(outputs)(outcome.theta)
        return jnp.sum(jax.hessian(loss)(outputs(outcome.theta)) * (jacobian @ jacobian.T))

    examples = (outcome.train_inputs, outcome.train_targets)
    return {
        "fisher_trace": jnp.mean(jax.lax.map(of_example, examples, batch_size=EXAMPLES_AT_ONCE))
    }


def _sharpness_columns(spec: Flatness) -> tuple[Column, ...]:
    columns = []
    for end, radius in (
        ("", f"{spec.radius:g}"),
        ("_relative", f"{spec.relative_radius:g} |theta|"),
    ):
        columns += [
            Column(f"sharpness_worst{end}", "float32", "",
                   f"rise of the loss within a radius of {radius}: a lower bound of the largest"),
            Column(f"sharpness_average{end}", "float32", "",
                   f"mean rise of the loss at a distance of {radius}"),
            Column(f"sharpness_average{end}_stderr", "float32", "", "its standard error"),
        ]  # fmt: skip
    return tuple(columns)


def _sharpness(spec: Flatness, outcome: Outcome, key: Key[Array, ""]) -> dict[str, Array]:
    theta, cost = outcome.theta, outcome.train_loss
    curvature, *sampled = jax.random.split(key, 3)
    steepest = _pairs(spec, hessian_product(cost, theta), theta, curvature).vectors[0]
    starts = jnp.stack([jax.grad(cost)(theta), steepest, -steepest])
    radii = {
        "": jnp.float32(spec.radius),
        "_relative": spec.relative_radius * jnp.linalg.norm(theta),
    }
    values: dict[str, Array] = {}
    for (end, radius), sampling in zip(radii.items(), sampled, strict=True):
        average = average_rise(cost, theta, radius, sampling, spec.probes)
        values[f"sharpness_worst{end}"] = worst_rise(cost, theta, radius, starts, spec.ascent_steps)
        values |= _estimated(f"sharpness_average{end}", average)
    return values


def worst_rise(
    cost: Smooth, theta: Vector, radius: Float[Array, ""], starts: Float[Array, "S D"], steps: int
) -> Float[Array, ""]:
    """Search for the largest rise of the cost within a radius: a lower bound of it.

    From every direction of start it goes to the point of the sphere that lies along the gradient
    at the last one, and again; the best of all that it saw counts, and 0, which is theta itself.

    Source:
        Foret, Kleiner, Mobahi & Neyshabur (2021), ICLR, equation 1, which takes one such step;
        several are the generalised power method of Journee, Nesterov, Richtarik & Sepulchre
        (2010), JMLR 11, 517, which never goes down where the cost is convex.
    """
    own = cost(theta)

    def ascend(direction: Vector) -> Float[Array, ""]:
        def step(carry: tuple[Vector, Array], _: None) -> tuple[tuple[Vector, Array], None]:
            direction, best = carry
            length = jnp.linalg.norm(direction)
            offset = radius * direction / jnp.where(length > 0, length, 1)
            value, gradient = jax.value_and_grad(cost)(theta + offset)
            return (gradient, jnp.maximum(best, value - own)), None

        start = (direction, jnp.zeros_like(own))
        return jax.lax.scan(step, start, None, length=steps)[0][1]

    return jnp.max(jax.lax.map(ascend, starts))


def average_rise(
    cost: Smooth, theta: Vector, radius: Float[Array, ""], key: Key[Array, ""], pairs: int
) -> Estimated:
    """Estimate the mean rise of the cost over a sphere around theta, by pairs of opposite points.

    On a quadratic it is radius^2 tr(H) / (2 P), and the gradient cancels in every pair.
    """
    own = cost(theta)

    def rise(key: Key[Array, ""]) -> Float[Array, ""]:
        direction = jax.random.normal(key, theta.shape, theta.dtype)
        offset = radius * direction / jnp.linalg.norm(direction)
        return (cost(theta + offset) + cost(theta - offset)) / 2 - own

    return mean_of(jax.lax.map(rise, jax.random.split(key, pairs)))


def _relative_columns(spec: Flatness) -> tuple[Column, ...]:
    return (
        Column("relative_eigenvalue", "float32", "",
               "largest eigenvalue of D H D, D = diag |theta|: rescaling relu units keeps it"),
        Column("relative_converged", "bool", "", "its residual is within the tolerance"),
        Column("relative_trace", "float32", "",
               f"trace of D H D, from {spec.probes} random sign vectors: rescaling keeps it"),
        Column("relative_trace_stderr", "float32", "", "its standard error"),
    )  # fmt: skip


def _relative(spec: Flatness, outcome: Outcome, key: Key[Array, ""]) -> dict[str, Array]:
    """Measure the Hessian in log |theta|, but for the gradient's part.

    Source:
        Kwon, Kim, Park & Choi (2021), ICML, definition 2 (adaptive sharpness); Tsuzuku, Sato &
        Sugiyama (2020), ICML, on its invariance.
    """
    widths = jnp.abs(outcome.theta)
    plain = hessian_product(outcome.train_loss, outcome.theta)

    def product(v: Vector) -> Vector:
        return widths * plain(widths * v)

    searching, probing = jax.random.split(key)
    pairs = _pairs(spec, product, outcome.theta, searching)
    traces, _ = probe(product, probing, outcome.theta.shape, spec.probes)
    return {
        "relative_eigenvalue": pairs.values[0],
        "relative_converged": pairs.residuals[0] <= spec.tolerance * jnp.abs(pairs.values[0]),
        **_estimated("relative_trace", mean_of(traces)),
    }


MEASURES = {
    "eigenvalues": Measure(_eigenvalue_columns, _eigenvalues),
    "trace": Measure(_trace_columns, _trace),
    "fisher": Measure(_fisher_columns, _fisher),
    "sharpness": Measure(_sharpness_columns, _sharpness),
    "relative": Measure(_relative_columns, _relative),
}
"""The measures, in the order of their columns."""
