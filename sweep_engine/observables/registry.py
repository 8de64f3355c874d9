"""The table of all observables: from what a sweep file names to what computes it."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import TypeAdapter

from sweep_engine.observables.alignment import ALIGNMENT
from sweep_engine.observables.calibration import calibration
from sweep_engine.observables.complexity import COMPLEXITY, COMPRESSION
from sweep_engine.observables.conservation import CONSERVATION
from sweep_engine.observables.coordinates import coordinates
from sweep_engine.observables.flatness import flatness
from sweep_engine.observables.intrinsic_dynamics import intrinsic_dynamics
from sweep_engine.observables.kernel_movement import kernel_movement
from sweep_engine.observables.learning_coefficient import learning_coefficient, volume_exponent
from sweep_engine.observables.lifting import lifting
from sweep_engine.observables.local_volume import local_volume
from sweep_engine.observables.map_estimate import map_estimate
from sweep_engine.observables.networks import BALANCE, CONFIDENCE, DISTANCE, MARGIN, NORMS, PATH
from sweep_engine.observables.normalised_loss import normalised_loss
from sweep_engine.observables.observable import Observable
from sweep_engine.observables.rank import rank
from sweep_engine.observables.smoothness import INPUT_GRADIENT, smoothness
from sweep_engine.observables.spectrum import SPECTRUM
from sweep_engine.observables.symmetry import SYMMETRY
from sweep_engine.observables.truth_table import FUNCTION
from sweep_engine.spec.base import check_complete
from sweep_engine.spec.observables import (
    Alignment,
    Balance,
    Calibration,
    Complexity,
    Compression,
    Confidence,
    Conservation,
    Coordinates,
    CustomObservable,
    Distance,
    Flatness,
    Function,
    InputGradient,
    IntrinsicDynamics,
    KernelMovement,
    LearningCoefficient,
    Lifting,
    LocalVolume,
    MapEstimate,
    Margin,
    NormalisedLoss,
    Norms,
    ObservableKind,
    Observables,
    ObservableSpec,
    Path,
    Rank,
    Smoothness,
    Spectrum,
    Symmetry,
    VolumeExponent,
)

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Observables)


def observables(named: Sequence[Any]) -> list[Observable]:
    """Make the observables that a sweep names, or that are given as objects.

    Raises:
        ValueError: a name or an object is no observable's, or two fill one column.
    """
    chosen = [OBSERVABLES[type(spec)](spec) for spec in _ADAPTER.validate_python(tuple(named))]
    columns = [column.name for observable in chosen for column in observable.columns]
    if len(set(columns)) < len(columns):
        raise ValueError("two observables fill one column, or one is named twice")
    return chosen


def columns_of(spec: ObservableKind) -> list[tuple[str, str]]:
    """(name, dtype) of an observable's columns; a user's own may be at hand as a description."""
    if isinstance(spec, CustomObservable):
        return [(column["name"], column["dtype"]) for column in spec.fields.get("columns", ())]
    return [(column.name, column.dtype) for column in OBSERVABLES[type(spec)](spec).columns]


def _always(observable: Observable) -> Callable[[Any], Observable]:
    return lambda spec: observable


def _own(spec: CustomObservable) -> Observable:
    if not isinstance(spec.value, Observable):
        raise ValueError("expected an instance of sweep_engine.Observable")
    return spec.value


OBSERVABLES: dict[type[ObservableKind], Callable[[Any], Observable]] = {
    Norms: _always(NORMS),
    Distance: _always(DISTANCE),
    Margin: _always(MARGIN),
    NormalisedLoss: normalised_loss,
    Path: _always(PATH),
    Confidence: _always(CONFIDENCE),
    Calibration: calibration,
    Function: _always(FUNCTION),
    Complexity: _always(COMPLEXITY),
    Compression: _always(COMPRESSION),
    Spectrum: _always(SPECTRUM),
    Balance: _always(BALANCE),
    Symmetry: _always(SYMMETRY),
    Flatness: flatness,
    Rank: rank,
    Smoothness: smoothness,
    InputGradient: _always(INPUT_GRADIENT),
    LocalVolume: local_volume,
    LearningCoefficient: learning_coefficient,
    VolumeExponent: volume_exponent,
    MapEstimate: map_estimate,
    Coordinates: coordinates,
    Conservation: _always(CONSERVATION),
    Lifting: lifting,
    IntrinsicDynamics: intrinsic_dynamics,
    KernelMovement: kernel_movement,
    Alignment: _always(ALIGNMENT),
    CustomObservable: _own,
}
"""What makes the observable of every kind from its settings."""

check_complete(ObservableSpec, OBSERVABLES, "sweep_engine.observables.registry.OBSERVABLES")
