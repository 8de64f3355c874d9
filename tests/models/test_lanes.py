"""Every model in lanes: outputs and gradients have the same bits wherever a network stands."""

import jax
import jax.numpy as jnp
import numpy as np

from sweep_engine.lanes import Program, over_lanes
from tests.models.test_every_model import drawn, every_model

LANES = 5


@every_model
def test_bits_do_not_depend_on_the_place_in_a_block(spec, shape, outputs):
    network, theta, x = drawn(spec, shape, outputs)
    rng = np.random.default_rng(2)
    thetas = theta + 0.1 * rng.normal(size=(LANES, theta.size)).astype(np.float32)
    mix = jnp.asarray(rng.normal(size=(len(x), outputs)), jnp.float32)

    def one(theta):
        return jax.value_and_grad(
            lambda theta: jnp.sum(mix * network.apply(network.layout.unflatten(theta), x))
        )(theta)

    program, before = Program(over_lanes(one)), Program.num_compilations
    found, turned = program(jnp.asarray(thetas)), program(jnp.asarray(thetas[::-1]))
    for one_way, other in zip(found, turned, strict=True):
        assert np.array_equal(one_way, other[::-1])
    assert len(np.unique(found[0])) == LANES
    assert Program.num_compilations == before + 1
