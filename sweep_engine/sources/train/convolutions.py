"""The convolutions of a model as a training kernel is told of them."""

from jax import lax

from sweep_engine.kernels.fused_training.convolution import Convolution
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
    sides, found = image[:-1], []
    for layer in module.convolutions:
        same = isinstance(layer.padding, str)
        zeros = [(0, 0) if same else (layer.padding, layer.padding)] * len(sides)
        if same:
            window, strides = [layer.kernel] * len(sides), [layer.stride] * len(sides)
            zeros = lax.padtype_to_pads(sides, window, strides, "SAME")
        one = Convolution(
            layer.channels,
            layer.kernel,
            layer.stride,
            tuple((int(low), int(high)) for low, high in zeros),
            layer.max_pool,
            layer.mean_pool,
        )
        found.append(one)
        sides = one.left(sides)
    return image, tuple(found)
