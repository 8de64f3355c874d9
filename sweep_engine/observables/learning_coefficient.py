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


def learning_coefficient(spec: LearningCoefficient) -> Observable:
    """Make the observable of SGLD's estimate.

    lambda = (E[L(w)] - L(w*)) / temperature over chains that start at w*, after the first half
    of their steps. The loss at w* is taken on the same minibatch as the loss at w (a control
    variate). A finite temperature t biases it by -(m - 1) / ln(1 / t), m the multiplicity.

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
        ),
        compute=lambda outcome: _by_sgld(spec, outcome),
    )


def _by_sgld(spec: LearningCoefficient, outcome: Outcome) -> dict[str, Array]:
    keys = jax.random.split(jax.random.fold_in(outcome.key, 1), spec.chains)
    quarters = jax.vmap(lambda key: _chain(spec, outcome, key))(keys)
    by_chain = jnp.mean(quarters, axis=1)
    name = "learning_coefficient"
    return {
        name: jnp.mean(by_chain),
        f"{name}_stderr": jnp.std(by_chain, ddof=1) / spec.chains**0.5,
        f"{name}_drift": jnp.mean(quarters[:, 1] - quarters[:, 0]),
    }


def _chain(spec: LearningCoefficient, outcome: Outcome, key: Key[Array, ""]) -> Float[Array, "2"]:
    """Mean rise over the temperature in the third and in the last quarter of one chain."""
    centre, step_size = outcome.theta, spec.step_size

    def rise(theta: Array, minibatch: Array | None) -> Array:
        return _loss(outcome, theta, minibatch) - _loss(outcome, centre, minibatch)

    def step(theta: Array, key: Array) -> tuple[Array, Array]:
        choice, noise = jax.random.split(key)
        minibatch = _minibatch(spec, outcome, choice)
        risen, gradient = jax.value_and_grad(rise)(theta, minibatch)
        force = gradient / spec.temperature + spec.localisation * (theta - centre)
        kick = jnp.sqrt(step_size) * jax.random.normal(noise, theta.shape, theta.dtype)
        return theta - step_size / 2 * force + kick, risen

    def quarter(theta: Array, key: Array) -> tuple[Array, Array]:
        theta, rises = jax.lax.scan(step, theta, jax.random.split(key, spec.steps // 4))
        return theta, jnp.mean(rises) / spec.temperature

    return jax.lax.scan(quarter, centre, jax.random.split(key, 4))[1][2:]


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
    likelihood of a power law below e_k, without its bias. NaN where a draw is better than the
    solution, which then is no minimum.

    Source:
        Hill (1975), Ann. Statist. 3(5), 1163.
    """
    return Observable(
        columns=(
            Column("volume_exponent", "float32", "", "d ln V / d ln e of V = P(rise < e)"),
            Column("volume_exponent_stderr", "float32", "", "its standard error"),
            Column("volume_exponent_rise", "float32", "", "e_k, the rise below which it holds"),
        ),
        compute=lambda outcome: _by_draws(spec, outcome),
    )


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
    return {
        "volume_exponent": jnp.where(least[0] > 0, exponent, jnp.nan),
        "volume_exponent_stderr": exponent / (count - 2) ** 0.5,
        "volume_exponent_rise": least[-1],
    }
