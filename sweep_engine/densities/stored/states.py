"""The density of states: how likely each training error is under a law, and what goes with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy import stats

from sweep_engine.densities.probabilities.log_probability import log_mean_probability
from sweep_engine.densities.stored.study import Study
from sweep_engine.errors import InsufficientSamples
from sweep_engine.spec import Setting

LEAST_UNITS = 4
LEAST_EFFECTIVE = 2.0
"""Repetitions that the weights must leave for an interval of a mean."""


@dataclass(frozen=True)
class Curve:
    """A number at each training error, with its interval.

    Attributes:
        value: Shape (E,); NaN where it is not known.
        low: Lower ends.
        high: Upper ends.
    """

    value: Float[np.ndarray, " E"]
    low: Float[np.ndarray, " E"]
    high: Float[np.ndarray, " E"]


@dataclass(frozen=True)
class DensityOfStates:
    """The law of the training error, jointly with other columns.

    Attributes:
        errors: The training errors that were met, from the least, shape (E,).
        log_p: ln P(training error at most that), in nats.
        means: By column, its mean among networks of each training error.
        units: How many repetitions the intervals rest on.
    """

    errors: Float[np.ndarray, " E"]
    log_p: Curve
    means: Mapping[str, Curve]
    units: int


def density_of_states(
    study: Study, setting: Setting, columns: Sequence[str], confidence: float = 0.95
) -> DensityOfStates:
    """Estimate it from the weighted rows of a `splitting` source with `keep_levels`.

    Intervals are over repetitions, each by itself: of ln P as everywhere (log-normal), of means by
    a jackknife with as many degrees of freedom as the weights leave repetitions, less one. Where
    they leave fewer than two, the mean has no interval.

    Raises:
        InsufficientSamples: There are fewer than 4 repetitions.
    """
    wanted = ["unit", "train_error", "log_weight", *columns]
    runs = study.results.runs(wanted, study.rows_of(setting.source, [setting.id]))
    units, unit = np.unique(runs["unit"].to_numpy(), return_inverse=True)
    if len(units) < LEAST_UNITS:
        raise InsufficientSamples(
            f"{setting.source}: a density of states needs {LEAST_UNITS} repetitions, there are "
            f"{len(units)}"
        )
    errors, place = np.unique(runs["train_error"].to_numpy(), return_inverse=True)
    weight = np.exp(runs["log_weight"].to_numpy())

    def summed(values: Float[np.ndarray, " R"]) -> Float[np.ndarray, "U E"]:
        cells = np.zeros((len(units), len(errors)))
        np.add.at(cells, (unit, place), values)
        return cells

    mass = summed(weight)
    sums = {name: summed(weight * _numbers(runs[name])) for name in columns}
    return DensityOfStates(
        errors=errors.astype(float),
        log_p=_ln_p(np.cumsum(mass, axis=1), confidence),
        means={name: _ratio(each, mass, confidence) for name, each in sums.items()},
        units=len(units),
    )


def _numbers(column: pa.ChunkedArray) -> Float[np.ndarray, " R"]:
    values: Float[np.ndarray, " R"] = column.to_numpy(zero_copy_only=False)
    return values.astype(float)


def _ln_p(p: Float[np.ndarray, "U E"], confidence: float) -> Curve:
    with np.errstate(divide="ignore"):
        log_p = np.minimum(np.log(p), 0.0)  # masses add up to 1 but for rounding
    found = [log_mean_probability(each, confidence=confidence) for each in log_p.T]
    low, high = np.array([(each.low, each.high) for each in found]).T
    value = np.minimum(np.log(p.mean(axis=0)), 0.0)  # rises with the error, as P does
    return Curve(value, np.minimum(low, value), np.maximum(high, value))


def _ratio(
    sums: Float[np.ndarray, "U E"], mass: Float[np.ndarray, "U E"], confidence: float
) -> Curve:
    """Divide the sums over units; without an interval where one unit has most of the mass."""
    units = len(mass)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = sums.sum(axis=0) / mass.sum(axis=0)
        left_out = (sums.sum(axis=0) - sums) / (mass.sum(axis=0) - mass)
    spread = ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)
    stderr = np.sqrt((units - 1) / units * spread)
    effective = mass.sum(axis=0) ** 2 / (mass**2).sum(axis=0)
    degrees = np.where(effective >= LEAST_EFFECTIVE, effective - 1, np.nan)
    reach = stats.t.ppf((1 + confidence) / 2, degrees) * stderr
    return Curve(value, value - reach, value + reach)
