"""Observables of the outputs on training and test inputs."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from sweep_engine.spec.base import Count, Positive
from sweep_engine.spec.observables.kind import Bare, ObservableKind
from sweep_engine.spec.scales import OutputScale


class Margin(Bare):
    """The smallest margin over the training set, also over products of norms."""

    kind: Literal["margin"] = "margin"


class Confidence(Bare):
    """Mean probability of the chosen label, and Brier score, on the test set."""

    kind: Literal["confidence"] = "confidence"


class NormalisedLoss(ObservableKind):
    """Training loss of the outputs divided by a scale of the network: `train_loss_path` for path.

    Between networks of equal normalised loss, size is no reason for a difference: match on it, or
    accept a bin of it (`accept.loss` with `normalise`).

    Source:
        Chiang et al. (2023), Loss landscapes are all you need, ICLR.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["normalised_loss"] = "normalised_loss"
    by: Annotated[tuple[OutputScale, ...], Field(min_length=1)] = Field(
        default=("frobenius",), description="what outputs are divided by; a column for each"
    )

    @field_validator("by")
    @classmethod
    def _each_once(cls, by: tuple[OutputScale, ...]) -> tuple[OutputScale, ...]:
        if len(set(by)) < len(by):
            raise ValueError("name each scale once")
        return by


InputSet = Literal["test", "ood", "far"]


class Calibration(ObservableKind):
    """Does a network know how often it is right? Scores of its probabilities on sets of inputs.

    Each set gives columns such as `test_ece`: accuracy, log loss, calibration error (ECE) with
    that of a network that is calibrated, Brier score in its parts, and how well confidence tells
    right labels from wrong ones. `far` has the test inputs times `far_factor`, with their labels.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["calibration"] = "calibration"
    sets: Annotated[tuple[InputSet, ...], Field(min_length=1)] = Field(
        default=("test", "far"),
        description="`ood` is the second set, which the task must name in its own `ood`",
    )
    bins: Count = Field(default=15, description="of equal width, of probabilities from 0 to 1")
    draws: Annotated[int, Field(strict=True, ge=2)] = Field(
        default=100, description="of labels from the network's own probabilities, for ECE's null"
    )
    far_factor: Positive = Field(
        default=10.0, description="multiplies the test inputs, to make the set `far`"
    )

    @field_validator("sets")
    @classmethod
    def _each_once(cls, sets: tuple[InputSet, ...]) -> tuple[InputSet, ...]:
        if len(set(sets)) < len(sets):
            raise ValueError("name each set once")
        return sets
