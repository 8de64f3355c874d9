"""Steps that prepare a task's inputs: they stand in the file, in their order."""

from typing import Annotated, Literal

from pydantic import Field

from sweep_engine.spec.base import Positive, Real, Spec

Side = Annotated[int, Field(strict=True, ge=2)]


class Normalise(Spec):
    """Subtract a number and divide by another: (x - mean) / std, for every number of an input."""

    kind: Literal["normalise"] = "normalise"
    mean: Real = Field(default=0.0, description="what is subtracted, in the unit of the inputs")
    std: Positive = Field(default=1.0, description="what is then divided by")


class MaxPool(Spec):
    """The largest of every window; windows do not overlap, and what is left over is cut off."""

    kind: Literal["max_pool"] = "max_pool"
    side: Side = Field(default=2, description="of a window, along every axis of an input")


class MeanPool(Spec):
    """The mean of every window; windows do not overlap, and what is left over is cut off."""

    kind: Literal["mean_pool"] = "mean_pool"
    side: Side = Field(default=2, description="of a window, along every axis of an input")


StepSpec = Annotated[Normalise | MaxPool | MeanPool, Field(discriminator="kind")]
"""The steps that may stand in a task; `tasks.preparation.STEPS` has what each does."""
