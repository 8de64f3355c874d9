"""Network: a model bound to its input and output sizes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.models.cnn import cnn_module, lenet_module
from sweep_engine.models.convolutions import as_products
from sweep_engine.models.layout import Layout
from sweep_engine.models.networks import (
    DiagonalNetwork,
    InfinitelyDeepNetwork,
    MatrixFactorisationNetwork,
    MlpNetwork,
    ScalarFactorisationNetwork,
)
from sweep_engine.models.parameters import as_they_stand
from sweep_engine.models.residual import NormalisedMlpNetwork, ResidualNetwork
from sweep_engine.models.transformer import TransformerNetwork
from sweep_engine.spec.base import check_complete
from sweep_engine.spec.models import (
    Cnn,
    CustomModel,
    DeepLinear,
    Diagonal,
    InfinitelyDeepLinear,
    Lenet,
    Linear,
    MatrixFactorisation,
    Mlp,
    ModelKind,
    ModelSpec,
    Residual,
    ScalarFactorisation,
    Transformer,
)


@dataclass(frozen=True)
class Network:
    """A flax module with the layout of its parameters.

    Attributes:
        module: Maps inputs (N, D) to outputs (N, C).
        input_shape: Shape of one input.
        layout: How theta is made of the parameters.
    """

    module: nn.Module
    input_shape: tuple[int, ...]
    layout: Layout

    def apply(self, params: Any, x: Float[Array, "N ..."]) -> Float[Array, "N C"]:
        """Compute the outputs of one network."""
        with as_products(), as_they_stand():
            outputs: Array = self.module.apply({"params": params}, x)
        return outputs

    def init(self, key: Key[Array, ""]) -> Any:
        """Draw parameters from the module's own initialisers."""
        return self.module.init(key, jnp.zeros((1, *self.input_shape)))["params"]


def build(spec: ModelKind, input_shape: tuple[int, ...], num_outputs: int) -> Network:
    """Bind a model to its input and output sizes.

    Raises:
        ValueError: the model does not fit them.
    """
    module = MODULES[type(spec)](spec, num_outputs)
    example = jax.ShapeDtypeStruct((1, *input_shape), jnp.result_type(float))
    with as_products():
        outputs, variables = jax.eval_shape(
            lambda x: module.init_with_output(jax.random.key(0), x), example
        )
    if set(variables) != {"params"}:
        raise ValueError(f"expected a module with params only, got {sorted(variables)}")
    if outputs.shape != (1, num_outputs):
        raise ValueError(
            f"expected outputs of shape (N, {num_outputs}) from the model, got "
            f"(N, {', '.join(str(n) for n in outputs.shape[1:])})"
        )
    return Network(module, input_shape, Layout.of(variables["params"]))


def _own_module(spec: CustomModel) -> nn.Module:
    if not isinstance(spec.value, nn.Module):
        raise ValueError(f"expected a flax linen module, got {spec.target}")
    return spec.value


def _mlp(spec: Mlp, num_outputs: int) -> nn.Module:
    if spec.norm is None:
        return MlpNetwork(spec.widths, spec.activation, spec.bias, num_outputs)
    return NormalisedMlpNetwork(spec.widths, spec.activation, spec.bias, spec.norm, num_outputs)


def _transformer(spec: Transformer, num_outputs: int) -> nn.Module:
    return TransformerNetwork(
        spec.vocabulary,
        spec.blocks,
        spec.width,
        spec.heads,
        spec.hidden,
        spec.activation,
        spec.norm,
        spec.causal,
        num_outputs,
    )


MODULES: dict[type[ModelKind], Callable[[Any, int], nn.Module]] = {
    Mlp: _mlp,
    Residual: lambda spec, num_outputs: ResidualNetwork(
        spec.blocks, spec.width, spec.activation, spec.bias, spec.norm, num_outputs
    ),
    Linear: lambda spec, num_outputs: MlpNetwork((), "linear", spec.bias, num_outputs),
    DeepLinear: lambda spec, num_outputs: MlpNetwork(
        (spec.width,) * (spec.depth - 1), "linear", False, num_outputs
    ),
    Diagonal: lambda spec, num_outputs: DiagonalNetwork(2 if spec.depth is None else spec.depth),
    ScalarFactorisation: lambda spec, num_outputs: ScalarFactorisationNetwork(),
    MatrixFactorisation: lambda spec, num_outputs: MatrixFactorisationNetwork(
        spec.depth, spec.width
    ),
    InfinitelyDeepLinear: lambda spec, num_outputs: InfinitelyDeepNetwork(spec.cells, num_outputs),
    Cnn: cnn_module,
    Lenet: lenet_module,
    Transformer: _transformer,
    CustomModel: lambda spec, num_outputs: _own_module(spec),
}
"""The flax module of every model, for so many outputs."""

check_complete(ModelSpec, MODULES, "sweep_engine.models.network.MODULES")
