"""Tell a kernel of the convolutions of a model."""

from jax import lax

from sweep_engine.kernels.fused_training.convolution import Convolution
from sweep_engine.models import cnn as models
from sweep_engine.models.cnn import CnnNetwork, image_of


def convolutions_of(
    module: CnnNetwork, input_shape: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[Convolution, ...]]:
    """Tell the sides and channels of an input, and every convolution with its zeros.

    Args:
        module: The model, which fits its inputs.
        input_shape: Of one input, as the task has it.
    """
    image = image_of(input_shape, module.image)
    *axes, _ = image
    sides, found = tuple(axes), []
    for layer in module.convolutions:
        one = Convolution(
            layer.channels,
            layer.kernel,
            layer.stride,
            _zeros(layer, sides),
            layer.max_pool,
            layer.mean_pool,
        )
        found.append(one)
        sides = one.left(sides)
    return image, tuple(found)


def _zeros(layer: models.Convolution, sides: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Count the zeros before and after every axis; flax asks the same function for 'same'."""
    if isinstance(layer.padding, int):
        return ((layer.padding, layer.padding),) * len(sides)
    window, strides = ((side,) * len(sides) for side in (layer.kernel, layer.stride))
    each = lax.padtype_to_pads(sides, window, strides, layer.padding.upper())
    return tuple((int(before), int(after)) for before, after in each)
