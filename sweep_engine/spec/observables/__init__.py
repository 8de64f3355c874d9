"""Observables: what is computed of every stored network; a file a theme."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, WithJsonSchema

from sweep_engine.spec.base import Spec, canonical_json, kinds
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.observables.coordinates import Coordinates
from sweep_engine.spec.observables.dynamics import (
    Alignment,
    Conservation,
    IntrinsicDynamics,
    KernelMovement,
    Lifting,
)
from sweep_engine.spec.observables.flatness import Flatness
from sweep_engine.spec.observables.functions import Complexity, Compression, Function, Spectrum
from sweep_engine.spec.observables.kind import Bare, ObservableKind, ProjectionPlane
from sweep_engine.spec.observables.outputs import Calibration, Confidence, Margin, NormalisedLoss
from sweep_engine.spec.observables.parameters import Balance, Distance, Norms, Path, Symmetry
from sweep_engine.spec.observables.rank import Rank
from sweep_engine.spec.observables.smoothness import InputGradient, Smoothness
from sweep_engine.spec.observables.volumes import (
    LearningCoefficient,
    LocalVolume,
    MapEstimate,
    VolumeExponent,
)

__all__ = [
    "Alignment",
    "Balance",
    "Bare",
    "Calibration",
    "Complexity",
    "Compression",
    "Confidence",
    "Conservation",
    "Coordinates",
    "CustomObservable",
    "Distance",
    "Flatness",
    "Function",
    "InputGradient",
    "IntrinsicDynamics",
    "KernelMovement",
    "LearningCoefficient",
    "Lifting",
    "LocalVolume",
    "MapEstimate",
    "Margin",
    "NormalisedLoss",
    "Norms",
    "ObservableKind",
    "ObservableSpec",
    "Observables",
    "Path",
    "ProjectionPlane",
    "Rank",
    "Smoothness",
    "Spectrum",
    "Symmetry",
    "VolumeExponent",
    "merge",
]


class CustomObservable(Custom, ObservableKind):  # type: ignore[misc]  # a literal is a str
    """An `Observable` of the user's own."""

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()


ObservableSpec = Annotated[
    Norms
    | Distance
    | Margin
    | Path
    | NormalisedLoss
    | Confidence
    | Calibration
    | Function
    | Complexity
    | Compression
    | Spectrum
    | Balance
    | Symmetry
    | Flatness
    | Rank
    | Smoothness
    | InputGradient
    | LocalVolume
    | LearningCoefficient
    | VolumeExponent
    | MapEstimate
    | Coordinates
    | Conservation
    | Lifting
    | IntrinsicDynamics
    | KernelMovement
    | Alignment
    | CustomObservable,
    Field(discriminator="kind"),
]
"""The observables that may stand in a sweep; `observables.OBSERVABLES` has what computes each."""


def _expanded(value: Any, info: ValidationInfo) -> Any:
    """Write a kind's name out, with its default settings; describe a user's own object."""
    if isinstance(value, str):
        return {"kind": value}
    return CustomObservable.wrap_object(value, info)


def _stands_alone(kind: type[Spec]) -> bool:
    try:
        kind()
    except ValidationError:
        return False
    return True


_Name = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "enum": [
                kind.model_fields["kind"].default
                for kind in kinds(ObservableSpec)
                if _stands_alone(kind)
            ],
        }
    ),
]


Observables = tuple[
    Annotated[
        ObservableSpec, BeforeValidator(_expanded, json_schema_input_type=_Name | ObservableSpec)
    ],
    ...,
]


def merge(
    stored: Sequence[ObservableKind], given: Sequence[ObservableKind]
) -> tuple[ObservableKind, ...]:
    """Join two lists of observables: the stored ones in their order, then what is new.

    Of a user's own object the stored list holds a description: the object takes its place.
    """
    added = {_identity(observable): observable for observable in given}
    kept = [added.pop(_identity(observable), observable) for observable in stored]
    return (*kept, *added.values())


def _identity(observable: ObservableKind) -> str:
    return canonical_json(observable.model_dump(mode="json"))
