"""StraightThroughStepper: binary weights, trained through the real ones behind them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sweep_engine.models.layout import Layout
from sweep_engine.sources.train.directions import heavy_ball
from sweep_engine.sources.train.gradient_stepper import GradientStepper
from sweep_engine.sources.train.search import Objective
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.sources.optimizers import StraightThrough


class Latent(NamedTuple):
    """Hold what a step carries on.

    Attributes:
        optimizer: State of the step itself.
        params: The real parameters behind the binary network.
    """

    optimizer: Any
    params: Any


class StraightThroughStepper:
    """Step the real weights behind a binary network."""

    _plain = GradientStepper(heavy_ball)

    def initial(self, spec: StraightThrough, params: Any) -> Latent:
        """Make the state before the first step: the network that is given is the real one."""
        return Latent(self._plain.initial(spec, params), params)

    def update(
        self,
        spec: StraightThrough,
        objective: Objective,
        params: Any,
        state: Latent,
        context: StepContext,
    ) -> tuple[Any, Latent]:
        """Step the real weights along the gradient at the binary ones."""
        gradient = jax.grad(objective)(_binary(state.params, spec.scale))
        latent, carried = self._plain.step_along(
            spec, gradient, state.params, state.optimizer, context
        )
        latent = _of_weights(lambda w: jnp.clip(w, -spec.scale, spec.scale), latent)
        return _binary(latent, spec.scale), Latent(carried, latent)


def _binary(params: Any, scale: Any) -> Any:
    """Give +scale to weights that are not negative, -scale to the others."""
    return _of_weights(lambda w: jnp.where(w >= 0, scale, -scale).astype(w.dtype), params)


def _of_weights(function: Any, params: Any) -> Any:
    """Apply a function to every leaf but the biases."""
    layout = Layout.of(params)
    biases = {leaf.path for leaf in layout.leaves if leaf.is_bias}

    def apply(path: tuple[Any, ...], leaf: Any) -> Any:
        return leaf if tuple(str(part.key) for part in path) in biases else function(leaf)

    return jax.tree_util.tree_map_with_path(apply, params)
