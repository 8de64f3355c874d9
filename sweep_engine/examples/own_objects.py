"""A sweep whose network, loss, task, optimiser, law and observable are objects of your own.

    python sweep_engine/examples/own_objects.py

Of the optimiser and the law, fields that hold a float may be swept without compiling anew. A sweep
with objects of your own is run and resumed from Python; a sweep file cannot name code.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import sweep_engine as se
from sweep_engine.laws import Distribution, Independent, Standard
from sweep_engine.models import Layout


class TwoLayer(nn.Module):
    """Your own flax module."""

    width: int = 16

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(1)(jnp.tanh(nn.Dense(self.width)(x)))


def squared_hinge(outputs: jax.Array, y: jax.Array) -> jax.Array:
    """Compute your own loss, example by example."""
    return jnp.maximum(0.0, 1.0 - (2.0 * y - 1.0) * outputs[:, 0]) ** 2


@dataclass(frozen=True)
class Circle:
    """Your own task: is a point within a circle?"""

    examples: int = 64

    def load(self, seed: int) -> se.Task:
        """Draw the data."""
        x = np.random.default_rng(seed).uniform(-1, 1, (2 * self.examples, 2))
        y = (np.linalg.norm(x, axis=1) < 0.7).astype(int)
        loss = se.Loss(
            per_example=squared_hinge,
            num_labels=2,
            labels=lambda outputs: (outputs[:, 0] > 0).astype(jnp.uint8),
        )
        n = self.examples
        return se.make_task((x[:n], y[:n]), (x[n:], y[n:]), loss)


@dataclass(frozen=True)
class Adan:
    """Your own optimiser: any optax transformation."""

    learning_rate: float = 0.01

    def transformation(self) -> optax.GradientTransformation:
        """Make the whole step."""
        return optax.adan(self.learning_rate)


class StandardLogistic(Standard):
    """The law of ln(u / (1 - u)), u uniform."""

    std = np.pi / np.sqrt(3)

    def from_normals(self, z: jax.Array) -> jax.Array:
        """Map every column of normals to a number."""
        return jax.scipy.special.log_ndtr(z[0]) - jax.scipy.special.log_ndtr(-z[0])

    def log_density(self, x: jax.Array) -> jax.Array:
        """Compute the log-density of every number."""
        return jax.nn.log_sigmoid(x) + jax.nn.log_sigmoid(-x)


@dataclass(frozen=True)
class Logistic:
    """Your own law."""

    scale: float = 0.5

    def distribution(self, layout: Layout) -> Distribution:
        """Make the law of all parameters."""
        return Independent(StandardLogistic(), self.scale, layout.num_params)


def largest(outcome: se.Outcome) -> dict[str, jax.Array]:
    """Compute your own observable."""
    return {"largest_weight": jnp.max(jnp.abs(outcome.theta))}


RATE = "sources.trained.optimizer.learning_rate"
SWEEP = se.Sweep.model_validate(
    {
        "name": "own-objects",
        "task": Circle(),
        "model": TwoLayer(width=8),
        "sources": {
            "trained": {
                "kind": "train",
                "init": Logistic(),
                "optimizer": Adan(),
                "stop": {"max_steps": 1000},
                "runs": 256,
            },
            "prior": {"kind": "prior", "law": Logistic(), "draws": 256},
        },
        "axes": {RATE: [0.003, 0.01]},
        "observables": [
            se.Observable(columns=(se.Column("largest_weight", "float32"),), compute=largest)
        ],
    }
)

if __name__ == "__main__":
    out = "results/own_objects"
    se.run(SWEEP, out)
    for rate in (0.003, 0.01):
        found = se.compare(out, "trained", "prior", "largest_weight", by=RATE, at={RATE: rate})
        print(rate, found, sep="\n")
