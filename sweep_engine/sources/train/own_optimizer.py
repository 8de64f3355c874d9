"""OwnStepper: steps by a user's own optax transformation."""

from typing import Any

import jax
import optax

from sweep_engine.sources.train.search import Objective
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.sources.optimizers import CustomOptimizer


class OwnStepper:
    """Steps by what a user's object makes, which may ask for the loss of the step's examples."""

    def initial(self, spec: CustomOptimizer, params: Any) -> Any:
        return spec.value.transformation().init(params)

    def update(
        self,
        spec: CustomOptimizer,
        objective: Objective,
        params: Any,
        state: Any,
        context: StepContext,
    ) -> tuple[Any, Any]:
        transformation = optax.with_extra_args_support(spec.value.transformation())
        value, gradient = jax.value_and_grad(objective)(params)
        step, state = transformation.update(
            gradient, state, params, value=value, grad=gradient, value_fn=objective
        )
        return optax.apply_updates(params, step), state
