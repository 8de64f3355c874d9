"""Two samples as estimators of points want them: finite, independent, of equal weight."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sweep_engine.densities.draws import LEFT_OUT, Draws, require_finite
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.trust import Trust

RESIDUAL_DESIGN_EFFECT = 1.1
"""Draws of units are thinned until so many of them are worth one independent draw."""


@dataclass(frozen=True)
class Points:
    """Independent draws of equal weight of both sides, and where they come from.

    Attributes:
        source: One point a row.
        reference: One point a row.
        scale: What each column was divided by.
        num_draws: Draws of source and reference before any were left out.
        warnings: What was left out, and why.
    """

    source: Float[np.ndarray, "n D"]
    reference: Float[np.ndarray, "m D"]
    scale: Float[np.ndarray, " D"]
    num_draws: tuple[int, int]
    warnings: tuple[str, ...]

    @property
    def dimension(self) -> int:
        """D, the number of columns."""
        return self.source.shape[1]

    @property
    def n_eff(self) -> tuple[float, float]:
        """Points of source and reference that the estimate rests on."""
        return float(len(self.source)), float(len(self.reference))

    def estimate(
        self,
        name: str,
        interval: Interval,
        *,
        unit: str,
        method: str,
        confidence: float,
        seed: int,
        p_value: float | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Estimate:
        """Build an estimate that rests on these points."""
        return two_sample_estimate(
            name,
            interval,
            num_draws=self.num_draws,
            n_eff=self.n_eff,
            unit=unit,
            method=method,
            confidence=confidence,
            seed=seed,
            p_value=p_value,
            warnings=(*self.warnings, *warnings),
        )


def points(
    source: Draws,
    reference: Draws,
    trust: Trust,
    rng: np.random.Generator,
    *,
    max_draws: int,
    standardise: bool = True,
) -> Points:
    """Thin both sides to independent draws of equal weight, at most `max_draws` of each.

    Weighted draws are kept with probability proportional to their weight (rejection), draws
    of a unit at random until those that are left are worth 1/1.1 independent draws each.
    Columns are divided by their standard deviation over the even mixture of both samples:
    no divergence changes, distances and kernels do.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> draws = Draws.of(rng.normal(size=500))
        >>> points(draws, draws, Trust("example", 100), rng, max_draws=200).n_eff
        (200.0, 200.0)

    Args:
        source: One or several columns, weighted or not, dependent or not.
        reference: The same columns.
        trust: Of the estimator; refuses too few draws.
        rng: Where thinning gets its coins from.
        max_draws: What the estimator's cost allows.
        standardise: Whether to scale columns; a single column keeps its unit otherwise.

    Raises:
        InsufficientSamples: Too few are left; says how many are needed.
        IncomparableSources: More than one in 20 of a side is not finite.
    """
    require_finite(source, reference)
    warnings, kept = [], []
    for side, draws in (("source", source), ("reference", reference)):
        chosen = _independent(draws, rng)
        num_finite = int(draws.is_finite.sum())
        if num_finite < len(draws):
            warnings.append(
                f"{len(draws) - num_finite} of {len(draws)} {side} draws are not finite or "
                f"diverged: {LEFT_OUT}"
            )
        if len(chosen) < num_finite:
            warnings.append(f"{side} thinned to {len(chosen):,} independent draws of equal weight")
        kept.append(chosen)
    trust.require(len(kept[0]), len(kept[1]))
    values = []
    for chosen in kept:
        few = chosen[rng.permutation(len(chosen))[:max_draws]]
        values.append(few.reshape(len(few), -1))
    if max(map(len, kept)) > max_draws:
        warnings.append(f"uses at most {max_draws:,} random draws of each side")
    scale = _scale(*values) if standardise else np.ones(values[0].shape[1])
    return Points(
        values[0] / scale,
        values[1] / scale,
        scale,
        (len(source), len(reference)),
        tuple(warnings),
    )


def _scale(source: Float[np.ndarray, "n D"], reference: Float[np.ndarray, "m D"]) -> np.ndarray:
    """Root mean square around the common centre, both samples weighed alike whatever their size."""
    mean = (source.mean(axis=0) + reference.mean(axis=0)) / 2
    second = (((source - mean) ** 2).mean(axis=0) + ((reference - mean) ** 2).mean(axis=0)) / 2
    return np.where(second > 0, np.sqrt(second), 1.0)


def _independent(draws: Draws, rng: np.random.Generator) -> Float[np.ndarray, "n ..."]:
    kept = draws.is_finite & (rng.random(len(draws)) * draws.weights.max(initial=0) < draws.weights)
    if draws.units is not None and draws.design_effect > 1:
        kept &= _few_of_each_unit(draws.units, draws.design_effect, kept, rng)
    return draws.values[kept]


def _few_of_each_unit(
    units: Int[np.ndarray, " n"],
    design_effect: float,
    kept: Bool[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Bool[np.ndarray, " n"]:
    """Keep so few draws of a unit that 1 + (their number - 1) rho is at most 1.1."""
    size = len(units) / len(np.unique(units))
    rho = (design_effect - 1) / (size - 1) if size > 1 else 0.0
    allowed = 1 + math.floor((RESIDUAL_DESIGN_EFFECT - 1) / rho) if rho > 0 else len(units)
    order = rng.permutation(np.flatnonzero(kept))
    order = order[np.argsort(units[order], kind="stable")]
    starts = np.flatnonzero(np.diff(units[order], prepend=-1))
    lengths = np.diff(np.append(starts, len(order)))
    place = np.arange(len(order)) - np.repeat(starts, lengths)
    few = np.zeros(len(units), bool)
    few[order[place < allowed]] = True
    return few
