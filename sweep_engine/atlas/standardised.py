"""Shifts of means in units of a standard deviation, and probabilities of superiority.

Both with standard errors to first order (delta method), of draws that may be weighted and
dependent: each draw's influence on the value has a variance, which is divided by the effective
sample size.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sweep_engine.densities import Draws

Samples = Mapping[str, Draws]


@dataclass(frozen=True)
class Response:
    """A number of a row, with its standard error in two parts.

    Attributes:
        value: NaN where it is not defined.
        own: Standard error from draws that no other row has.
        shared: Standard error from the reference's draws, which rows with one reference share.
    """

    value: float
    own: float
    shared: float = 0.0

    @property
    def stderr(self) -> float:
        """The standard error."""
        return math.hypot(self.own, self.shared)

    @property
    def is_known(self) -> bool:
        """Say whether both the value and its error are finite."""
        return math.isfinite(self.value) and math.isfinite(self.stderr)


UNKNOWN = Response(math.nan, math.nan)


def equally_known(bounds: Sequence[Response]) -> list[Response]:
    """Give lower bounds one error, the root mean square of theirs.

    The error of a bound shrinks with the bound: where no difference is shown it is 0 with next to
    none, and such rows would have all the weight in a mean over rows.

    Example:
        >>> equally_known([Response(0.0, 0.0), Response(2.0, 0.2), UNKNOWN])[0]
        Response(value=0.0, own=0.14142135623730953, shared=0.0)
    """
    errors = [each.stderr for each in bounds if each.is_known]
    own = math.sqrt(sum(error**2 for error in errors) / len(errors)) if errors else math.nan
    return [Response(each.value, own) if each.is_known else each for each in bounds]


def standardised(
    coefficients: Mapping[str, float], samples: Samples, scale: str
) -> tuple[float, dict[str, float]]:
    """Compute a combination of means in units of one sample's standard deviation.

    With means m_j and the standard deviation s of the sample `scale`, d = Σ c_j m_j / s. A draw
    x of sample j has the influence c_j (x - m_j)/s on d, and one of the scale's also
    -d ((x - m)² - s²)/(2s²).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> samples = {"sgd": Draws.of(rng.normal(1, 1, 400)),
        ...            "prior": Draws.of(rng.normal(0, 2, 400))}
        >>> d, errors = standardised({"sgd": 1.0, "prior": -1.0}, samples, "prior")
        >>> round(d, 2), sorted(errors)
        (0.49, ['prior', 'sgd'])

    Args:
        coefficients: c_j, by sample.
        samples: Draws of one column each; those that are not finite are left out.
        scale: Whose standard deviation is the unit.

    Returns:
        d, and the standard error that each sample's draws add; NaN where s is 0.
    """
    finite = {name: samples[name].finite for name in {*coefficients, scale}}
    means = {name: _mean(draws, draws.values) for name, draws in finite.items()}
    unit = finite[scale]
    variance = _mean(unit, (unit.values - means[scale]) ** 2)
    if not variance > 1e-24 * max(1.0, means[scale] ** 2):
        return math.nan, dict.fromkeys(finite, math.nan)
    s = math.sqrt(variance)
    d = sum(c * means[name] for name, c in coefficients.items()) / s
    errors = {}
    for name, draws in finite.items():
        centred = draws.values - means[name]
        influence = coefficients.get(name, 0.0) * centred / s
        if name == scale:
            influence = influence - d * (centred**2 - variance) / (2 * variance)
        errors[name] = math.sqrt(_mean(draws, influence**2) / draws.n_eff)
    return float(d), errors


def shift(source: Draws, reference: Draws) -> Response:
    """Compute d = (mean of the source - mean of the reference) / sd of the reference.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> d = shift(Draws.of(rng.normal(1, 1, 900)), Draws.of(rng.normal(0, 1, 900)))
        >>> round(d.value, 1), round(d.stderr, 2)
        (1.0, 0.05)

    Source:
        Cohen (1988), with Glass's choice of the reference's deviation: Glass (1976).
    """
    samples = {"source": source, "reference": reference}
    d, errors = standardised({"source": 1.0, "reference": -1.0}, samples, "reference")
    return Response(d, errors["source"], errors["reference"])


def superiority(source: Draws, reference: Draws) -> Response:
    """Compute P(source < reference), ties half, of one draw of each.

    Example:
        >>> found = superiority(Draws.of(np.arange(100.0)), Draws.of(np.arange(100.0) + 50))
        >>> round(found.value, 3)
        0.875

    Source:
        Mann & Whitney (1947); the error is that of DeLong et al. (1988).
    """
    source, reference = source.finite, reference.finite
    above = 1 - _distribution(reference, source.values)
    below = _distribution(source, reference.values)
    value = _mean(source, above)
    least = 0.5 / min(source.n_eff, reference.n_eff)  # that none was seen does not mean none
    return Response(
        value,
        max(least, math.sqrt(_mean(source, (above - value) ** 2) / source.n_eff)),
        math.sqrt(_mean(reference, (below - value) ** 2) / reference.n_eff),
    )


def mean_of(draws: Draws) -> Response:
    """Compute the mean of finite draws."""
    finite = draws.finite
    value = _mean(finite, finite.values)
    return Response(value, math.sqrt(_mean(finite, (finite.values - value) ** 2) / finite.n_eff))


def _mean(draws: Draws, values: Float[np.ndarray, " n"]) -> float:
    return float(draws.weights @ values / draws.weights.sum())


def _distribution(draws: Draws, at: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """The mass below each place, and half of that on it."""
    order = np.argsort(draws.values)
    mass = np.concatenate([[0.0], np.cumsum(draws.weights[order])]) / draws.weights.sum()
    low = np.searchsorted(draws.values[order], at, "left")
    high = np.searchsorted(draws.values[order], at, "right")
    both: Float[np.ndarray, " m"] = (mass[low] + mass[high]) / 2
    return both
