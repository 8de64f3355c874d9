"""Scans of a prior: the kernel against plain JAX, and both against what is known."""

import ctypes
import dataclasses
import functools
from pathlib import Path
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sweep_engine.kernels import native
from sweep_engine.kernels.native import nvrtc
from sweep_engine.kernels.native.launch import Launch
from sweep_engine.kernels.native.words import words_of
from sweep_engine.kernels.prior_scan import cpu, cuda, obstacle, plain
from sweep_engine.kernels.prior_scan.case import Block, Case, Found, found_shapes
from sweep_engine.threefry import Numbers
from tests.kernels.compilers import needs_nvrtc
from tests.kernels.host import build_on_host
from tests.statistics import assert_catches, assert_ks, assert_probability

CASES = {
    "yardstick": Case.of_one_key("normal", (7, 40, 40, 1), num_inputs=128),
    "no bias": dataclasses.replace(
        Case.of_one_key("uniform", (5, 17, 1), "tanh", bias=False, num_inputs=32), norm="path"
    ),
    "ragged": dataclasses.replace(
        Case.of_one_key("uniform", (3, 9, 6, 1), "gelu", num_inputs=13), norm="frobenius"
    ),
    "one layer": Case.of_one_key("normal", (4, 1), "linear", num_inputs=16),
    "two labels, a direction each layer": Case(
        (3, 9, 2), (Block("direction", 2), Block("direction", 2)), num_inputs=13
    ),
    "five labels, a law each": Case(
        (3, 9, 6, 5),
        tuple(
            Block(numbers, 1)
            for numbers in ("truncated_normal", "ones", "uniform", "sign", "laplace", "normal")
        ),
        "tanh",
        num_inputs=37,
        norm="path",
    ),
}
NUM_DRAWS = 512
HOST_LAUNCH = Launch(threads=2, networks=2, tile=8)
"""None of the results' meaning depends on it: most cases take several tiles."""


def on_host(case: Case) -> ctypes.CDLL:
    """Build the CUDA kernel as C++."""
    return build_on_host(
        cuda.KERNEL.source(case, HOST_LAUNCH), Path(__file__).with_name("host_scan.cc")
    )


def cuda_on_host(case: Case, keys: jax.Array, *given: jax.Array) -> Found:
    """The CUDA kernel, threads for blocks of two draws; outputs are spoilt before."""
    library, words, shapes = on_host(case), words_of(keys), found_shapes(case, len(keys))
    *arrays, num_draws = given

    def call(num_draws: np.ndarray, *given: np.ndarray) -> list[np.ndarray]:
        inputs = [np.ascontiguousarray(array) for array in given]
        outputs = [np.full(shape.shape, 0x7B, shape.dtype) for shape in shapes]
        every = [ctypes.c_void_p(array.ctypes.data) for array in (*inputs, *outputs)]
        library.run(ctypes.c_longlong(num_draws), *every)
        return outputs

    return Found(*jax.pure_callback(call, shapes, num_draws, words, *arrays))


IMPLEMENTATIONS = {"plain": plain.scan, "cpu": cpu.scan, "cuda on the host": cuda_on_host}
LIBRARIES = {"cpu": lambda case: native.load(cpu.build(case)), "cuda on the host": on_host}
every_kernel = pytest.mark.parametrize("implementation", LIBRARIES)


@functools.partial(jax.jit, static_argnums=(0, 1))
def keys_of(case: Case, num_draws: int) -> jax.Array:
    """Make one for each block of each draw."""
    places = jnp.arange(num_draws)[:, None] * len(case.blocks) + jnp.arange(len(case.blocks))
    of_place = functools.partial(jax.random.fold_in, jax.random.key(0))
    return jax.vmap(jax.vmap(of_place))(places)


def examples(case: Case) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(case.num_inputs, case.widths[0]))
    targets = rng.integers(-1, max(case.num_outputs, 2), size=case.num_inputs)
    return jnp.asarray(x, jnp.float32), jnp.asarray(targets, jnp.int32)


def scales_of(case: Case, num_draws: int) -> jax.Array:
    """Other ones for every draw and array."""
    rng = np.random.default_rng(1)
    return jnp.asarray(rng.uniform(0.1, 2, size=(num_draws, len(case.sizes))), jnp.float32)


def scan(implementation: str, case: Case, keys: jax.Array) -> Found:
    scales = scales_of(case, len(keys))
    call = jax.jit(IMPLEMENTATIONS[implementation], static_argnums=0)
    return call(case, keys, scales, *examples(case), len(keys))


@every_kernel
@pytest.mark.parametrize("name", CASES)
def test_kernel_finds_what_the_reference_finds(implementation, name):
    """But where an output is within rounding of 0, which few draws have at any input."""
    case = CASES[name]
    keys = keys_of(case, NUM_DRAWS)
    found, truth = scan(implementation, case, keys), scan("plain", case, keys)
    same = np.all(found.function == truth.function, axis=1)
    assert same.mean() >= 0.99
    np.testing.assert_array_equal(found.wrong[same], truth.wrong[same])
    check_margins(found.margin[same], truth.margin[same])


