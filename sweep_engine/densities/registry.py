"""The estimators by name, and what a report says of their estimates: THE list of both.

To add one, write its class and add it here; `spec.sweep.EstimatorName` names it for sweep files,
and a test holds the two lists equal.
"""

from typing import Any

from sweep_engine.densities.columns.binned import Binned
from sweep_engine.densities.columns.correlate import Correlate
from sweep_engine.densities.columns.ks import KolmogorovSmirnov
from sweep_engine.densities.columns.mean import MeanDifference
from sweep_engine.densities.columns.medians import MedianShift
from sweep_engine.densities.columns.wasserstein import Wasserstein
from sweep_engine.densities.decomposition.decomposition import Decomposition
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.estimator import Estimator, Quantity, Reading, Readings, Takes
from sweep_engine.densities.functions.function_space import FunctionSpace
from sweep_engine.densities.networks.estimators import Ensemble, Pairs
from sweep_engine.densities.points.classifier import ClassifierTest
from sweep_engine.densities.points.flow import Flow
from sweep_engine.densities.points.kernel_density import KernelDensity
from sweep_engine.densities.points.kernel_tests import Energy, Mmd
from sweep_engine.densities.points.neighbours import NearestNeighbours
from sweep_engine.densities.trust import Trust
from sweep_engine.errors import IncomparableSources
from sweep_engine.spec.sweep import OWN_ESTIMATORS


class Suited(Estimator[Draws]):
    """Estimates what suits the number of columns, where a sweep file names no estimator.

    One column: a distance with a test that holds at any number of draws, and bounds on bins. Two:
    bins of the plane. Beyond, bins are empty, and a classifier is asked.
    """

    name = "suited"
    takes = Takes.COLUMNS
    trust = Trust(name, Binned.trust.min_draws)
    quantities = (
        *KolmogorovSmirnov.quantities,
        *Binned.quantities,
        *ClassifierTest.quantities,
    )

    def look(self, source: Draws, reference: Draws, seed: int) -> Reading:
        """Look with each of those that suit."""
        chosen = self.parts(source)
        return Readings(tuple(each.look(source, reference, seed) for each in chosen))

    def parts(self, source: Draws) -> tuple[Estimator[Draws], ...]:
        """List those that suit."""
        return suited_to(source.dimension)


def suited_to(num_columns: int) -> tuple[Estimator[Draws], ...]:
    """List the estimators that suit a number of columns."""
    suited: dict[int, tuple[Estimator[Draws], ...]] = {
        1: (KolmogorovSmirnov(), Binned()),
        2: (Binned(),),
    }
    return suited.get(num_columns, (ClassifierTest(),))


DECOMPOSITION = Decomposition()
ENSEMBLE = Ensemble()
MEANS = MeanDifference()
MEDIANS = MedianShift()
FUNCTIONS = FunctionSpace()
PAIRS = Pairs()
SUITED = Suited()

_NAMED: tuple[Estimator[Any], ...] = (
    Binned(),
    KolmogorovSmirnov(),
    MEANS,
    Wasserstein(),
    Energy(),
    Mmd(),
    NearestNeighbours(),
    KernelDensity(),
    ClassifierTest(),
    Flow(),
    Correlate(),
    PAIRS,
    ENSEMBLE,
    DECOMPOSITION,
    MEDIANS,
)

ESTIMATORS: dict[str, Estimator[Any]] = {estimator.name: estimator for estimator in _NAMED}
"""By the name under which a sweep file asks for it."""

_ALL: tuple[Estimator[Any], ...] = (FUNCTIONS, *_NAMED, SUITED)

QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity for estimator in _ALL for quantity in estimator.quantities
}
"""All that is estimated, by name; in the order in which a figure prefers them as its headline."""


_OWN: dict[str, Estimator[Any]] = {}


def add_estimator(estimator: Estimator[Any]) -> None:
    """Make an estimator of your own known to this process, by its name.

    From then on sweeps name it under `compare`, and comparisons and reports that are made in this
    process ask it. What it is called and what it says stand on its class. Given again, as when a
    cell of a notebook is run again, the new one takes the old one's place.

    Args:
        estimator: `takes` says what of each side it is given.

    Raises:
        ValueError: Its name, or that of an estimate, is another's.
    """
    if estimator.name in ESTIMATORS:
        raise ValueError(f"estimator: {estimator.name!r} is the engine's own: give it another name")
    others = [one for name, one in _OWN.items() if name != estimator.name]
    known = {one.name: one for each in (*_ALL, *others) for one in each.quantities}
    for quantity in estimator.quantities:
        if known.get(quantity.name, quantity) != quantity:
            raise ValueError(f"quantities: {quantity.name!r} is another's: give it another name")
    _OWN[estimator.name] = estimator
    OWN_ESTIMATORS.add(estimator.name)
    QUANTITIES.update({quantity.name: quantity for quantity in estimator.quantities})


def is_estimator(name: str) -> bool:
    """Say whether an estimator, and not only an estimate, has this name here."""
    return name in ESTIMATORS or name in _OWN


def estimator_of(name: str) -> Estimator[Any]:
    """Give the estimator of a name, the engine's or a user's own.

    Raises:
        IncomparableSources: It is a user's own and was not added in this process.
    """
    found = ESTIMATORS.get(name) or _OWN.get(name)
    if found is None:
        raise IncomparableSources(
            f"{name!r} is an estimator of a user's own: from Python, give it to "
            "sweep_engine.add_estimator, then compare or write the report there"
        )
    return found
