"""Optimisers: how a run steps. Those with gradients are optax transformations.

optax compiles a Python number into the program and then never finds the program in its
cache again; here every swept number reaches it as a tracer. It steps leaf by leaf: on a CPU the
same step of one flat vector takes 4 to 8 % longer, since the gradient's leaves must be put
together and cut again (`tests/benchmarks/records/flat_updates_busy_2_cores.json`).
"""

from typing import Any, Protocol

from sweep_engine.sources.train import directions
from sweep_engine.sources.train.gradient_stepper import GradientStepper
from sweep_engine.sources.train.langevin import LANGEVIN
from sweep_engine.sources.train.own_optimizer import OwnStepper
from sweep_engine.sources.train.search import Objective, PatternSearcher, RandomSearcher
from sweep_engine.sources.train.sharpness import SharpnessLimitedStepper, uphill_gradient
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.sources.train.straight_through import StraightThroughStepper
from sweep_engine.spec.base import check_complete
from sweep_engine.spec.sources.optimizers import (
    Adagrad,
    Adam,
    CustomOptimizer,
    GroupRmsProp,
    Langevin,
    Lion,
    Muon,
    OptimizerSpec,
    PatternSearch,
    RandomSearch,
    RmsProp,
    Sam,
    Sgd,
    SharpnessLimited,
    SignDescent,
    StraightThrough,
)


class Stepper(Protocol):
    """How the optimisers of one kind step: code of a single run."""

    def initial(self, spec: Any, params: Any) -> Any:
        """Make the optimiser's state before the first step."""

    def update(
        self, spec: Any, objective: Objective, params: Any, state: Any, context: StepContext
    ) -> tuple[Any, Any]:
        """Compute the next parameters, and the optimiser's next state.

        Args:
            spec: The optimiser.
            objective: Maps parameters to the mean loss over this step's examples.
            params: The parameters.
            state: The optimiser's state.
            context: Which step, and the run's own key.
        """


STEPPERS: dict[type, Stepper] = {
    Sgd: GradientStepper(directions.momentum),
    Adam: GradientStepper(directions.adam),
    RmsProp: GradientStepper(directions.rms_prop),
    Adagrad: GradientStepper(directions.adagrad),
    GroupRmsProp: GradientStepper(directions.group_rms_prop),
    SignDescent: GradientStepper(directions.sign),
    Lion: GradientStepper(directions.lion),
    Muon: GradientStepper(directions.muon),
    Sam: GradientStepper(directions.heavy_ball, gradient=uphill_gradient),
    SharpnessLimited: SharpnessLimitedStepper(),
    StraightThrough: StraightThroughStepper(),
    Langevin: LANGEVIN,
    RandomSearch: RandomSearcher(),
    PatternSearch: PatternSearcher(),
    CustomOptimizer: OwnStepper(),
}
"""How each kind of optimiser steps."""

check_complete(OptimizerSpec, STEPPERS, f"{__name__}.STEPPERS")
