"""A drawn network as a teacher: what it says of Gaussian inputs."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sweep_engine.keys import data_rng
from sweep_engine.models import Network
from sweep_engine.models import build as build_network
from sweep_engine.spec.tasks import Teacher
from sweep_engine.tasks.losses import Loss, label_loss, squared
from sweep_engine.tasks.task import Task, make_task


def load_teacher(spec: Teacher, seed: int) -> Task:
    """Draw the teacher, then the inputs, and ask it.

    Raises:
        ValueError: the model does not fit the inputs or outputs.
    """
    rng = data_rng(seed, "teacher")
    network = build_network(spec.model, (spec.inputs,), spec.outputs)
    theta = _draw(spec, network, rng)
    x = rng.standard_normal((spec.examples + spec.test_examples, spec.inputs)).astype(np.float32)
    outputs = _outputs(network, theta, x)
    y = _said(spec, outputs, rng)
    first, rest = slice(spec.examples), slice(spec.examples, None)
    test = (x[rest], y[rest]) if spec.test_examples else None
    return make_task((x[first], y[first]), test, _loss(spec))


def _draw(spec: Teacher, network: Network, rng: np.random.Generator) -> Float[np.ndarray, " P"]:
    """Draw theta leaf by leaf: Gaussian weights over the root of their fan-in, and biases."""
    parts = [
        rng.standard_normal(leaf.size)
        * (spec.bias_std if leaf.is_bias else spec.weight_std / leaf.fans[0] ** 0.5)
        for leaf in network.layout.leaves
    ]
    return np.concatenate(parts).astype(np.float32)


def _outputs(
    network: Network, theta: Float[np.ndarray, " P"], x: Float[np.ndarray, "N D"]
) -> Float[np.ndarray, "N C"]:
    """Ask the teacher, in full float32 on the host, so that devices agree on its labels."""
    host = jax.local_devices(backend="cpu")[0]
    with jax.default_device(host), jax.default_matmul_precision("highest"):
        params = network.layout.unflatten(jnp.asarray(theta))
        return np.asarray(network.apply(params, jnp.asarray(x)))


def _said(spec: Teacher, outputs: Float[np.ndarray, "N C"], rng: np.random.Generator) -> np.ndarray:
    if spec.says == "labels":
        return (outputs[:, 0] > 0).astype(int) if spec.outputs == 1 else outputs.argmax(axis=1)
    values = outputs + spec.noise * rng.standard_normal(outputs.shape)
    return values[:, 0] if spec.outputs == 1 else values


def _loss(spec: Teacher) -> Loss:
    if spec.says == "values":
        return squared(spec.outputs)
    return label_loss(spec.loss or "cross_entropy", max(2, spec.outputs), spec.label_smoothing)
