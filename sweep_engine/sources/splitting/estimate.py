"""ln P and its standard error from one climb: how the survivors descend from the first draws."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

FEW_ANCESTORS = 8
"""Fewer distinct ancestors than this and a repetition's standard error means nothing."""


class AncestorsCollapsed(UserWarning):
    """Nearly all particles descend from one first draw: more particles or moves are needed."""


def log_share(num_survivors: int, num_particles: int) -> float:
    """Compute ln of a share; -inf where nobody survived.

    Example:
        >>> log_share(8, 8), log_share(0, 8)
        (0.0, -inf)
    """
    return math.log(num_survivors / num_particles) if num_survivors else -math.inf


def stderr_of_log(ancestor: Int[np.ndarray, " N"], accepted: Bool[np.ndarray, " N"]) -> float:
    """Estimate the standard error of ln P within one repetition, in nats.

    With f_a the number of accepted particles that descend from first draw a, and F their
    sum, the relative variance of P is sum_a (f_a / F)^2 - 1/N. For moves that forget, this is
    the ideal sum of (1 - p) / (p N) over the levels; unlike that sum it grows when they
    do not. NaN where nothing was accepted. It cannot exceed 1, so it says nothing once ancestors
    have collapsed: trust the repetitions.

    Example:
        >>> everyone = np.arange(8)
        >>> stderr_of_log(everyone, everyone < 4)  # half survive: (1 - p) / (p N)
        0.3535533905932738

    Source:
        Chan & Lai (2013), Annals of Statistics 41(6); Lee & Whiteley (2018), Biometrika
        105(3), who resample independently: clones here are spread evenly.
    """
    descendants = np.bincount(ancestor[accepted])
    if not descendants.size:
        return math.nan
    relative = float((descendants / descendants.sum()) @ (descendants / descendants.sum()))
    return math.sqrt(max(relative - 1 / len(ancestor), 0.0))


def warn_of_collapse(distinct: Sequence[int], num_particles: int) -> None:
    """Warn where a repetition's particles descend from very few of the first draws."""
    if collapsed := [count for count in distinct if count < min(FEW_ANCESTORS, num_particles)]:
        warnings.warn(
            f"splitting: in {len(collapsed)} of {len(distinct)} repetitions all {num_particles} "
            f"particles descend from fewer than {FEW_ANCESTORS} first draws (from "
            f"{min(collapsed)}): ln P is uncertain and the draws are nearly copies; raise "
            "particles or moves",
            AncestorsCollapsed,
            stacklevel=2,
        )
