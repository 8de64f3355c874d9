"""Check that a kernel is told of a model's convolutions, with parameters where they lie."""

from math import prod

import jax
import numpy as np
import pytest

from sweep_engine.kernels.fused_training import plain
from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.fused_training.implementations import TRAIN, obstacle
from sweep_engine.models import Network, build
from sweep_engine.sources.convolutions import convolutions_of
from sweep_engine.spec.models import Cnn, Lenet

MODELS = {
    "same, of one axis": (
        Cnn(channels=(3,), kernel=4, stride=3, padding="same", activation="tanh"),
        (11,),
    ),
    "an image in rows": (
        Cnn(channels=(3, 2), kernel=(3, 2), stride=(1, 2), padding=("same", 1), max_pool=(1, 2),
            mean_pool=(2, 1), dense=(4,), bias=False, image=(6, 7, 2)),
        (84,),
    ),
    "lenet": (Lenet(channels=(2, 3), dense=(5, 4), pooling="mean"), (12, 13)),
}  # fmt: skip


def case_of(network: Network) -> Case:
    """Take one output, as a training source says it."""
    image, convolutions = convolutions_of(network.module, network.input_shape)
    module = network.module
    widths = (prod(image), *module.dense, module.num_outputs)
    return Case(widths, module.activation, module.bias, convolutions=convolutions, image=image)


@pytest.mark.parametrize("name", MODELS)
def test_the_case_has_the_outputs_of_the_model(name):
    network = build(*MODELS[name], 1)
    case = case_of(network)
    assert case.num_params == network.layout.num_params
    rng = np.random.default_rng(0)
    theta = rng.normal(size=case.num_params).astype(np.float32)
    x = rng.normal(size=(3, *network.input_shape)).astype(np.float32)

    @jax.jit
    def both(theta):
        rows = x.reshape(len(x), -1)
        return plain.outputs(case, theta, rows), network.apply(network.layout.unflatten(theta), x)

    found, truth = both(theta)
    assert found.shape == truth.shape
    assert np.isfinite(truth).all()
    np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-5 * np.abs(truth).max())
    misplaced, _ = both(np.roll(theta, 1))
    assert np.abs(misplaced - truth).max() > 0.01 * np.abs(truth).max()  # a place off is caught


def test_kernels_say_what_convolutions_they_do_not_know():
    case = case_of(build(*MODELS["lenet"], 1))
    unknowing = {name for name in TRAIN if obstacle(case, name) == "convolutions"}
    assert unknowing == {"cpu_tiny", "tpu"}
    assert obstacle(case, "cpu") is obstacle(case, "cuda") is None
    wide = case_of(build(Cnn(channels=(9,), padding=1), (43, 43), 1))
    assert obstacle(wide, "cpu") == "convolutions of more than 16384 units"
    assert obstacle(wide, "cuda") == "networks that do not fit a block's shared memory"
    wide = case_of(build(Cnn(channels=(2,), dense=(1025,)), (4,), 1))
    assert obstacle(wide, "cpu") == "layers of more than 1024 units"


def test_a_case_leaves_room_for_its_windows():
    network = build(*MODELS["lenet"], 1)
    convolutions = case_of(network).convolutions
    with pytest.raises(ValueError, match="room for windows"):
        Case((64, 1), convolutions=convolutions, image=(8, 8, 1))
    with pytest.raises(ValueError, match="images of 64 numbers"):
        Case((64, 1), convolutions=convolutions, image=(8, 9, 1))
