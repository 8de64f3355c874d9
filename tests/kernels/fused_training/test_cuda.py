"""The CUDA kernel where there is no GPU: tiles, what NVRTC makes of it, how JAX lowers it."""

import re
from functools import partial

import jax
import numpy as np
import pytest

from sweep_engine.kernels.fused_training import cuda, plain
from sweep_engine.kernels.native import CannotBuild, nvrtc
from tests.kernels.compilers import needs_compiler
from tests.kernels.fused_training import raw
from tests.kernels.fused_training.cases import CASES, make


def _has_nvrtc() -> bool:
    try:
        return bool(nvrtc.load_nvrtc())
    except CannotBuild:
        return False


needs_nvrtc = pytest.mark.skipif(
    not _has_nvrtc(), reason="NO NVRTC: the CUDA kernel is not compiled"
)


def test_tiles_add_up_to_all_examples() -> None:
    """With little shared memory the 128 examples are taken in several tiles, the last smaller."""
    example = make(CASES["yardstick"], 3, 4)
    limit = 48_000
    found, _ = example.run(partial(raw.cuda_on_host, shared_limit=limit))
    truth, _ = example.run(plain.train_segment)
    np.testing.assert_allclose(found.theta, truth.theta, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.loss, truth.loss, rtol=1e-5)


@needs_compiler
def test_a_network_that_does_not_fit_is_refused() -> None:
    with pytest.raises(CannotBuild, match="too large for the shared memory"):
        make(CASES["yardstick"], 1, 1).run(partial(raw.cuda_on_host, shared_limit=20_000))


@needs_nvrtc
@pytest.mark.parametrize("name", ["yardstick", "classes", "wide"])
def test_compiles_without_spills_within_the_limits(name: str) -> None:
    said = nvrtc.resource_usage(cuda.source(CASES[name], cuda.THREADS), "sm_90")
    assert "0 bytes spill stores, 0 bytes spill loads" in said
    registers = re.search(r"Used (\d+) registers", said)
    assert registers is not None
    assert int(registers[1]) * cuda.THREADS <= 65536
    assert cuda.shared_bytes(cuda.ptx(CASES[name])) <= cuda.SHARED_BYTES


@needs_nvrtc
def test_jax_lowers_it_for_cuda() -> None:
    example = make(CASES["yardstick"], 5, 3)
    call = partial(cuda.train_segment, example.case, example.checks, num_records=2)
    traced = jax.jit(call).trace(*example[2:])
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "__gpu$xla.gpu.ptx" in text
    assert "grid_x = 5 : i32" in text
    assert f"shared_mem_bytes = {cuda.shared_bytes(cuda.ptx(example.case))} : i32" in text


@needs_nvrtc
def test_what_does_not_compile_is_said() -> None:
    with pytest.raises(CannotBuild, match='identifier "nothing" is undefined'):
        nvrtc.compile_ptx("__global__ void kernel(float* x) { *x = nothing; }", "compute_90")


def test_no_nvrtc_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(nvrtc.ctypes.util, "find_library", lambda _: None)
    with pytest.raises(CannotBuild, match="comes with the extra cuda13"):
        nvrtc.load_nvrtc.__wrapped__()
