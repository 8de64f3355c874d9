"""The observable `local_volume`: ln of the measure of the basin around a network."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from sweep_engine import laws
from sweep_engine.columns import Column
from sweep_engine.models import canonicalise, is_dense
from sweep_engine.observables.curvature import LinearMap, eigenpairs, hessian_product
from sweep_engine.observables.local_volume import preconditioners
from sweep_engine.observables.local_volume.costs import rise_of
from sweep_engine.observables.local_volume.star_domain import MeasureEstimate, measure
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.spec.laws import Box
from sweep_engine.spec.observables import LocalVolume

ERROR_THRESHOLD = 0.1
"""The rise of the loss to which a preconditioner is fitted where the cost is the error."""

EXACT_SHARE = 0.5
"""An estimate whose lines count as less than this share of independent ones is a lower bound."""


LOWER_AT_MOST = 0.1
"""How far below the network's cost a cost may be found, over the threshold, if the network is to
be a minimum of it."""

ROUNDING = 16 * float(jnp.finfo(jnp.float32).eps)
"""Of a cost, as a share of it."""

STEPS = np.geomspace(1e-4, 1.0, 25, dtype=np.float32)
"""How far down the gradient the loss is looked at, over the norm of a draw of the law."""


def local_volume(spec: LocalVolume) -> Observable:
    """Make the observable; its columns end in the name of the cost, and the number of `examples`.

    The bound holds around any network of the law's support whose cost is finite: the star domain
    is what its lines reach before the cost has risen over *its own* by the threshold. That this is
    the basin of a solution takes more: that the network is a minimum of the cost, or else the
    domain also holds what is better. So the row says whether a lower cost was found: for the error
    that is 0, for the loss the least one straight down the gradient; the KL is 0 at its centre
    and positive elsewhere.
    """

    def named(name: str) -> str:
        return f"local_{name}_{spec.cost}" + (f"_{spec.examples}" if spec.examples else "")

    kinds = ", ".join(spec.preconditioners)
    return Observable(
        columns=(
            Column(named("log_measure"), "float32", "nats",
                   "ln of the law's measure of the basin: the largest of the bounds; NaN where the "
                   "cost is not finite or the law has no mass"),
            Column(named("log_measures"), "list<float32>", "nats", f"the bound by each: {kinds}"),
            Column(named("spread"), "float32", "nats", "largest less smallest of the bounds"),
            Column(named("n_eff"), "float32", "lines", f"independent ones of {spec.directions}"),
            Column(named("is_lower_bound"), "bool", "",
                   "n_eff is below half of the lines: the basin is larger than said"),
            Column(named("nats"), "float32", "nats",
                   "-ln of the measure of the basin and its copies, if none overlap; at least 0"),
            Column(named("lowest"), "float32", "",
                   "least rise that was found: below 0, the network is no minimum of the cost"),
            Column(named("is_minimum"), "bool", "",
                   f"the least rise is at least -{LOWER_AT_MOST:g} of the threshold: else the "
                   "basin is not that of a solution, but what lies around this network"),
        ),
        compute=lambda outcome: {
            named(name): value for name, value in _columns(spec, _landscape(spec, outcome)).items()
        },
        needs=("labels",) if spec.cost == "error" else (),
    )  # fmt: skip


def _landscape(spec: LocalVolume, outcome: Outcome) -> Outcome:
    """Keep the training examples whose cost is measured."""
    count = spec.examples
    if count is None:
        return outcome
    return replace(
        outcome,
        train_inputs=outcome.train_inputs[:count],
        train_outputs=outcome.train_outputs[:count],
        train_targets=outcome.train_targets[:count],
    )


def _columns(spec: LocalVolume, outcome: Outcome) -> dict[str, Array]:
    bounds = [bound_by(spec, outcome, i) for i in range(len(spec.preconditioners))]
    logs = jnp.stack([bound.log_measure for bound in bounds])
    n_eff = jnp.stack([bound.n_eff for bound in bounds])[jnp.argmax(logs)]
    own = _own_cost(spec, outcome)
    has_basin = jnp.isfinite(own) & _is_in_support(spec, outcome)
    logs = jnp.where(has_basin, logs, jnp.nan)
    lowest = _lowest_rise(spec, outcome)
    tolerance = LOWER_AT_MOST * spec.threshold + ROUNDING * jnp.abs(own)
    copies = jnp.zeros(())
    if is_dense(outcome.network):
        copies = canonicalise(outcome.network, outcome.theta).log_orbit
    return {
        "log_measure": jnp.max(logs),
        "log_measures": logs,
        "spread": jnp.max(logs) - jnp.min(logs),
        "n_eff": n_eff,
        "is_lower_bound": ~(n_eff >= EXACT_SHARE * spec.directions),
        "nats": jnp.maximum(0.0, -(jnp.max(logs) + copies)),
        "lowest": lowest,
        "is_minimum": has_basin & (lowest >= -tolerance),
    }


def _own_cost(spec: LocalVolume, outcome: Outcome) -> Float[Array, ""]:
    """Say what the network costs: of the KL, which compares it with itself, the loss."""
    measure = outcome.loss.error if spec.cost == "error" else outcome.loss.mean
    return measure(outcome.train_outputs, outcome.train_targets)


def _is_in_support(spec: LocalVolume, outcome: Outcome) -> Bool[Array, ""]:
    if isinstance(spec.law, Box):
        return jnp.all(jnp.abs(outcome.theta) <= spec.law.half_width)
    return jnp.all(jnp.isfinite(outcome.theta))


def _lowest_rise(spec: LocalVolume, outcome: Outcome) -> Float[Array, ""]:
    """Look for networks that cost less; NaN where the cost is not finite."""
    own, scale = _own_cost(spec, outcome), _scale(spec, outcome)
    if spec.cost == "error":
        return -own
    if spec.cost == "kl":
        return own - own
    rise = rise_of("loss", outcome)
    gradient = scale * jax.grad(rise)(outcome.theta)
    norm = jnp.linalg.norm(gradient)
    down = -scale * gradient / jnp.where(norm > 0, norm, 1.0)
    reach = math.sqrt(len(outcome.theta)) * jnp.asarray(STEPS, outcome.theta.dtype)
    return jnp.min(jax.lax.map(lambda r: rise(outcome.theta + r * down), reach), initial=0.0)


def bound_by(spec: LocalVolume, outcome: Outcome, index: int) -> MeasureEstimate:
    """Estimate by one of the preconditioners."""
    scale = _scale(spec, outcome)
    rise = rise_of(spec.cost, outcome)
    fitting, measuring = jax.random.split(jax.random.fold_in(outcome.key, index))
    transform = _transform(spec, outcome, index, fitting)
    return measure(
        lambda z: rise(scale * z) <= spec.threshold,
        outcome.theta / scale,
        transform,
        measuring,
        law="box" if isinstance(spec.law, Box) else "gaussian",
        directions=spec.directions,
    )


def _scale(spec: LocalVolume, outcome: Outcome) -> Float[Array, " P"]:
    """What a parameter is divided by to be of the law N(0, 1), or uniform on [-1, 1]."""
    if isinstance(spec.law, Box):
        return jnp.full_like(outcome.theta, spec.law.half_width)
    return jnp.asarray(laws.std(spec.law, outcome.layout), outcome.theta.dtype)


def _transform(spec: LocalVolume, outcome: Outcome, index: int, key: Array) -> LinearMap | None:
    scale = _scale(spec, outcome)
    z, smooth = outcome.theta / scale, "loss" if spec.cost == "error" else spec.cost
    threshold = ERROR_THRESHOLD if spec.cost == "error" else spec.threshold
    rise = rise_of(smooth, outcome)

    def cost(z: Float[Array, " P"]) -> Float[Array, ""]:
        return rise(scale * z)

    def loss_of(z: Float[Array, " P"], example: Array) -> Float[Array, ""]:
        params = outcome.layout.unflatten(scale * z)
        outputs = outcome.network.apply(params, outcome.train_inputs[example][None])
        return outcome.loss.per_example(outputs, outcome.train_targets[example][None])[0]

    match spec.preconditioners[index]:
        case "law":
            return None
        case "none":
            return preconditioners.none
        case "hessian_diagonal":
            curvature = preconditioners.hessian_diagonal(cost, z, key)
        case "adam":
            curvature = preconditioners.second_moment(loss_of, z, len(outcome.train_inputs))
        case "low_rank":
            pairs = eigenpairs(hessian_product(cost, z), key, len(z), spec.rank)
            return preconditioners.low_rank(pairs.values, pairs.vectors.T, threshold)
    return preconditioners.diagonal(curvature, threshold)
