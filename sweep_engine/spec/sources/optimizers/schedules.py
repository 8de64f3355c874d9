"""Schedules: what a learning rate is multiplied by, step after step."""

from typing import Annotated, Literal

from pydantic import Field

from sweep_engine.spec.base import TRACED, NonNegative, Positive, Spec, TracedCount


class Constant(Spec):
    """The learning rate stays as it is."""

    kind: Literal["constant"] = "constant"


class Cosine(Spec):
    """Half a cosine from 1 to `final_fraction` over `steps`, then constant."""

    kind: Literal["cosine"] = "cosine"
    steps: TracedCount = Field(description="optimiser steps until the end of the descent")
    final_fraction: Annotated[NonNegative, TRACED] = Field(
        default=0.0, description="share of the learning rate that is left at the end"
    )


class WarmUp(Spec):
    """Linear from 1/steps to 1 over the first `steps`, then constant."""

    kind: Literal["warm_up"] = "warm_up"
    steps: TracedCount = Field(description="optimiser steps until the full learning rate")


class StepDecay(Spec):
    """Times `factor` after every `every` steps."""

    kind: Literal["step"] = "step"
    every: TracedCount = Field(description="optimiser steps between two drops")
    factor: Annotated[Positive, TRACED] = Field(
        default=0.1, description="multiplies the learning rate at each drop"
    )


ScheduleSpec = Annotated[Constant | Cosine | WarmUp | StepDecay, Field(discriminator="kind")]
"""The schedules that can stand in a sweep file: this is the list of them."""
