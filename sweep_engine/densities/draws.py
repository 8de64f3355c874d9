"""Draws of an observable, with the weights and the dependence they may carry."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int

from sweep_engine.densities.dependence import design_effect
from sweep_engine.errors import IncomparableSources, InsufficientSamples

DATA_SEEDS = "data seeds"
"""Units that are the runs on one data set."""

MANY_DRAWS = 2**17
"""Bounds from below what is sorted once: fewer take moments, and old numbers stay."""

_WHOLE_UNITS = (
    "halves, and halves of halves for the null, are made of whole units: at least 4 repetitions or "
    "chains are needed"
)


@dataclass(frozen=True)
class Draws:
    """Draws of a scalar or of a pair of them, of equal weight or not, independent or not.

    Attributes:
        values: One a draw, or a pair a row. NaN and infinities stay: they are outcomes, and
            are counted.
        weights: Not negative, in any unit; all 1 for draws of equal weight.
        units: Which unit each draw belongs to, where draws of one unit depend on one another.
        design_effect: How many of these draws are worth one independent draw.
        unit_name: What a unit is: `units` (repetitions, chains), or `DATA_SEEDS`, whose
            labels mean the same data set on both sides of a comparison.
        diverged_units: Chains that diverged, whose draws are left out: they are worth none.
    """

    values: Float[np.ndarray, "n ..."]
    weights: Float[np.ndarray, " n"]
    units: Int[np.ndarray, " n"] | None = None
    design_effect: float = 1.0
    unit_name: str = "units"
    diverged_units: int = 0

    @classmethod
    def of(
        cls,
        values: Float[np.ndarray, "n ..."],
        log_weights: Float[np.ndarray, " n"] | None = None,
        units: Int[np.ndarray, " n"] | None = None,
        unit_name: str = "units",
    ) -> Self:
        """Make draws from values and, if there are any, ln weights and units.

        Example:
            >>> Draws.of(np.array([1.0, 2.0]), np.array([0.0, -np.inf])).n_eff
            1.0

        Args:
            values: One a draw.
            log_weights: ln of the weights up to a common constant; -inf is weight 0.
            units: Which unit each draw belongs to; left out, draws are independent.
            unit_name: What a unit is.

        Raises:
            InsufficientSamples: There are fewer than 2 units.
            ValueError: The shapes differ, or a log-weight is NaN or +inf, or all are -inf.
        """
        values = np.asarray(values, float)
        weights = _equal(len(values)) if log_weights is None else _weights(values, log_weights)
        if units is None or not len(values):
            return cls(values, weights)
        effect = design_effect(values.reshape(len(values), -1), units)
        return cls(values, weights, units, effect, unit_name)

    def __post_init__(self) -> None:
        if self.values.ndim not in (1, 2) or self.weights.shape != self.values.shape[:1]:
            raise ValueError(
                f"expected a weight for each value or pair, got shapes {self.weights.shape} and "
                f"{self.values.shape}"
            )

    @property
    def n_eff(self) -> float:
        """Effective sample size (Σw)²/Σw² (Kish) over the design effect; 0 without draws."""
        if not len(self):
            return 0.0
        return float(self.weights.sum() ** 2 / (self.weights**2).sum()) / self.design_effect

    @property
    def effective_weights(self) -> Float[np.ndarray, " n"]:
        """Weights that sum to `n_eff`: 1 each for draws of equal weight."""
        scale = self.n_eff / float(self.weights.sum())
        return self.weights * scale

    @property
    def finite(self) -> Self:
        """Only the draws that are finite numbers."""
        chosen = self.is_finite
        return self if chosen.all() else self.select(chosen)

    @property
    def is_finite(self) -> Bool[np.ndarray, " n"]:
        """Which draws are finite numbers, in both places of a pair."""
        finite: Bool[np.ndarray, " n"] = np.isfinite(self.values)
        if finite.ndim == 1:
            return finite
        every = np.ones(len(finite), bool)
        for column in finite.T:  # `all` along an axis of two is ten times as slow
            every &= column
        return every

    @property
    def dimension(self) -> int:
        """Columns of a draw."""
        return 1 if self.values.ndim == 1 else self.values.shape[1]

    @property
    def num_not_finite(self) -> int:
        """How many draws are NaN or infinite."""
        return int((~self.is_finite).sum())

    def __len__(self) -> int:
        return len(self.values)

    def select(self, chosen: Bool[np.ndarray, " n"]) -> Self:
        """Keep some draws."""
        units, values = None if self.units is None else self.units[chosen], self.values[chosen]
        weights = _equal(len(values)) if self.have_equal_weights else self.weights[chosen]
        return replace(self, values=values, weights=weights, units=units)

    @property
    def have_equal_weights(self) -> bool:
        """Say whether the weights are known to be 1 each, without a look at them."""
        return self.weights.strides == (0,)

    @property
    def num_bytes(self) -> int:
        """Count the bytes that the arrays take."""
        weights = 0 if self.have_equal_weights else self.weights.nbytes
        return self.values.nbytes + weights + (0 if self.units is None else self.units.nbytes)

    def in_order(self) -> Self:
        """Sort many independent draws of one column, for all that looks at them in order.

        Fewer, those of several columns and those of units stay as they are.

        Example:
            >>> draws = Draws.of(-np.arange(MANY_DRAWS))
            >>> draws.in_order().values[:2].tolist()
            [-131071.0, -131070.0]
        """
        if self.units is not None or self.values.ndim > 1 or len(self) < MANY_DRAWS:
            return self
        order = np.argsort(self.values, kind="stable")
        weights = self.weights if self.have_equal_weights else self.weights[order]
        return replace(self, values=self.values[order], weights=weights)

    def folds(self, num_folds: int, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
        """Number the fold of every draw, of as many draws or whole units each as can be.

        Raises:
            InsufficientSamples: There is one unit.
        """
        if self.units is None:
            return rng.permutation(np.arange(len(self)) % num_folds)
        distinct, unit = np.unique(self.units, return_inverse=True)
        if len(distinct) == 1:
            raise InsufficientSamples(_WHOLE_UNITS)
        fold: Int[np.ndarray, " u"] = rng.permutation(np.arange(len(distinct)) % num_folds)
        return fold[unit]

    def halve(self, rng: np.random.Generator) -> tuple[Self, Self]:
        """Send every draw to one of two halves by a fair coin, or half of the units whole.

        Raises:
            InsufficientSamples: There is one unit.
        """
        if self.units is None:
            first = rng.random(len(self)) < 0.5
        else:
            distinct = rng.permutation(np.unique(self.units))
            if len(distinct) == 1:
                raise InsufficientSamples(_WHOLE_UNITS)
            first = np.isin(self.units, distinct[: len(distinct) // 2])
        return self.select(first), self.select(~first)


def _weights(
    values: Float[np.ndarray, "n ..."], log_weights: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    if not len(values):
        return _equal(0)
    top = np.max(log_weights, initial=-np.inf)
    if log_weights.shape != values.shape[:1] or not np.isfinite(top):
        raise ValueError(
            f"expected a log-weight below inf for each of {values.shape} values, not all -inf, "
            f"got shape {log_weights.shape} with maximum {top}"
        )
    if log_weights.min() == top:
        return _equal(len(values))
    weights: Float[np.ndarray, " n"] = np.exp(log_weights - top)
    return weights


def _equal(number: int) -> Float[np.ndarray, " n"]:
    """Make weights of 1 each, which take no memory: they can be read, not written."""
    return np.broadcast_to(1.0, (number,))


OWN_CELL = "they have a cell of their own"
LEFT_OUT = "the estimate is of the finite ones"

MOST_LEFT_OUT = 0.05
"""Share of one side's draws that an estimate of finite ones may lack, and say so."""


