"""Flatness: the curvature of the training loss around a solution."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sweep_engine.spec.base import Count, Positive
from sweep_engine.spec.observables.kind import ObservableKind

FlatnessMeasure = Literal["eigenvalues", "trace", "fisher", "sharpness", "relative"]


class Flatness(ObservableKind):
    """How the training loss curves around a network: Hessian, Fisher information, sharpness.

    `eigenvalues`: the largest ones of the Hessian and the smallest, and the largest as a share of
    what the optimiser can stand. `trace`: trace and Frobenius norm, by random signs. `fisher`:
    trace of the Fisher information, exact. `sharpness`: how far the loss rises within a radius of
    theta, at worst and on average. `relative`: eigenvalue and trace in units of the parameters
    themselves, which rescaling relu units does not change. Each costs some `steps` or `probes`
    products with the Hessian, of two gradients over the training set each.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["flatness"] = "flatness"
    measures: Annotated[tuple[FlatnessMeasure, ...], Field(min_length=1)] = Field(
        default=(
            "eigenvalues",
            "trace",
            "fisher",
            "sharpness",
            "relative",
        ),
        description="which of the groups above are computed",
    )
    eigenvalues: Count = Field(default=4, description="how many of the largest are listed")
    steps: Count = Field(default=32, description="of Lanczos; more for close eigenvalues")
    tolerance: Positive = Field(
        default=1e-3,
        description="residual, as a share of the largest eigenvalue, up to which they converged",
    )
    probes: Annotated[int, Field(strict=True, ge=2)] = Field(
        default=32, description="random sign vectors of a trace, or pairs of directions of a mean"
    )
    radius: Positive = Field(default=0.05, description="of sharpness, absolute")
    relative_radius: Positive = Field(default=0.01, description="of sharpness, times |theta|")
    ascent_steps: Count = Field(default=10, description="of the search for the worst direction")

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        if len(set(self.measures)) < len(self.measures):
            raise ValueError("measures: one is named twice")
        return self
