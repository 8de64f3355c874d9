"""Optimisers and their schedules: how a run steps."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from sweep_engine.spec.sources.optimizers.adaptive import Adagrad, Adam, GroupRmsProp, RmsProp
from sweep_engine.spec.sources.optimizers.optimizer import (
    EdgeOptimizer,
    GradientOptimizer,
    Optimizer,
)
from sweep_engine.spec.sources.optimizers.own import CustomOptimizer
from sweep_engine.spec.sources.optimizers.schedules import (
    Constant,
    Cosine,
    ScheduleSpec,
    StepDecay,
    WarmUp,
)
from sweep_engine.spec.sources.optimizers.searches import PatternSearch, RandomSearch
from sweep_engine.spec.sources.optimizers.sgd import (
    Langevin,
    Sam,
    Sgd,
    SharpnessLimited,
    StraightThrough,
)
from sweep_engine.spec.sources.optimizers.steepest import Lion, Muon, SignDescent

__all__ = [
    "Adagrad",
    "Adam",
    "Constant",
    "Cosine",
    "CustomOptimizer",
    "EdgeOptimizer",
    "GradientOptimizer",
    "GroupRmsProp",
    "Langevin",
    "Lion",
    "Muon",
    "Optimizer",
    "OptimizerSpec",
    "PatternSearch",
    "RandomSearch",
    "RmsProp",
    "Sam",
    "ScheduleSpec",
    "Sgd",
    "SharpnessLimited",
    "SignDescent",
    "StepDecay",
    "StraightThrough",
    "WarmUp",
]

OptimizerSpec = Annotated[
    Sgd | Adam | RmsProp | Adagrad | GroupRmsProp | SignDescent | Lion | Muon | Sam
    | SharpnessLimited | StraightThrough | Langevin | RandomSearch | PatternSearch
    | CustomOptimizer,
    Field(discriminator="kind"),
    BeforeValidator(CustomOptimizer.wrap_object),
]  # fmt: skip
"""The optimisers that can stand in a sweep file: this is the list of them."""
