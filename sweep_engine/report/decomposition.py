"""The KL decompositions among a sweep's estimates: the estimates of a pair, together."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweep_engine.densities import Compared, Estimate, Pair
from sweep_engine.densities.decomposition.decomposition import TEST_ERRORS
from sweep_engine.densities.decomposition.nats import DATA
from sweep_engine.densities.decomposition.pac_bayes import PAC_BAYES
from sweep_engine.densities.estimator import Table
from sweep_engine.report.words import table_of


@dataclass(frozen=True)
class Decomposed:
    """The decomposition of one pair: its estimates by name."""

    pair: Pair
    estimates: dict[str, Estimate]

    @property
    def observable(self) -> str:
        """In which the optimiser's term was measured, in words."""
        name = self.pair.comparison.observable
        return "functions" if name == "function" else name


def decompositions(compared: Sequence[Compared]) -> list[Decomposed]:
    """Collect the decompositions' estimates, one entry for each pair that has them."""
    decomposed: list[Decomposed] = []
    for each in compared:
        if table_of(each.estimate) is not Table.DECOMPOSITION:
            continue
        if each.estimate.name == DATA.name:  # the first of its pair
            decomposed.append(Decomposed(each.pair, {}))
        decomposed[-1].estimates[each.estimate.name] = each.estimate
    return decomposed


def error_labels(pair: Pair) -> dict[str, str]:
    """Label the estimates that are errors, in the order in which they are shown."""
    source, reference = pair.comparison.source, pair.comparison.reference
    of_source, of_reference = TEST_ERRORS
    return {
        PAC_BAYES.name: f"PAC-Bayes bound, {reference}",
        of_reference.name: f"test error, {reference}",
        of_source.name: f"test error, {source}",
    }
