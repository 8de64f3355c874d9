"""Estimates of TV, JS and KL over pooled cells: lower bounds of the divergences."""

import math
from collections.abc import Sequence

from sweep_engine.densities.cells.divergences import NAMES, UNITS
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate

METHODS = {
    "total_variation": "mass difference on the set that half chose, Newcombe's interval",
    "jensen_shannon": "plug-in less its first-order bias, (B-1)/8 (1/n + 1/m) for equal laws; "
    "delta method",
    "kl": "plug-in less its first-order bias, (B-1)/2 (1/n + 1/m) for equal laws; delta method",
}


def lower_bound_estimates(
    intervals: dict[str, Interval],
    nulls: Sequence[Interval],
    *,
    num_draws: tuple[int, int],
    n_eff: tuple[float, float],
    cells: str,
    seed: int,
    confidence: float,
    warnings: tuple[str, ...] = (),
) -> tuple[Estimate, ...]:
    """Put name, unit, method and warnings to what `cell_divergences` found.

    Example:
        >>> found = dict.fromkeys(NAMES, Interval(0.1, 0.0, 0.2))
        >>> tv, js, kl = lower_bound_estimates(
        ...     found, list(found.values()), num_draws=(100, 100), n_eff=(100.0, 100.0),
        ...     cells="bins", seed=0, confidence=0.95)
        >>> kl.name, kl.unit
        ('kl_lower_bound', 'nats')

    Args:
        intervals: Under the names of `NAMES`, for the divergence over the cells.
        nulls: Same-source nulls, in the order of `NAMES`.
        num_draws: Of source and reference, both halves together.
        n_eff: The same, effective.
        cells: How the cells were made.
        seed: Of the halves.
        confidence: Of each interval.
        warnings: About the draws, for all three.
    """
    return tuple(
        two_sample_estimate(
            f"{name}_lower_bound",
            intervals[name],
            num_draws=num_draws,
            n_eff=n_eff,
            unit=UNITS[name],
            method=f"{cells}; measured on the other half: {METHODS[name]}",
            seed=seed,
            confidence=confidence,
            warnings=(*warnings, *_warnings(name, intervals[name], n_eff[1])),
        ).with_null(null)
        for name, null in zip(NAMES, nulls, strict=True)
    )


def _warnings(name: str, interval: Interval, num_reference: float) -> tuple[str, ...]:
    warnings = []
    if interval.low <= 0:
        warnings.append("the interval holds 0: no difference shown")
    if name == "kl":
        warnings.append(
            f"no lower bound on KL from {num_reference:.6g} reference draws can exceed "
            f"ln N = {math.log(num_reference):.1f} nats"
        )
    return tuple(warnings)
