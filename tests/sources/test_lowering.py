"""The engine's programs for a device that is not here: they are lowered, and what they hold."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.kernels.prior_scan import plain
from sweep_engine.kernels.prior_scan.case import Case
from sweep_engine.lanes import for_platform
from sweep_engine.models import build
from sweep_engine.sources import open_source
from sweep_engine.spec import Sweep, settings
from sweep_engine.spec.models import Mlp

LAW = {"kind": "fan_in", "bias_std": 0.1}
SGD = {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9}
STOP = {"max_steps": 100}
SOURCES = {
    "full batch": {"kind": "train", "optimizer": SGD, "stop": STOP, "runs": 8},
    "minibatches": {
        "kind": "train", "optimizer": {"kind": "adam"}, "batch_size": 4, "stop": STOP, "runs": 8,
    },
    "prior": {"kind": "prior", "law": LAW, "draws": 100},
    "rejection": {"kind": "guess_and_check", "law": LAW, "draws": 100},
}  # fmt: skip
DEVICES = ["tpu", "cuda"]


def opened(name):
    document = {
        "name": "lowering",
        "task": {"kind": "boolean", "bits": 4, "target": "x1", "train": 8},
        "model": {"kind": "mlp", "widths": [16, 16]},
        "sources": {"source": SOURCES[name]},
        "observables": ["norms", "margin", "function", "path"],
        "execution": {"lanes": 8, "implementation": "xla"},
    }
    sweep = Sweep.model_validate(document)
    (setting,) = settings(sweep)
    return open_source(setting, sweep.seed, sweep.folder, sweep.observables, sweep.execution)


def lowered(program, *arguments):
    """The text of a program for each of the devices; none calls what a CPU alone has."""
    with jax.default_matmul_precision("highest"):
        exported = jax.export.export(jax.jit(program), platforms=DEVICES)(*arguments)
    return exported.mlir_module()


@pytest.mark.parametrize("name", SOURCES)
def test_what_most_of_the_time_goes_to(name):
    timed = opened(name).timed()
    text = lowered(timed.program._jitted, *timed.arguments)
    assert "custom_call" not in text
    assert "f64" not in text
    assert text.count("precision = [HIGHEST, HIGHEST]") == text.count("stablehlo.dot_general") > 0


def test_observables_and_draws():
    programs = opened("prior")
    bucket = programs.bucket
    runs, hyper, root, *_ = programs.timed().arguments
    block = {path: value[0] for path, value in hyper.items()}
    lowered(bucket.draw._jitted, runs[0], block, root)
    lowered(bucket.observe._jitted, *bucket.observe_example())


def test_scans_of_a_prior():
    case = Case.of_one_key("normal", (4, 16, 16, 1), num_inputs=16)
    keys = jax.random.split(jax.random.key(0), (8, 1))
    arrays = np.ones((8, 6), np.float32), np.zeros((16, 4), np.float32), np.zeros(16, np.int32)

    def scan(*arguments):
        return plain.scan(case, *arguments)

    assert "custom_call" not in lowered(scan, keys, *arrays, np.int32(8))


def test_lanes_take_their_minibatches_number_by_number():
    """A TPU takes slices at places of the lanes' own in turns, lane after lane: 13 steps' time."""
    timed = opened("minibatches").timed()
    own = [line for line in lowered(timed.program._jitted, *timed.arguments).splitlines()
           if "stablehlo.gather" in line and "operand_batching_dims" in line]  # fmt: skip
    assert own
    for line in own:
        (sizes,) = re.findall(r"slice_sizes = array<i64: ([\d, ]+)>", line)
        assert set(sizes.split(", ")) == {"1"}, line


@pytest.mark.parametrize("bias", [True, False])
def test_layers_of_few_inputs_are_sums_on_a_gpu(bias):
    network = build(Mlp(widths=(3,), activation="tanh", bias=bias), (4,), 2)
    rng = np.random.default_rng(0)
    theta = jnp.asarray(rng.normal(size=network.layout.num_params), jnp.float32)
    x, mix = (jnp.asarray(rng.normal(size=(8, n)), jnp.float32) for n in (4, 2))

    def ones_own():  # JAX keeps what it has traced, by the function
        def one(theta):
            return jax.value_and_grad(
                lambda theta: jnp.sum(mix * network.apply(network.layout.unflatten(theta), x))
            )(theta)

        return one(theta), str(jax.make_jaxpr(one)(theta))

    truth, text = ones_own()
    with for_platform("gpu"):
        found, of_gpu = ones_own()
    assert ["dot_general" in operations for operations in (text, of_gpu)] == [True, False]
    for number, same in zip(found, truth, strict=True):
        np.testing.assert_allclose(number, same, rtol=1e-5, atol=1e-5)
    assert np.abs(truth[1]).min() > 1e-4


def test_a_gpu_holds_the_gradient_apart_from_the_update():
    """Else the momentum is written and read once more, for a product that adds to it."""
    jaxprs = []
    for name in ("cpu", "gpu"):
        with for_platform(name):
            counted = opened("full batch").counted()
            jaxprs.append(str(counted.program.traced(*counted.arguments)))
    assert ["optimization_barrier" in jaxpr for jaxpr in jaxprs] == [False, True]
