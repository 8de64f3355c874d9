"""Train as a user would without this engine: 3-8-1 networks, a block of 256 at a time.

    python plain_script.py RUNS

It takes 300 steps of each and keeps the losses; nothing stops early and nothing is stored.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

x = jnp.array(np.indices((2, 2, 2)).reshape(3, 8).T * 2.0 - 1.0)
a, b, c = (x > 0).astype(int).T
sign = 2.0 * (a ^ (b & c)) - 1.0


def loss(params):
    w, b, v, c = params
    return jnp.mean(jax.nn.softplus(-sign * (jnp.tanh(x @ w + b) @ v + c)))


def step(params, _):
    return jax.tree.map(lambda p, g: p - 0.5 * g, params, jax.grad(loss)(params)), None


def train(key):
    shapes = (3, 8), (8,), (8,), ()
    params = tuple(map(jax.random.normal, jax.random.split(key, 4), shapes))
    return loss(jax.lax.scan(step, params, None, length=300)[0])


keys = jax.random.split(jax.random.key(0), int(sys.argv[1]))
print(np.mean(jax.jit(lambda k: jax.lax.map(train, k, batch_size=256))(keys)))
