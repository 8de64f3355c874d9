"""The density of states: how likely each training error is under a law, and what goes with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy import stats

from sweep_engine.densities.stored.study import Study
from sweep_engine.errors import InsufficientSamples
from sweep_engine.spec import Setting

LEAST_UNITS = 4


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

    Intervals are t intervals over repetitions, each by itself: of ln P by its relative error, of
    means by a jackknife.

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

    reach = float(stats.t.ppf((1 + confidence) / 2, len(units) - 1))
    mass = summed(weight)
    sums = {name: summed(weight * _numbers(runs[name])) for name in columns}
    return DensityOfStates(
        errors=errors.astype(float),
        log_p=_log_mean(np.cumsum(mass, axis=1), reach),
        means={name: _ratio(each, mass, reach) for name, each in sums.items()},
        units=len(units),
    )


def _numbers(column: pa.ChunkedArray) -> Float[np.ndarray, " R"]:
    values: Float[np.ndarray, " R"] = column.to_numpy(zero_copy_only=False)
    return values.astype(float)


def _log_mean(p: Float[np.ndarray, "U E"], reach: float) -> Curve:
    mean = p.mean(axis=0)
    relative = p.std(axis=0, ddof=1) / np.sqrt(len(p)) / mean
    log_p = np.log(mean)
    return Curve(log_p, log_p - reach * relative, np.minimum(log_p + reach * relative, 0.0))


def _ratio(sums: Float[np.ndarray, "U E"], mass: Float[np.ndarray, "U E"], reach: float) -> Curve:
    """Divide the sums over units; NaN where a single unit met an error."""
    units = len(mass)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = sums.sum(axis=0) / mass.sum(axis=0)
        left_out = (sums.sum(axis=0) - sums) / (mass.sum(axis=0) - mass)
    spread = ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)
    stderr = np.sqrt((units - 1) / units * spread)
    return Curve(value, value - reach * stderr, value + reach * stderr)
