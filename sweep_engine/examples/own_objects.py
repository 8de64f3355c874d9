"""A sweep of your own objects: network, loss, task, optimiser, law, observable and estimator.

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
from sweep_engine.densities import Draws, Estimator, Quantity, Table, Takes, Trust
from sweep_engine.errors import IncomparableSources
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


@dataclass(frozen=True)
class Share:
    """Hold what your own estimator saw: a share, and copies of it by resampled runs."""

    value: float
    copies: np.ndarray
    source: Draws
    reference: Draws

    def at(self, confidence: float) -> tuple[se.Estimate, ...]:
        """Read it with an interval at this confidence."""
        low, high = np.quantile(self.copies, [(1 - confidence) / 2, (1 + confidence) / 2])
        found = se.Estimate(
            name=Beyond.name, value=self.value, low=float(low), high=float(high),
            confidence=confidence, unit="1", method="percentile bootstrap",
            num_source=len(self.source), n_eff_source=self.source.n_eff,
            num_reference=len(self.reference), n_eff_reference=self.reference.n_eff,
        )  # fmt: skip
        return (found,)


class Beyond(Estimator[Draws]):
    """Your own estimator: how many of the source's runs lie beyond nine tenths of the reference."""

    name = "beyond"
    takes = Takes.ONE_COLUMN
    trust = Trust(name, min_draws=50)
    quantities = (
        Quantity(
            name,
            "{0.value:.0%} of its runs lie where the highest tenth of the reference lies.".format,
            table=Table.HEADLINES,
        ),
    )

    def look(self, source: Draws, reference: Draws, seed: int) -> Share:
        """Look at one column of both sides."""
        for draws in (source, reference):
            if draws.units is not None or np.ptp(draws.weights) or not draws.is_finite.all():
                raise IncomparableSources("beyond is for independent runs of finite numbers")
        random, values, others = np.random.default_rng(seed), source.values, reference.values

        def resampled(of: np.ndarray) -> np.ndarray:
            return random.choice(of, of.shape, axis=0)

        copies = [share_beyond(resampled(values), resampled(others)) for _ in range(1000)]
        return Share(share_beyond(values, others), np.array(copies), source, reference)


def share_beyond(values: np.ndarray, others: np.ndarray) -> float:
    """Compute which share of `values` is above the 90 % quantile of `others`."""
    return float(np.mean(values > np.quantile(others, 0.9)))


se.add_estimator(Beyond())

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
        "compare": [
            {
                "source": "trained",
                "reference": "prior",
                "observable": "largest_weight",
                "by": RATE,
                "estimator": "beyond",
            }
        ],
    }
)

if __name__ == "__main__":
    out = "results/own_objects"
    se.run(SWEEP, out)
    for rate in (0.003, 0.01):
        found = se.compare(out, "trained", "prior", "largest_weight", by=RATE, at={RATE: rate})
        print(rate, found, sep="\n")
    print(se.write_report(out))
