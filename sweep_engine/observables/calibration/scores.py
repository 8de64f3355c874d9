"""Calibration error with its null, and the Brier score in its parts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from sweep_engine.observables.calibration.labelled import Labelled


class CalibrationError(NamedTuple):
    """The expected calibration error, and that of a network with these probabilities if calibrated.

    Attributes:
        value: Of the network.
        null: Mean over draws of labels from its own probabilities.
        null_stderr: Standard error of that mean.
        p_value: Chance of such a value or more, were the network calibrated.
    """

    value: Float[Array, ""]
    null: Float[Array, ""]
    null_stderr: Float[Array, ""]
    p_value: Float[Array, ""]


def calibration_error(
    said: Labelled, num_bins: int, num_draws: int, key: Key[Array, ""]
) -> CalibrationError:
    """Sum |right answers - their probabilities| over bins of the confidence, per example.

    Chance alone makes it positive: the null is a Monte Carlo mean over labels that are drawn
    from the network's own probabilities, which are right as often as it says. Its p-value,
    (1 + draws not below the value) / (1 + draws), is exact at any number of examples.

    Source:
        Guo, Pleiss, Sun & Weinberger (2017), ICML; Vaicenavicius et al. (2019), AISTATS (the
        test by resampling labels).
    """
    confidence = said.confidence
    in_bin = _bin(confidence, num_bins) == jnp.arange(num_bins)[:, None]

    def error(draw: Array) -> Array:
        # The network's own answers are draw 0: one program rounds all alike, so ties are ties.
        chance = jax.random.uniform(jax.random.fold_in(key, draw), confidence.shape)
        right = jnp.where(draw == 0, said.right, chance < confidence)
        gaps = jnp.sum(jnp.where(in_bin, right - confidence, 0.0), axis=1)
        return jnp.sum(jnp.abs(gaps)) / len(confidence)

    value, *_ = errors = jax.lax.map(error, jnp.arange(num_draws + 1))
    drawn = errors[1:]
    return CalibrationError(
        value,
        jnp.mean(drawn),
        jnp.std(drawn, ddof=1) / num_draws**0.5,
        (1 + jnp.sum(drawn >= value)) / (num_draws + 1),
    )


class Brier(NamedTuple):
    """The Brier score: total = reliability - resolution + uncertainty + within_bins."""

    total: Float[Array, ""]
    reliability: Float[Array, ""]
    resolution: Float[Array, ""]
    uncertainty: Float[Array, ""]
    within_bins: Float[Array, ""]


def brier(said: Labelled, num_bins: int) -> Brier:
    """Split the mean squared error of all classes' probabilities, each class in bins of its own.

    Murphy's three parts add up where all probabilities of a bin are equal. What a bin's width
    adds stands by itself: the variance of the probabilities inside the bins, less twice their
    covariance with the labels.

    Source:
        Murphy (1973), J. Appl. Meteor. 12(4); Stephenson, Coelho & Jolliffe (2008), Weather and
        Forecasting 23(4), equation 5 (the parts within bins).
    """
    p = jnp.exp(said.log_p)
    truth = jax.nn.one_hot(said.targets, p.shape[-1])
    bins, rate = _bin(p, num_bins), jnp.mean(truth, axis=0)

    def parts(number: Array) -> tuple[Array, Array, Array]:
        inside = bins == number
        count = jnp.maximum(jnp.sum(inside, axis=0), 1)
        mean_p = _sum(inside, p) / count
        mean_truth = _sum(inside, truth) / count
        offset = p - mean_p
        within = _sum(inside, offset * (offset - 2 * (truth - mean_truth)))
        mass = jnp.sum(inside, axis=0)
        return mass * (mean_p - mean_truth) ** 2, mass * (mean_truth - rate) ** 2, within

    reliability, resolution, within = (
        jnp.sum(part) / len(p) for part in jax.lax.map(parts, jnp.arange(num_bins))
    )
    total = jnp.mean(jnp.sum((p - truth) ** 2, axis=-1))
    return Brier(total, reliability, resolution, jnp.sum(rate * (1 - rate)), within)


def _bin(p: Float[Array, "*N"], num_bins: int) -> Int[Array, "*N"]:
    """Number the bin of equal width; 1 is in the last."""
    return jnp.clip(jnp.floor(p * num_bins).astype(jnp.int32), 0, num_bins - 1)


def _sum(inside: Bool[Array, "N C"], values: Float[Array, "N C"]) -> Float[Array, " C"]:
    return jnp.sum(jnp.where(inside, values, 0.0), axis=0)
