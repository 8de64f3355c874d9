"""Two sources compared in function space, from counts per function.

Every estimate assumes independent draws; clones of splitting and steps of a chain are not.
Plug-in values are biased upwards when many functions are seen once (two samples of 4,096
from one Zipf law over 1e6 functions show a total variation of 0.59), so each stands beside
its same-source null, and beside a lower bound whose functions one half of the draws chose
and the other half measured.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.lower_bounds import BOUNDS
from sweep_engine.densities.cells.splitting import gather_many
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.estimator import Estimator, Reading, Readings, Takes
from sweep_engine.densities.functions.common_support import KL_COMMON_SUPPORT, kl_common_support
from sweep_engine.densities.functions.plug_in import PLUG_INS, plug_ins
from sweep_engine.densities.functions.rank_correlation import RANK_CORRELATION, rank_correlation
from sweep_engine.densities.functions.split_half import MIN_DRAWS, split_half_bounds
from sweep_engine.densities.functions.unseen_mass import (
    UNSEEN_BY_REFERENCE,
    UNSEEN_MASSES,
    mass_unseen_by_reference,
    unseen_mass,
)
from sweep_engine.densities.trust import Trust

Counts = Int[np.ndarray, " F"]


class FunctionSpace(Estimator[Counts]):
    """Estimates all that is known here of two sources' laws over functions.

    Example:
        >>> counts = np.array([700, 300]), np.array([500, 500])
        >>> [estimate.name for estimate in FunctionSpace().look(*counts, 0).at(0.95)][:3]
        ['total_variation', 'jensen_shannon', 'kl']
    """

    name = "functions"
    takes = Takes.FUNCTIONS
    trust = Trust("a comparison of functions", MIN_DRAWS)
    quantities = (
        *PLUG_INS,
        *BOUNDS,
        KL_COMMON_SUPPORT,
        UNSEEN_BY_REFERENCE,
        RANK_CORRELATION,
        *UNSEEN_MASSES,
    )

    def look(self, source: Counts, reference: Counts, seed: int) -> Reading:
        """Halve the draws: functions are chosen on one half and measured on the other.

        Args:
            source: Independent draws per function.
            reference: The same, over the same functions.
            seed: Of the random halves.

        Raises:
            InsufficientSamples: Fewer than 100 draws on one side.
        """
        counts = gather_many(CellCounts(source, reference))
        self.trust.require(*counts.n_eff)
        return Readings(
            (
                plug_ins(counts, seed),
                split_half_bounds(counts, seed),
                kl_common_support(counts, seed),
                UnseenByReference(counts),
                rank_correlation(counts, seed),
                UnseenMasses(counts),
            )
        )


@dataclass(frozen=True)
class UnseenByReference:
    """Counts, of which some are of functions that the reference has not shown."""

    counts: CellCounts

    def at(self, confidence: float) -> tuple[Estimate]:
        """Put the exact interval around the source's mass on them."""
        return (mass_unseen_by_reference(self.counts, confidence=confidence),)


@dataclass(frozen=True)
class UnseenMasses:
    """Counts, of which some are of functions that were seen once."""

    counts: CellCounts

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Estimate the unseen mass of each side."""
        sides = self.counts.source, self.counts.reference
        return tuple(
            unseen_mass(side, self.counts.cells, name=quantity.name, confidence=confidence)
            for quantity, side in zip(UNSEEN_MASSES, sides, strict=True)
        )