def require_finite(*samples: Draws) -> None:
    """Refuse a sample of which too many draws are NaN or infinite, or of networks that diverged.

    Example:
        >>> require_finite(Draws.of(np.array([1.0])))

    Args:
        samples: Of source and reference.

    Raises:
        IncomparableSources: What is left would be a statistic of the survivors.
    """
    for draws in samples:
        if draws.num_not_finite > MOST_LEFT_OUT * len(draws):
            raise IncomparableSources(
                f"{draws.num_not_finite} of {len(draws)} draws are not finite or diverged: an "
                "estimate of the others would be of the survivors alone; use `binned` or `ks`, "
                "where they are an outcome of their own, or choose runs with `given` or `where`"
            )


def sample_warnings(source: Draws, reference: Draws, not_finite: str = OWN_CELL) -> tuple[str, ...]:
    """Say how many draws were NaN or infinite, and what dependent ones are worth.

    Example:
        >>> sample_warnings(Draws.of(np.array([1.0, np.nan])), Draws.of(np.array([1.0])))
        ('1 of 2 source draws are not finite or diverged: they have a cell of their own',)

    Args:
        source: Draws of the source.
        reference: Draws of the reference.
        not_finite: What the estimate makes of those that are not finite.
    """
    sides = (("source", source), ("reference", reference))
    lost = tuple(
        f"{draws.num_not_finite} of {len(draws)} {side} draws are not finite or diverged: "
        f"{not_finite}"
        for side, draws in sides
        if draws.num_not_finite
    )
    lost += tuple(
        f"{draws.diverged_units} {draws.unit_name} of the {side} diverged: they are worth no draw"
        for side, draws in sides
        if draws.diverged_units
    )
    dependent = tuple(
        dependence_warning(
            side, len(draws), f"{len(np.unique(draws.units))} {draws.unit_name}", draws.n_eff
        )
        for side, draws in sides
        if draws.units is not None
    )
    return lost + dependent


def dependence_warning(side: str, num_draws: int, units: str, n_eff: float) -> str:
    """Say what dependent draws are worth.

    Example:
        >>> dependence_warning("source", 4096, "8 units", 512.0)
        '4,096 dependent source draws of 8 units count as 512 independent ones: approximate'

    Args:
        side: `source` or `reference`.
        num_draws: All draws.
        units: Their units, in words.
        n_eff: Their effective number.
    """
    return (
        f"{num_draws:,} dependent {side} draws of {units} count as {n_eff:,.4g} "
        "independent ones: approximate"
    )


def require_draws(*samples: Draws) -> None:
    """Refuse an empty sample.

    Example:
        >>> require_draws(Draws.of(np.array([1.0])))

    Args:
        samples: Of source and reference.

    Raises:
        InsufficientSamples: One of them has no draw.
    """
    if not all(len(draws) for draws in samples):
        raise InsufficientSamples("needs at least 1 draw on each side, got 0")
