"""Observables of how outputs change with the inputs."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sweep_engine.spec.base import Count, Positive
from sweep_engine.spec.observables.kind import Bare, ObservableKind


class Smoothness(ObservableKind):
    """How the outputs change along lines of inputs that are neither trained nor tested on.

    The columns begin with `line`, `plane` or `grid`. The lines are the same for all networks of
    a task: they are drawn from the number of its training inputs.
    """

    fit_source: ClassVar[None] = None
    projection_plane: ClassVar[None] = None
    entry_names: ClassVar[tuple[str, ...]] = ()

    kind: Literal["smoothness"] = "smoothness"
    on: Literal["line", "plane", "grid"] = Field(
        default="line",
        description="lines through pairs of training inputs; the rows and columns of a square in "
        "the plane of three of them; or those of the box around inputs of one or two numbers",
    )
    points: Annotated[int, Field(strict=True, ge=3, le=512)] = Field(
        default=32, description="on every line, equally spaced; squared on a plane or grid"
    )
    extent: Positive = Field(
        default=1.0, description="1: as far as the data go; more: beyond; less: inside"
    )
    lines: Count = Field(default=16, description="how many, with `on: line`")


class InputGradient(Bare):
    """The mean norm of the outputs' gradient by the input, on the test set."""

    kind: Literal["input_gradient"] = "input_gradient"
