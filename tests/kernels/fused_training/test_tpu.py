"""Where there is no TPU: kernel and reference are lowered for one, and what fits is known."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from sweep_engine.kernels.fused_training import plain, tpu
from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.fused_training.implementations import obstacle
from tests.kernels.fused_training import raw
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


def test_jax_lowers_the_kernel_for_tpu() -> None:
    """By the rules of Pallas for TPUs, which know fewer operations than its interpreter."""
    example = make(CASES["classes"], 3, 2)
    call = partial(tpu.train_segment, example.case, example.checks, num_records=2)
    exported = jax.export.export(jax.jit(call), platforms=["tpu"])(*example[2:])
    assert "tpu_custom_call" in exported.mlir_module()
    assert exported.out_avals[0].shape == (3, example.case.num_params)


def test_gelu_classes_and_adam_agree_with_the_reference() -> None:
    """As the long tests of conformance find for all cases, in more steps."""
    example = make(CASES["classes"], 5, 2)
    found, records = example.run(raw.tpu_interpreted, 2)
    truth, true_records = example.run(plain.train_segment, 2)
    assert np.abs(truth.theta - example.state.theta).max() > 1e-3, "a hundred times the tolerance"
    assert np.abs(truth.moments).max() > 1e-5
    assert np.isfinite(true_records).any()
    np.testing.assert_allclose(found.theta, truth.theta, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.moments, truth.moments, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(records, true_records, rtol=1e-6)


def test_what_does_not_fit_the_chip_is_said() -> None:
    wide = Case((64, 128, 64, 10), "relu", True, "cross_entropy", "sgd", 1437, 32)
    assert obstacle(wide, "tpu") is None
    assert obstacle(replace(wide, optimizer="adam"), "tpu") == "blocks of more than 96 MiB"
    assert obstacle(replace(wide, widths=(64, 129, 10)), "tpu") == "layers of more than 128 units"


def test_a_block_holds_its_parameters_nine_times_and_pads_rows_to_eight() -> None:
    """SGD: parameters and momentum, before and after, twice each, and the gradient."""
    narrow, padded = (tpu.block_bytes(Case((16, width, 1))) for width in (8, 9))
    rows = 9 * (17 * 8 + 1 * 16 - 1 * 16) + 2 * tpu.TILE * 8
    assert padded - narrow == 4 * tpu.LANES * rows
