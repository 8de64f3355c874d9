"""Check that a kernel is told of norms and blocks, with parameters where they lie."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from sweep_engine.kernels.fused_training import plain
from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.fused_training.implementations import TRAIN, obstacle
from sweep_engine.sources import open_source
from sweep_engine.sources.train.kernel import case_of
from sweep_engine.spec import Sweep, settings

SWEEP = {
    "name": "cases",
    "task": {"kind": "boolean", "bits": 3, "target": "x1 ^ x2", "train": 6},
    "sources": {"sgd": {"kind": "train", "optimizer": {"kind": "sgd"}, "runs": 1}},
}
MLP = {"kind": "mlp", "widths": [5, 4], "activation": "tanh"}
RESIDUAL = {"kind": "residual", "width": 4, "activation": "gelu"}
MODELS = {
    "layer norms": MLP | {"norm": "layer"},
    "rms norms": MLP | {"norm": "rms", "bias": False},
    "blocks": RESIDUAL | {"norm": None},
    "blocks with norms": RESIDUAL | {"norm": "layer", "blocks": 6},
}
"""Order the 14 layers of six blocks: the tenth comes behind the ninth, not the first."""

BLOCKS = Case((3, *[4] * 5, 1), residual=True)


@pytest.mark.parametrize("name", MODELS)
def test_the_case_has_the_outputs_of_the_model(name):
    sweep = Sweep.model_validate(SWEEP | {"model": MODELS[name]})
    programs = open_source(settings(sweep)[0], sweep.seed, sweep.folder, (), sweep.execution)
    case, network = case_of(programs.single), programs.bucket.network
    assert case.num_params == network.layout.num_params
    rng = np.random.default_rng(0)
    theta = rng.normal(size=case.num_params).astype(np.float32)
    x = rng.normal(size=(5, 3)).astype(np.float32)

    @jax.jit
    def both(theta):
        return plain.outputs(case, theta, x), network.apply(network.layout.unflatten(theta), x)

    found, truth = both(theta)
    assert found.shape == truth.shape
    assert np.isfinite(truth).all()
    np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-5 * np.abs(truth).max())
    misplaced, _ = both(np.roll(theta, 1))
    assert np.abs(misplaced - truth).max() > 0.01 * np.abs(truth).max()  # a place off is caught


@pytest.mark.parametrize(
    ("case", "what"),
    [(BLOCKS, "residual connections"), (Case((3, 4, 1), norm="rms"), "norms")],
    ids=["blocks", "norms"],
)
def test_kernels_say_what_they_do_not_know(case, what):
    unknowing = {name for name in TRAIN if obstacle(case, name) == what}
    assert unknowing == {"cpu_tiny", "cuda", "tpu"}
    assert obstacle(case, "cpu") is None


@pytest.mark.parametrize("widths", [(3, 4, 1), (3, 4, 4, 1), (3, 4, 4, 4, 4, 1), (3, 4, 5, 4, 1)])
def test_blocks_are_of_two_layers_of_one_width(widths):
    with pytest.raises(ValueError, match="hidden layers of one width"):
        replace(BLOCKS, widths=widths)
