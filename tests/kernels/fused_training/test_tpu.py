"""The reference where there is no TPU: it is lowered for one, and no more is known of it."""

from functools import partial

import jax
import pytest

from sweep_engine.kernels.fused_training import plain
from tests.kernels.fused_training.cases import CASES, make


@pytest.mark.parametrize("name", ["yardstick", "classes"])
def test_jax_lowers_the_reference_for_tpu(name: str) -> None:
    """At full batch and with minibatches; float32 products are asked for in full precision."""
    example = make(CASES[name], 8, 3)
    call = partial(plain.train_segment, example.case, example.checks, num_records=2)
    exported = jax.export.export(jax.jit(call), platforms=["tpu"])(*example[2:])
    assert exported.platforms == ("tpu",)
    theta, *_ = exported.out_avals
    assert theta.shape == (8, example.case.num_params)
    text = exported.mlir_module()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert products
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)
