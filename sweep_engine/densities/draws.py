"""Draws of one scalar observable, with the weights they may carry."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float

from sweep_engine.errors import InsufficientSamples


@dataclass(frozen=True)
class Draws:
    """Independent draws of a scalar, of equal weight or not.

    Attributes:
        values: One a draw. NaN and infinities stay: they are outcomes, and are counted.
        weights: Not negative, in any unit; all 1 for draws of equal weight.
    """

    values: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, " n"]

    @classmethod
    def of(
        cls, values: Float[np.ndarray, " n"], log_weights: Float[np.ndarray, " n"] | None = None
    ) -> Self:
        """Make draws from values and, if there are any, ln weights.

        Example:
            >>> Draws.of(np.array([1.0, 2.0]), np.array([0.0, -np.inf])).n_eff
            1.0

        Args:
            values: One a draw.
            log_weights: ln of the weights up to a common constant; -inf is weight 0.

        Raises:
            ValueError: The shapes differ, or a log-weight is NaN or +inf, or all are -inf.
        """
        values = np.asarray(values, float)
        if log_weights is None:
            return cls(values, np.ones(values.shape))
        top = np.max(log_weights, initial=-np.inf)
        if log_weights.shape != values.shape or not np.isfinite(top):
            raise ValueError(
                f"expected a log-weight below inf for each of {values.shape} values, not all -inf, "
                f"got shape {log_weights.shape} with maximum {top}"
            )
        return cls(values, np.exp(log_weights - top))

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.values.shape != self.weights.shape:
            raise ValueError(f"expected one weight a value in a vector, got {self.values.shape}")

    @property
    def n_eff(self) -> float:
        """Effective sample size (Σw)²/Σw² (Kish): n for equal weights, 0 without draws."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum()) if len(self) else 0.0

    @property
    def effective_weights(self) -> Float[np.ndarray, " n"]:
        """Weights that sum to `n_eff`: 1 each for draws of equal weight."""
        scale = self.n_eff / float(self.weights.sum())
        return self.weights * scale

    @property
    def finite(self) -> Self:
        """Only the draws that are finite numbers."""
        return self.select(np.isfinite(self.values))

    @property
    def num_not_finite(self) -> int:
        """How many draws are NaN or infinite."""
        return int((~np.isfinite(self.values)).sum())

    def __len__(self) -> int:
        return len(self.values)

    def select(self, chosen: Bool[np.ndarray, " n"]) -> Self:
        """Keep some draws."""
        return type(self)(self.values[chosen], self.weights[chosen])

    def halve(self, rng: np.random.Generator) -> tuple[Self, Self]:
        """Send every draw to one of two halves by a fair coin."""
        first = rng.random(len(self)) < 0.5
        return self.select(first), self.select(~first)


def not_finite_warnings(source: Draws, reference: Draws) -> tuple[str, ...]:
    """Say how many draws were NaN or infinite.

    Example:
        >>> not_finite_warnings(Draws.of(np.array([1.0, np.nan])), Draws.of(np.array([1.0])))
        ('1 of 2 source draws are not finite: they have a cell of their own',)

    Args:
        source: Draws of the source.
        reference: Draws of the reference.
    """
    return tuple(
        f"{draws.num_not_finite} of {len(draws)} {side} draws are not finite: "
        "they have a cell of their own"
        for side, draws in (("source", source), ("reference", reference))
        if draws.num_not_finite
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
