"""The KL divergence from below, by what suits the observable."""

from dataclasses import dataclass

from sweep_engine.densities.cells.lower_bounds import KL_BOUND
from sweep_engine.densities.cells.splitting import gather_many
from sweep_engine.densities.columns.binned import binned_divergences
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimate import Estimate
from sweep_engine.densities.estimator import Noted, Reading
from sweep_engine.densities.functions.split_half import split_half_bounds
from sweep_engine.densities.points.classifier import ClassifierTest
from sweep_engine.densities.stored.sides import Side, counted, observed


@dataclass(frozen=True)
class Only:
    """One of a reading's estimates."""

    reading: Reading
    name: str

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Read the one estimate."""
        return tuple(e for e in self.reading.at(confidence) if e.name == self.name)


def look_at_kl_bound(source: Side, reference: Side, seed: int) -> Reading:
    """Look at a lower bound of the KL between two sides, in their comparison's observable.

    Args:
        source: Which runs.
        reference: Which runs.
        seed: Of the estimator.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.
    """
    if source.comparison.observable == "function":
        (_, counts), _ = counted(source, reference)
        return Only(split_half_bounds(gather_many(counts), seed), KL_BOUND.name)
    draws, notes = observed(source, reference)
    return Noted(_of_columns(*draws, seed), notes)


def _of_columns(source: Draws, reference: Draws, seed: int) -> Reading:
    """Bound in bins for one column, by a classifier for several."""
    if source.dimension == 1:
        return Only(binned_divergences(source, reference, seed), KL_BOUND.name)
    return Only(ClassifierTest().look(source, reference, seed), "kl_bound_c2st")
