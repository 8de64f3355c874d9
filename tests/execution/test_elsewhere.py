"""What a plan needs of a device that is not here; nothing is compiled."""

import jax
import jax.numpy as jnp
import pytest

from sweep_engine.devices import DEVICES, Device
from sweep_engine.errors import PlanError
from sweep_engine.execution.programs.elsewhere import device_named, memory_needs, peak_bytes
from sweep_engine.lanes import Program, for_platform, platform
from sweep_engine.models import build
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep
from sweep_engine.spec.models import Cnn

KB = 1000
X = jax.ShapeDtypeStruct((250,), "float32")  # 1 KB


def chain(x):
    """A chain of four: two are alive at once, and x is no more."""
    return jnp.sin(jnp.cos(jnp.exp(x + 1)))


def kept(x):
    """All are needed at the end."""
    a = x + 1
    b = jnp.exp(a)
    return x, a, b


def looped(x):
    """A turn holds one array more than its carry."""
    return jax.lax.fori_loop(0, 10, lambda _, y: jnp.sin(jnp.cos(y)) * y, x)


@pytest.mark.parametrize(("function", "most"), [(chain, 2 * KB), (kept, 3 * KB), (looped, 4 * KB)])
def test_arrays_count_while_they_live(function, most):
    """The sum of all results would be 5, 3 and 6 KB."""
    found = peak_bytes(jax.make_jaxpr(function)(X).jaxpr)
    assert most <= found <= most + 100  # and some counters


def sweep(**execution):
    return Sweep.model_validate(
        {
            "name": "elsewhere",
            "task": {"kind": "boolean", "bits": 5, "target": "x1", "train": 16},
            "model": {"kind": "mlp", "widths": [16]},
            "sources": {"sgd": {"kind": "train", "runs": 8},
                        "prior": {"kind": "prior", "draws": 8}},
            "execution": execution,
        }
    )  # fmt: skip


def test_lanes_follow_the_device_or_the_sweep_and_nothing_is_compiled():
    before = Program.num_compilations
    by_device = {name: [n.lanes for n in memory_needs(plan(sweep()), DEVICES[name])]
                 for name in ("h200", "v5e")}  # fmt: skip
    assert by_device == {"h200": [128, 128], "v5e": [128, 128]}  # a whole row for 8 runs
    (sgd, prior) = memory_needs(plan(sweep(lanes=64)), DEVICES["h200"])
    assert (sgd.lanes, prior.lanes, sgd.fits, prior.fits) == (64, 64, True, True)
    assert sgd.lane_bytes > 4 * 2 * 113  # parameters and as many moments
    assert Program.num_compilations == before
    assert platform() == "cpu"  # and is here again


def test_a_block_that_does_not_fit_says_what_would():
    (need, *_) = memory_needs(plan(sweep(lanes=64)), DEVICES["h200"])
    small = Device("a small one", "gpu", 0.9 * need.block_bytes / 0.75, 1.0, 1.0)
    (found, *_) = memory_needs(plan(sweep(lanes=64)), small)
    assert (found.fits, found.most_lanes) == (False, 32)
    (none, *_) = memory_needs(plan(sweep(lanes=64)), Device("a tiny one", "gpu", 100, 1.0, 1.0))
    assert (none.fits, none.most_lanes) == (False, 0)


def test_devices_are_found_by_name():
    assert device_named("H200") is DEVICES["h200"]
    with pytest.raises(PlanError, match=r"'h20' is known; did you mean 'h200'\?"):
        device_named("h20")


def test_a_convolution_is_made_as_for_the_platform():
    """By patches on a CPU alone: what is planned for a GPU is what a GPU would run."""
    network = build(Cnn(channels=(2,)), (8, 8), 2)
    theta = network.layout.unflatten(jnp.zeros(network.layout.num_params))
    found = {}
    for name in ("cpu", "gpu"):
        with for_platform(name):
            traced = jax.make_jaxpr(lambda x: network.apply(theta, x))(jnp.zeros((3, 8, 8)))
        found[name] = "conv_general_dilated" in str(traced)
    assert found == {"cpu": False, "gpu": True}