ROUNDINGS = 90 * np.finfo(np.float32).eps
"""Bounds how far two margins may be apart, as a share: the largest case has 90 terms in the sums
behind an output, which are added in other orders. Up to 20 roundings were seen."""


def check_margins(found: np.ndarray, truth: np.ndarray) -> None:
    """Compare those of draws, each with its own size and the median: normalised ones are small."""
    assert np.all(np.isfinite(truth))
    size = np.median(np.abs(truth))
    assert size > 0
    np.testing.assert_allclose(
        found, truth, rtol=ROUNDINGS, atol=ROUNDINGS * size, equal_nan=False, strict=True
    )


WRONG_MARGINS = {
    "larger by a thousandth": lambda margin: margin * np.float32(1.001),
    "of the next draw": lambda margin: np.roll(margin, 1),
    "of the other label": lambda margin: -margin,
    "one is not a number": lambda margin: np.where(np.arange(len(margin)) == 7, np.nan, margin),
    "one is infinite": lambda margin: np.where(np.arange(len(margin)) == 7, np.inf, margin),
    "one too few": lambda margin: margin[1:],
    "in another precision": lambda margin: margin.astype(np.float64),
}


@pytest.mark.parametrize("wrong", WRONG_MARGINS)
def test_wrong_margins_are_seen(wrong):
    case = CASES["five labels, a law each"]
    truth = np.asarray(scan("plain", case, keys_of(case, NUM_DRAWS)).margin)
    check_margins(truth, truth)
    with pytest.raises(AssertionError):
        check_margins(WRONG_MARGINS[wrong](truth), truth)


def test_a_margin_that_is_not_divided_by_its_norm_is_seen():
    case = CASES["ragged"]
    keys = keys_of(case, NUM_DRAWS)
    undivided = scan("plain", dataclasses.replace(case, norm=None), keys)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_margins(undivided.margin, scan("plain", case, keys).margin)


def test_every_kind_of_number_has_a_case():
    assert {block.numbers for case in CASES.values() for block in case.blocks} == set(
        get_args(Numbers)
    )


def test_a_call_that_is_not_as_the_kernel_expects_it_is_refused():
    case, words = CASES["one layer"], jnp.zeros((8, 1, 2), jnp.uint32)
    given = (words, scales_of(case, 8), *examples(case), jnp.full(1, 8, jnp.int32))
    shapes = (
        jax.ShapeDtypeStruct((8, 2), jnp.uint8), jax.ShapeDtypeStruct((8,), jnp.int32),
        jax.ShapeDtypeStruct((8,), jnp.float32),
    )  # fmt: skip
    call = jax.ffi.ffi_call(native.register(cpu.build(case), "scan"), shapes)
    assert call(*given)[1].shape == (8,)
    with pytest.raises(jax.errors.JaxRuntimeError, match="another number of arrays"):
        call(*given[:3])
    with pytest.raises(jax.errors.JaxRuntimeError, match="another type than the kernel's"):
        call(words.astype(jnp.int32), *given[1:])


