"""A network's values are the same bits in every place of a block, at widths that sweeps have.

A sum of few terms beside another was once rounded otherwise in the last lanes of 16 and more.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.keys import halves, run_ids
from sweep_engine.lanes import LANE, STEADY, WIDE, Program, over_lanes
from sweep_engine.observables.scales import spectral_norm
from sweep_engine.singular_values import singular_values
from sweep_engine.sources import open_source
from sweep_engine.sources.draw.programs import blocks_per_call
from sweep_engine.spec import Sweep, settings

BOOLEAN = {"kind": "boolean", "bits": 7, "target": "x1", "train": 16}
MLP = {"kind": "mlp", "widths": [40, 40]}


def assert_the_same_in_every_place(program, block, *shared, turns=6):
    """Turn a block's lanes round, and mix them: every lane's values go with it."""
    lanes = len(jax.tree.leaves(block)[0])
    rng = np.random.default_rng(0)
    found = jax.tree.map(np.asarray, program(*block, *shared))
    turned = np.roll(np.arange(lanes), lanes // 4 + 1)
    for order in (turned, *(rng.permutation(lanes) for _ in range(turns))):
        moved = program(*jax.tree.map(partial(_take, order), block), *shared)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(moved), strict=True):
            assert one[order].tobytes() == np.asarray(other).tobytes()


def _take(order, leaf):
    return leaf[order]


@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
@pytest.mark.parametrize("shape", [(7, 40), (3, 5), (5, 5), (32, 10)], ids=str)
def test_spectral_norm(lanes, shape):
    weights = np.random.default_rng(1).normal(size=(lanes, *shape)).astype(np.float32)
    program = Program(over_lanes(spectral_norm))
    assert_the_same_in_every_place(program, (weights,))
    truth = np.linalg.norm(weights.astype(float), 2, axis=(1, 2))
    # Rounding of two products of H terms, and of the root: a few units of the last place.
    np.testing.assert_allclose(program(weights), truth, rtol=8 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("shape", [(3, 5), (20, 4)], ids=str)
def test_singular_values(shape):
    """Of lanes that need few sweeps, and of their neighbours that need many."""
    matrices = np.random.default_rng(1).normal(size=(32, *shape)).astype(np.float32)
    matrices[::2, :, 1:] *= 1e-3
    program = Program(over_lanes(singular_values), options=STEADY)
    assert_the_same_in_every_place(program, (matrices,))


@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
@pytest.mark.parametrize("length", [2, 3, 7])
def test_short_sums_side_by_side(lanes, length):
    """What `distance` does to networks of a few parameters."""

    def relative(a, b):
        return jnp.linalg.norm(a - b) / jnp.linalg.norm(b)

    block = tuple(np.random.default_rng(2).normal(size=(2, lanes, length)).astype(np.float32))
    assert_the_same_in_every_place(Program(over_lanes(relative), options=STEADY), block)


def test_a_value_that_depends_on_the_place_is_caught():
    def wrong(x):
        return x * (1 + jax.lax.axis_index(LANE) * jnp.finfo(x.dtype).eps)

    block = (np.random.default_rng(3).normal(size=4).astype(np.float32),)
    with pytest.raises(AssertionError):
        assert_the_same_in_every_place(Program(over_lanes(wrong)), block)


def _open(task, model, source, observables, lanes):
    sweep = Sweep.model_validate(
        {
            "name": "places",
            "task": task,
            "model": model,
            "sources": {"source": source},
            "observables": observables,
            "accept": {"max_residual": 0.1}
            if task["kind"] == "factorisation"
            else {"train_error": 0},
            "execution": {"lanes": lanes},
        }
    )
    (setting,) = settings(sweep)
    return setting, open_source(setting, 0, sweep.folder, sweep.observables, sweep.execution)


@pytest.mark.parametrize(
    ("lanes", "task", "model", "observables"),
    [
        (16, BOOLEAN, MLP, ["norms", "margin", "path", "distance"]),
        (
            32,
            {"kind": "factorisation", "target": 1.0},
            {"kind": "scalar_factorisation"},
            ["norms", "distance", "balance"],
        ),
    ],
    ids=["7-40-40-1, 16 lanes", "f = ab, 32 lanes"],
)
def test_observables(lanes, task, model, observables):
    source = {"kind": "train", "init": {"kind": "gaussian", "std": 1.0}, "runs": 1}
    _, programs = _open(task, model, source, observables, lanes)
    bucket = programs.bucket
    shape = (2, lanes, bucket.network.layout.num_params)
    theta, start = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    limit = theta[:, 0]
    assert_the_same_in_every_place(
        bucket.observe, (theta, start, limit), bucket.data.observed, bucket.data.targets
    )


@pytest.mark.parametrize("lanes", [64, 256])
def test_draws_in_wide_vectors(lanes):
    """Functions and fits of the counting pass; theta is that of the draws that are stored."""
    source = {"kind": "prior", "law": {"kind": "fan_in"}, "draws": 1}
    setting, programs = _open(BOOLEAN, MLP, source, [], lanes)
    bucket = programs.bucket
    words = halves(run_ids(setting.id, 0, lanes))
    hyper = bucket.hyper([setting] * lanes)

    def scan(words, hyper, root, inputs):
        block = jax.tree.map(lambda leaf: leaf[None], (words, hyper))
        functions, fits = programs.scan(*block, root, inputs, np.int32(1))
        return functions[0], fits[0]

    inputs = programs.scan_inputs
    assert_the_same_in_every_place(scan, (words, hyper), bucket.root, inputs, turns=3)
    wide = Program(over_lanes(bucket.draw_one, (0, 0, None)), options=WIDE)
    stored = np.asarray(bucket.draw(words, hyper, bucket.root))
    assert np.asarray(wide(words, hyper, bucket.root)).tobytes() == stored.tobytes()


def test_few_draws_cost_their_own_blocks_alone():
    """The counting pass stops after as many blocks as it is told, with the bits of all."""
    source = {"kind": "prior", "law": {"kind": "gaussian", "std": 1.0}, "draws": 1}
    setting, programs = _open(BOOLEAN, MLP, source, [], 16)
    blocks = blocks_per_call(16)
    words = halves(run_ids(setting.id, 0, blocks * 16)).reshape(blocks, 16, 2)
    hyper = programs.bucket.hyper([setting] * blocks * 16)
    hyper = jax.tree.map(lambda values: values.reshape(blocks, 16), hyper)
    arguments = words, hyper, programs.bucket.root, programs.scan_inputs
    every = programs.scan(*arguments, np.int32(blocks))[0]
    for count in (0, 1, blocks - 1):
        some = programs.scan(*arguments, np.int32(count))[0]
        np.testing.assert_array_equal(some[:count], every[:count])
        assert not some[count:].any()
        assert every[count:].any()
