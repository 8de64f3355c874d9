"""The CUDA kernel where there is no GPU: its launch, what NVRTC makes of it, how JAX lowers it."""

import re
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from sweep_engine.kernels.fused_training import cuda, plain
from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.fused_training.convolution import Convolution
from sweep_engine.kernels.fused_training.cuda.launch import launch_of
from sweep_engine.kernels.fused_training.implementations import obstacle
from sweep_engine.kernels.native import CannotBuild, nvrtc
from sweep_engine.kernels.native.launch import Launch
from sweep_engine.kernels.native.occupancy import blocks_at_once
from tests.kernels.compilers import needs_compiler, needs_nvrtc
from tests.kernels.fused_training import raw
from tests.kernels.fused_training.cases import CASES, make


@pytest.mark.parametrize(
    ("name", "launch"),
    [
        ("yardstick", Launch(threads=3, networks=1, tile=128)),
        ("yardstick", Launch(threads=2, networks=3, tile=17)),
        ("signals", Launch(threads=3, networks=2, tile=2)),
    ],
)
def test_neither_tiles_nor_neighbours_change_what_is_learnt(name: str, launch: Launch) -> None:
    """All examples at once, or in tiles of which the last is smaller; the last block of two or
    three networks has one place too many."""
    example = make(CASES[name], 5, 4)
    found, _ = example.run(partial(raw.cuda_on_host, launch=launch))
    truth, _ = example.run(plain.train_segment)
    np.testing.assert_allclose(found.theta, truth.theta, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.loss, truth.loss, rtol=1e-5)


@needs_compiler
def test_a_size_that_is_reckoned_wrongly_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    floats = cuda.KERNEL.floats
    wrong = replace(cuda.KERNEL, floats=lambda *given: floats(*given) + 1)
    monkeypatch.setattr(cuda, "KERNEL", wrong)
    with pytest.raises(CannotBuild, match="reckons another size"):
        make(CASES["ragged"], 1, 1).run(raw.cuda_on_host)


def test_networks_share_a_block_where_one_leaves_threads_idle() -> None:
    """A network has as many threads as its products have work for."""
    tiny, some, small, large = (
        launch_of(Case(widths, num_examples=128))
        for widths in ((3, 8, 1), (7, 20, 20, 1), (7, 40, 40, 1), (8, 256, 32, 1))
    )
    assert (tiny.threads, tiny.networks) == (8, 16)
    assert (some.threads, some.networks) == (32, 4)
    assert (small.threads, small.networks) == (128, 1)
    assert (large.threads, large.networks) == (512, 1)


def test_networks_that_share_a_warp_begin_in_different_banks() -> None:
    for threads in (8, 16):
        launch = Launch(threads, networks=1, tile=8)
        sizes = [cuda.KERNEL.network_bytes(case, launch) // 4 for case in CASES.values()]
        assert {size % 32 for size in sizes} == {threads}


def test_what_fits_no_block_is_said() -> None:
    """Parameters, gradients and moments alone take 4 bytes x 3 x 20,810; with Adam x 4."""
    case = Case((64, 128, 90, 10), loss="cross_entropy", num_examples=100, minibatch=8)
    assert obstacle(replace(case, widths=(64, 90, 90, 10)), "cuda") is None
    assert obstacle(case, "cuda") == "networks that do not fit a block's shared memory"
    with pytest.raises(CannotBuild, match="parameters fits no block"):
        cuda.KERNEL.ptx(case)


def test_a_convolutional_network_may_take_its_examples_one_by_one() -> None:
    """1,600 positions of 17 places are 106 KiB an example; eight of them fit no block."""
    one = Convolution(16, 3, 1, ((1, 1),) * 2, mean_pool=4)
    case = Case((1600, 1), num_examples=64, convolutions=(one,), image=(40, 40, 1))
    assert launch_of(case).tile == 1
    assert obstacle(case, "cuda") is None
    more = replace(case, convolutions=(replace(one, channels=40),))
    assert obstacle(more, "cuda") == "networks that do not fit a block's shared memory"


@needs_nvrtc
@pytest.mark.parametrize("name", ["ragged", "wide", "images"])
def test_compiles_without_spills_for_as_many_blocks_as_are_planned(name: str) -> None:
    """Networks that share a warp, one in a warp and in a whole block; the record holds more."""
    case, launch = CASES[name], launch_of(CASES[name])
    registers = nvrtc.registers(cuda.KERNEL.source(case, launch), "sm_90")
    threads = launch.threads * launch.networks
    shared = cuda.KERNEL.shared_bytes(case, launch)
    assert blocks_at_once(threads, registers, shared) >= launch.blocks


MEDIUM = Case((7, 32, 32, 1), num_examples=128)
BARRIERS = {
    "part of a warp": (CASES["ragged"], {"bar.warp.sync %r"}),
    "a warp": (CASES["many classes"], {"bar.warp.sync -1"}),
    "two warps": (MEDIUM, {"bar.sync 1, 64", "bar.sync 2, 64"}),
    "a block": (CASES["yardstick"], {"bar.sync 0"}),
}


@needs_nvrtc
@pytest.mark.parametrize("threads", BARRIERS)
def test_networks_of_a_block_wait_for_their_own_threads_alone(threads: str) -> None:
    """Nobody waits for another network, whose training may have ended.

    A mask names 8 threads, those of the 8 that a thread is one of; a barrier 64.
    """
    case, expected = BARRIERS[threads]
    text = cuda.KERNEL.ptx(case)
    waits = {" ".join(wait.split()) for wait in re.findall(r"\bbar\.[^;]*", text)}
    assert {re.sub(r"%r\d+", "%r", wait) for wait in waits} == expected
    if threads == "part of a warp":
        (mask,) = {wait.split()[-1] for wait in waits}
        made = re.search(rf"mov\.u32\s+(%r\d+), 255;\s+shl\.b32\s+{mask}, \1, (%r\d+);", text)
        assert made is not None
        assert re.search(rf"and\.b32\s+{made[2]}, %r\d+, 24;", text)


@needs_nvrtc
def test_drivers_of_cuda_12_take_the_ptx() -> None:
    """NVRTC's own version of PTX is refused by every driver older than it."""
    assert ".version 8.0\n.target sm_90\n" in cuda.KERNEL.ptx(CASES["ragged"])


@needs_nvrtc
def test_jax_lowers_it_for_cuda() -> None:
    example = make(CASES["yardstick"], 5, 3)
    call = partial(cuda.train_segment, example.case, example.checks, num_records=2)
    traced = jax.jit(call).trace(*example[2:])
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "__gpu$xla.gpu.ptx" in text
    for size in ("grid_x = 5", "block_x = 128", "shared_mem_bytes = 48700"):
        assert f"{size} : i32" in text


@needs_nvrtc
def test_what_does_not_compile_is_said() -> None:
    with pytest.raises(CannotBuild, match='identifier "nothing" is undefined'):
        nvrtc.compile_ptx("__global__ void kernel(float* x) { *x = nothing; }", "compute_90")


def test_no_nvrtc_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(nvrtc.ctypes.util, "find_library", lambda _: None)
    with pytest.raises(CannotBuild, match="comes with the extra cuda13"):
        nvrtc.load_nvrtc.__wrapped__()