@pytest.mark.parametrize("name", ["yardstick", "ragged"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_functions_and_misses_are_those_of_float64(implementation, name):
    case = CASES[name]
    keys = keys_of(case, 64)
    x, targets = examples(case)
    found = scan(implementation, case, keys)
    draws = jax.jit(jax.vmap(functools.partial(plain.draw, case)))
    theta = draws(keys, scales_of(case, 64))
    with jax.enable_x64(True):
        wide = jnp.asarray(np.asarray(theta), jnp.float64), jnp.asarray(np.asarray(x), jnp.float64)
        outputs = jax.jit(jax.vmap(lambda t, x: plain.outputs(case, t, x)[:, 0], (0, None)))
        f = np.asarray(outputs(*wide))
    clear = np.abs(f).min(axis=1) > 1e-5 * np.abs(f).max(axis=1)
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found.function[clear], np.packbits(f > 0, axis=1)[clear])
    targets = np.asarray(targets)
    wrong = ((f > 0) != (targets > 0))[:, targets >= 0].sum(axis=1)
    np.testing.assert_array_equal(found.wrong[clear], wrong[clear])


def draw(
    case: Case, keys: jax.Array, scales: np.ndarray | None = None, implementation: str = "cpu"
) -> np.ndarray:
    theta = np.zeros(case.num_params, np.float32)
    scales = np.ones(len(case.sizes), np.float32) if scales is None else scales
    arrays = [np.asarray(jax.random.key_data(keys)), np.ascontiguousarray(scales), theta]
    library = LIBRARIES[implementation](case)
    library.draw_theta(*(ctypes.c_void_p(a.ctypes.data) for a in arrays))
    return theta


@every_kernel
@pytest.mark.parametrize("name", CASES)
def test_draws_are_those_of_the_plain_twin(implementation, name):
    """Agree bit for bit on uniform ones, on others to a few units in the last place.

    Directions are drawn by XLA's own erfinv, which is 30 units off where a number is large; the
    kernel's are within 5 units of those by float64.
    """
    case = CASES[name]
    numbers = {block.numbers for block in case.blocks}
    ulps = 0 if numbers == {"uniform"} else 40 if "direction" in numbers else 8
    twin = jax.jit(functools.partial(plain.draw, case))
    for key, scales in zip(keys_of(case, 20), np.asarray(scales_of(case, 20)), strict=True):
        truth = np.asarray(twin(key, scales))
        gap = np.abs(draw(case, key, scales, implementation) - truth)
        assert np.max(gap / np.spacing(np.abs(truth))) <= ulps


def test_the_cuda_kernel_draws_the_cpu_kernels_numbers():
    """By g++ they are the same bits; a compiler may contract other sums. Tails are among them."""
    case = CASES["yardstick"]
    keys, scales = keys_of(case, 1)[0], np.asarray(scales_of(case, 1))[0]
    numbers = draw(case, keys, scales), draw(case, keys, scales, "cuda on the host")
    np.testing.assert_array_max_ulp(*numbers, maxulp=2)
    assert np.abs(draw(case, keys)).max() > 3


def test_draws_have_their_law():
    """Test independently of JAX; draws of another law are caught."""
    uniform = CASES["no bias"]
    normal = [draw(CASES["yardstick"], keys) for keys in keys_of(CASES["yardstick"], 50)]
    assert_ks(np.concatenate(normal), stats.norm.cdf)
    assert_catches(
        lambda sample: assert_ks(sample, stats.norm.cdf),
        lambda: np.concatenate([draw(uniform, keys) for keys in keys_of(uniform, 50)]),
    )
    cut = stats.truncnorm(-2, 2).cdf
    several = CASES["five labels, a law each"]
    assert_ks(np.concatenate([draw(several, keys)[:27] for keys in keys_of(several, 50)]), cut)
    assert_catches(lambda sample: assert_ks(sample, cut), lambda: np.concatenate(normal))


@every_kernel
def test_laplace_numbers_and_signs_have_their_law(implementation):
    """Each is held to what is known; numbers that are 1.4 times as large are caught."""
    case = CASES["five labels, a law each"]
    drawn = np.array([draw(case, keys, None, implementation) for keys in keys_of(case, 200)])
    signs, numbers = drawn[:, 90:96].ravel(), drawn[:, 96:126].ravel()
    assert set(signs) == {-1, 1}
    assert_probability(int((signs > 0).sum()), signs.size, 0.5)
    is_laplace = functools.partial(assert_ks, cdf=stats.laplace.cdf)
    is_laplace(numbers)
    assert_catches(is_laplace, lambda: 1.4 * numbers)


@every_kernel
def test_directions_have_length_one_in_every_layer_and_no_favourite(implementation):
    """Hold a coordinate of n on the sphere to its law: (1 + z) / 2 is Beta of (n - 1) / 2 twice."""
    case = CASES["two labels, a direction each layer"]
    drawn = np.array([draw(case, keys, None, implementation) for keys in keys_of(case, 400)])
    for layer in (drawn[:, :36], drawn[:, 36:]):
        np.testing.assert_allclose(np.linalg.norm(layer, axis=1), 1, rtol=1e-6)
        law = stats.beta(*2 * [(layer.shape[1] - 1) / 2])
        assert_ks((1 + layer[:, 0]) / 2, law.cdf)
        assert_catches(
            functools.partial(assert_ks, cdf=law.cdf),
            lambda: (1 + np.random.default_rng(0).uniform(-0.5, 0.5, 400)) / 2,
        )


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_one_target_is_met_by_half_of_a_symmetric_law(implementation):
    """-theta's last layer gives -f: each input is labelled 1 with probability 1/2."""
    case = CASES["no bias"]
    x, _ = examples(case)
    targets = jnp.full(case.num_inputs, -1, jnp.int32).at[3].set(1)
    call = jax.jit(IMPLEMENTATIONS[implementation], static_argnums=0)
    found = call(case, keys_of(case, 4000), scales_of(case, 4000), x, targets, 4000)
    assert_probability(int((found.wrong == 0).sum()), 4000, 0.5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_an_output_that_is_nan_is_wrong(implementation):
    """Whatever its target; its label is 0."""
    case = CASES["ragged"]
    x, targets = examples(case)
    scales = jnp.full((1, len(case.sizes)), 3e38)
    found = jax.jit(IMPLEMENTATIONS[implementation], static_argnums=0)(
        case, keys_of(case, 1), scales.at[:, ::2].set(jnp.inf), x, targets, 1
    )
    assert found.wrong.tolist() == [int((targets >= 0).sum())]
    assert found.margin.tolist() == [-np.inf]
    assert not found.function.any()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_network_of_norm_zero_has_no_normalised_margin(implementation):
    """All outputs are 0, which is right; of outputs that are not divided the margin is inf."""
    case = CASES["ragged"]
    x, targets = examples(case)
    given = keys_of(case, 1), jnp.zeros((1, len(case.sizes))), x, jnp.zeros_like(targets), 1
    found = jax.jit(IMPLEMENTATIONS[implementation], static_argnums=0)(case, *given)
    assert found.wrong.tolist() == [0]
    assert found.margin.tolist() == [-np.inf]


@every_kernel
def test_a_draw_does_not_depend_on_the_others(implementation):
    """The last block of nine draws has a place too many."""
    case, call = CASES["ragged"], IMPLEMENTATIONS[implementation]
    keys = keys_of(case, 9)
    scales, inputs = scales_of(case, 9), examples(case)
    together = call(case, keys, scales, *inputs, 9)
    for i in range(9):
        alone = call(case, keys[i : i + 1], scales[i : i + 1], *inputs, 1)
        np.testing.assert_array_equal(alone.function[0], together.function[i])


@every_kernel
def test_the_draws_that_are_wanted_are_made(implementation):
    """Make of nine the first five; what stands for the others says nothing."""
    case, call = CASES["ragged"], IMPLEMENTATIONS[implementation]
    given = keys_of(case, 9), scales_of(case, 9), *examples(case)
    some, every = call(case, *given, 5), call(case, *given, 9)
    np.testing.assert_array_equal(some.margin[:5], every.margin[:5])


@pytest.mark.parametrize("scan", [cpu.scan, cuda.scan])
def test_keys_of_another_generator_are_refused(scan):
    case = CASES["ragged"]
    keys = jax.random.split(jax.random.key(0, impl="rbg"), (2, 1))
    with pytest.raises(ValueError, match="threefry2x32"):
        scan(case, keys, scales_of(case, 2), *examples(case), 2)


def test_blocks_that_are_not_all_arrays_are_refused():
    with pytest.raises(ValueError, match=r"blocks of 4 arrays in all, got \[2\]"):
        Case((3, 4, 2), (Block("normal", 2),))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("num_outputs", [1, 2, 3])
def test_margins_and_labels_of_outputs_that_are_told(implementation, num_outputs):
    """Set the last layer's biases alone: outputs are what those are, NaN among them."""
    case = Case((1, num_outputs), (Block("ones", 1), Block("ones", 1)), "linear", num_inputs=2)
    outputs = jnp.asarray([0.0, 2.0, -3.0, jnp.nan, jnp.inf])
    scales = jnp.stack([jnp.zeros(5), outputs], axis=1)
    call = jax.jit(IMPLEMENTATIONS[implementation], static_argnums=0)
    found = call(case, keys_of(case, 5), scales, jnp.ones((2, 1)), jnp.asarray([0, -1]), 5)
    inf = np.inf
    if num_outputs == 1:  # the target is 0
        assert found.function[:, 0].tolist() == [0, 192, 0, 0, 192]
        assert found.wrong.tolist() == [0, 1, 0, 1, 1]
        assert found.margin.tolist() == [inf, -2, 3, -inf, -inf]
    else:  # all outputs are equal: the first label is right, and has no margin
        assert found.function[:, 0].tolist() == [0] * 5
        assert found.wrong.tolist() == [0, 0, 0, 1, 0]
        assert found.margin.tolist() == [inf, inf, inf, -inf, inf]


def test_what_fits_no_block_is_said():
    """Of a draw the parameters alone take 4 bytes x 58,113."""
    case = Case.of_one_key("normal", (512, 112, 5, 1), num_inputs=64)
    assert obstacle(case, "cuda") == "networks that do not fit a block's shared memory"
    assert obstacle(case, "cpu") is None
    assert obstacle(Case.of_one_key("normal", (512, 64, 5, 1), num_inputs=64), "cuda") is None


@needs_nvrtc
def test_the_cuda_kernel_compiles_without_spills_and_jax_lowers_it():
    case = CASES["yardstick"]
    launch = cuda.launch_of(case)
    assert nvrtc.registers(cuda.KERNEL.source(case, launch), "sm_90") <= 128
    arguments = keys_of(case, 5), scales_of(case, 5), *examples(case), 5
    traced = jax.jit(cuda.scan, static_argnums=0).trace(case, *arguments)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    for size in ("grid_x = 5", "block_x = 128", "shared_mem_bytes = 51016"):
        assert f"{size} : i32" in text
