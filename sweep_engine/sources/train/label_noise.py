"""Noise on the targets of a step."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from sweep_engine.spec.sources.train import LabelNoise
from sweep_engine.tasks import Loss


def check_label_noise(noise: LabelNoise, loss: Loss) -> None:
    """Raise ValueError where the noise is not that of the task's kind of targets."""
    if (noise.share is None) == (loss.num_labels is None):
        return
    if loss.num_labels is None:
        raise ValueError("label_noise: targets are values: give std, not share")
    raise ValueError("label_noise: targets are labels: give share, not std")


def noisy(noise: LabelNoise, loss: Loss, targets: Array, key: Key[Array, ""]) -> Array:
    """Draw the noise of one step and put it on the targets."""
    if noise.std is not None:
        return targets + noise.std * jax.random.normal(key, targets.shape, targets.dtype)
    assert loss.num_labels is not None
    assert noise.share is not None
    whether, which = jax.random.split(key)
    shift = jax.random.randint(which, targets.shape, 1, loss.num_labels, targets.dtype)
    changed = (targets + shift) % loss.num_labels
    return jnp.where(jax.random.uniform(whether, targets.shape) < noise.share, changed, targets)
