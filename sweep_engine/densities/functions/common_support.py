"""KL divergence conditional on functions that both sources have."""

import math
from dataclasses import dataclass

import numpy as np

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import MIN_REFERENCE_COUNT, kl_interval
from sweep_engine.densities.cells.lower_bounds import METHODS
from sweep_engine.densities.cells.splitting import halve
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Quantity
from sweep_engine.densities.functions.split_half import frequent_functions


def _words(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "No function is frequent under both."
    return f"Among functions that both have, the source diverges by {estimate.value:.2g} nats."


KL_COMMON_SUPPORT = Quantity("kl_common_support", _words)


def kl_common_support(counts: CellCounts, seed: int) -> "CommonSupport":
    """Look at the KL divergence conditional on functions that both sources have, in nats.

    KL(P(· | A) ‖ Q(· | A)), A the frequent functions that both showed on one half of the
    draws, measured on the other half. `mass_unseen_by_reference` says what the reference
    leaves out.

    Example:
        >>> counts = CellCounts(np.array([600, 300, 100]), np.array([500, 500, 0]))
        >>> kl_common_support(counts, 0).at(0.95)[0].high < float("inf")
        True

    Args:
        counts: Independent draws per function, at least 100 on each side.
        seed: Of the random halves.
    """
    selection, estimation = halve(counts, np.random.default_rng(seed))
    seen = (selection.source > 0) & (selection.reference >= MIN_REFERENCE_COUNT)
    common = estimation.select(seen & frequent_functions(selection))
    shares = (
        common.num_source / estimation.num_source,
        common.num_reference / estimation.num_reference,
    )
    return CommonSupport(counts, seed, common, shares)


@dataclass(frozen=True)
class CommonSupport:
    """Counts of the common functions on one half, and both sides' shares in them."""

    counts: CellCounts
    seed: int
    common: CellCounts
    shares: tuple[float, float]

    def at(self, confidence: float) -> tuple[Estimate]:
        """Measure the divergence over the common functions."""
        interval = Interval(math.nan, 0.0, math.inf)
        if min(self.shares) > 0:
            interval = kl_interval(self.common, confidence)
        return (
            two_sample_estimate(
                KL_COMMON_SUPPORT.name,
                interval,
                num_draws=self.counts.num_draws,
                n_eff=self.counts.n_eff,
                unit="nats",
                method="conditional on functions that both showed on one half of independent "
                f"draws, measured on the other; {METHODS['kl']}",
                seed=self.seed,
                confidence=confidence,
                warnings=(
                    f"conditional on {len(self.common.source)} functions with "
                    f"{self.shares[0]:.3g} of the source and {self.shares[1]:.3g} of the "
                    "reference",
                ),
            ),
        )
