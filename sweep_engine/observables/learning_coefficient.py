"""How fast the volume of nearly as good networks grows around a solution: two estimates.

The local learning coefficient lambda is the exponent of V(e) ~ e^lambda (-ln e)^(m-1), V(e) the
volume around w* in which the loss has risen by less than e. Smooth, isolated minima have half
the number of parameters; flatter, singular ones less.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.columns import Column
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.spec.observables import LearningCoefficient, VolumeExponent

DRAWS_AT_ONCE = 256

LOWER_AT_MOST = 0.1
"""How far below L(w*) a loss may be found, over the temperature, if w* is to be a minimum."""

ROUNDING = 16 * float(jnp.finfo(jnp.float32).eps)
"""Of a loss, as a share of it."""


def learning_coefficient(spec: LearningCoefficient) -> Observable:
    """Make the observable of SGLD's estimate.

    lambda = (E[L(w)] - L(w*)) / temperature over chains that start at w*, after the first half
    of their steps. The loss at w* is taken on the same minibatch as the loss at w (a control
    variate). A finite temperature t biases it by -(m - 1) / ln(1 / t), m the multiplicity.

    It is an estimate where w* is a minimum. So the same chain without its noise is run from w*,
    which finds a slope, and chains are looked at after every quarter, which finds a saddle: where
    either has met a loss that is lower than that of w*, the estimate is NaN.

    Source:
        Lau, Furman, Wang, Murfet & Wei (2025), AISTATS, The local learning coefficient;
        Welling & Teh (2011), ICML (SGLD).
    """
    name = "learning_coefficient"
    return Observable(
        columns=(
            Column(name, "float32", "", f"by SGLD at temperature {spec.temperature:g}"),
            Column(f"{name}_stderr", "float32", "", f"standard error, over {spec.chains} chains"),
            Column(f"{name}_drift", "float32", "", "of the last quarter of steps less the third"),
            Column(f"{name}_lowest", "float32", "",
                   "least rise that was met over the temperature: below 0, w* is no minimum"),
            Column(f"{name}_is_minimum", "bool", "",
                   f"the least rise is at least -{LOWER_AT_MOST:g}: else there is no estimate"),
        ),
        compute=lambda outcome: _by_sgld(spec, outcome),
    )  # fmt: skip


def _by_sgld(spec: LearningCoefficient, outcome: Outcome) -> dict[str, Array]:
    keys = jax.random.split(jax.random.fold_in(outcome.key, 1), spec.chains)
    quarters, met = jax.vmap(lambda key: _chain(spec, outcome, key, noise=1.0))(keys)
    _, descended = _chain(spec, outcome, keys[0], noise=0.0)
    lowest = jnp.minimum(jnp.min(met), jnp.min(descended))
    rounding = ROUNDING * jnp.abs(outcome.train_loss(outcome.theta)) / spec.temperature
    is_minimum = lowest >= -(LOWER_AT_MOST + rounding)  # not where it is NaN
    by_chain = jnp.mean(quarters[:, 2:], axis=1)
    found = {
        "": jnp.mean(by_chain),
        "_stderr": jnp.std(by_chain, ddof=1) / spec.chains**0.5,
        "_drift": jnp.mean(quarters[:, 3] - quarters[:, 2]),
    }
    kept = {end: jnp.where(is_minimum, value, jnp.nan) for end, value in found.items()}
    kept |= {"_lowest": lowest, "_is_minimum": is_minimum}
    return {f"learning_coefficient{end}": value for end, value in kept.items()}


def _chain(
    spec: LearningCoefficient, outcome: Outcome, key: Key[Array, ""], *, noise: float
) -> tuple[Float[Array, "4"], Float[Array, "4"]]:
    """Mean rise over the temperature in every quarter of one chain, and the rise at its end."""
    centre, step_size = outcome.theta, spec.step_size

    def rise(theta: Array, minibatch: Array | None) -> Array:
        return _loss(outcome, theta, minibatch) - _loss(outcome, centre, minibatch)

    def step(theta: Array, key: Array) -> tuple[Array, Array]:
        choice, kicked = jax.random.split(key)
        minibatch = _minibatch(spec, outcome, choice)
        risen, gradient = jax.value_and_grad(rise)(theta, minibatch)
        force = gradient / spec.temperature + spec.localisation * (theta - centre)
        kick = jnp.sqrt(step_size) * jax.random.normal(kicked, theta.shape, theta.dtype)
        return theta - step_size / 2 * force + noise * kick, risen

    def quarter(theta: Array, key: Array) -> tuple[Array, tuple[Array, Array]]:
        theta, rises = jax.lax.scan(step, theta, jax.random.split(key, spec.steps // 4))
        at_end = rise(theta, None)
        return theta, (jnp.mean(rises) / spec.temperature, at_end / spec.temperature)

    found: tuple[Array, Array] = jax.lax.scan(quarter, centre, jax.random.split(key, 4))[1]
    return found


def _minibatch(spec: LearningCoefficient, outcome: Outcome, key: Array) -> Array | None:
    """Draw the examples of a step, with replacement; None for all."""
    if spec.batch_size == "full":
        return None
    return jax.random.randint(key, (spec.batch_size,), 0, len(outcome.train_inputs))


def _loss(outcome: Outcome, theta: Array, minibatch: Array | None) -> Array:
    if minibatch is None:
        return outcome.train_loss(theta)
    outputs = outcome.network.apply(
        outcome.layout.unflatten(theta), outcome.train_inputs[minibatch]
    )
    return outcome.loss.mean(outputs, outcome.train_targets[minibatch])


def volume_exponent(spec: VolumeExponent) -> Observable:
    """Make the observable of the estimate by uniform draws.

    Of the draws' rises e, the k smallest give (k - 1) / sum ln(e_k / e_i): the maximum
    likelihood of a power law below e_k, without its bias. NaN, with its error, where a draw is
    better than the solution, which then is no minimum.

    Source:
        Hill (1975), Ann. Statist. 3(5), 1163.
    """
    return Observable(
        columns=(
            Column("volume_exponent", "float32", "", "d ln V / d ln e of V = P(rise < e)"),
            Column("volume_exponent_stderr", "float32", "", "its standard error"),
            Column("volume_exponent_rise", "float32", "", "e_k, the rise below which it holds"),
            Column("volume_exponent_is_minimum", "bool", "",
                   "no draw is better than the solution: else there is no estimate"),
        ),
        compute=lambda outcome: _by_draws(spec, outcome),
    )  # fmt: skip


def _by_draws(spec: VolumeExponent, outcome: Outcome) -> dict[str, Array]:
    own = outcome.train_loss(outcome.theta)
    shape, dtype, width = outcome.theta.shape, outcome.theta.dtype, spec.half_width

    def rise(key: Array) -> Array:
        offset = jax.random.uniform(key, shape, dtype, -width, width)
        return outcome.train_loss(outcome.theta + offset) - own

    keys = jax.random.split(jax.random.fold_in(outcome.key, 2), spec.draws)
    rises = jax.lax.map(rise, keys, batch_size=DRAWS_AT_ONCE)
    count = max(3, round(spec.quantile * spec.draws))
    least = -jax.lax.top_k(-rises, count)[0]
    exponent = (count - 1) / jnp.sum(jnp.log(least[-1] / least[:-1]))
    is_minimum = (least[0] > 0) & jnp.isfinite(own)
    return {
        "volume_exponent": jnp.where(is_minimum, exponent, jnp.nan),
        "volume_exponent_stderr": jnp.where(is_minimum, exponent / (count - 2) ** 0.5, jnp.nan),
        "volume_exponent_rise": least[-1],
        "volume_exponent_is_minimum": is_minimum,
    }
