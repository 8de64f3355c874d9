"""The log-density that a chain has, in the standard normals z of its prior."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from sweep_engine import laws
from sweep_engine.kernels.chain_moves.case import Density, Phase, Place, Stride, Transition
from sweep_engine.laws import ScaledNormals
from sweep_engine.models import Network
from sweep_engine.sources.bucket import Data
from sweep_engine.sources.posterior.gradients import KernelGradients
from sweep_engine.spec.laws import (
    Binary,
    FanIn,
    Gaussian,
    Initialiser,
    Law,
    ModuleInit,
    Ternary,
)
from sweep_engine.spec.sources import Posterior
from sweep_engine.tasks import Loss, Task


@dataclass(frozen=True)
class Target:
    """ln p(z) = -|z|^2 / 2 - (sum of losses at theta(z)) / temperature, up to a constant.

    Squared error is divided by `noise_std`^2 as well, and |z|^2 / 2 by the temperature where
    the prior is tempered too.

    Attributes:
        spec: The source, each traced field the chain's own.
        network: The model.
        loss: The task's loss.
        data: The chain's training set.
        kernel: What computes losses and their gradients; None by XLA.
        scaled: How z becomes theta, where that is all and there is a kernel; else None.
    """

    spec: Posterior
    network: Network
    loss: Loss
    data: Data
    kernel: KernelGradients | None = None
    scaled: ScaledNormals | None = None

    def draw_normals(self, key: Key[Array, ""]) -> Float[Array, " M"]:
        """Draw z from the prior."""
        return jax.random.normal(key, (laws.num_normals(self.spec.law, self.network.layout),))

    def theta(self, z: Float[Array, " M"]) -> Float[Array, " P"]:
        """Map the normals to the parameters."""
        if self.scaled is not None:  # one product, whose gradient is another
            return self.scaled.scale * self.scaled.spread(z)
        return laws.from_normals(self.spec.law, self.network.layout, z)

    def outputs(self, z: Float[Array, " M"], x: Float[Array, "N ..."]) -> Float[Array, "N C"]:
        """Compute the network's outputs."""
        return self.network.apply(self.network.layout.unflatten(self.theta(z)), x)

    def log_density(self, z: Float[Array, " M"], minibatch: Data | None = None) -> Float[Array, ""]:
        """Compute ln p(z), or its unbiased estimate from a minibatch."""
        examples = self.data if minibatch is None else minibatch
        if self.kernel is not None:
            mean = self.kernel.mean_loss(self.theta(z), examples)
            return self.log_prior(z) - len(self.data.y) * mean / self.unit_of_loss
        return self.log_density_of(z, self.outputs(z, examples.x), examples.y)

    def log_density_of(
        self, z: Float[Array, " M"], outputs: Float[Array, "N C"], y: Array | None = None
    ) -> Float[Array, ""]:
        """Compute ln p(z) from the outputs on the training set, or on a minibatch of it."""
        y = self.data.y if y is None else y
        losses = self.loss.per_example(outputs, y)
        share = len(self.data.y) / len(y)
        return self.log_prior(z) - share * jnp.sum(losses) / self.unit_of_loss

    def log_prior(self, z: Float[Array, " M"]) -> Float[Array, ""]:
        """Compute the prior's part, up to a constant."""
        return -0.5 * jnp.sum(z**2) / self._width

    @property
    def _width(self) -> Float[Array, ""] | float:
        """Give the prior's variance, in z."""
        return self.spec.temperature if self.spec.tempered_prior else 1.0

    def leapfrog(self, start: Phase, stride: Stride) -> tuple[Phase, Float[Array, ""]]:
        """Take leapfrog steps by the kernel, where z is only scaled to theta.

        Returns:
            Where they end, and the log-density there.
        """
        kernel, scaled, density = self._by_kernel
        end, log_density = kernel.leapfrog(self._spread(start), density, self.data, stride)
        return Phase(*map(scaled.gather, end)), log_density

    def no_u_turn(
        self, place: Place, step_size: Float[Array, ""], most_doublings: int
    ) -> Transition:
        """Make a transition of NUTS by the kernel, where z is only scaled to theta."""
        kernel, scaled, density = self._by_kernel
        spread = place._replace(phase=self._spread(place.phase))
        after = kernel.transition(spread, density, self.data, step_size, most_doublings)
        return after._replace(z=scaled.gather(after.z), slope=scaled.gather(after.slope))

    def _spread(self, phase: Phase) -> Phase:
        _, scaled, _ = self._by_kernel
        return Phase(*map(scaled.spread, phase))

    @property
    def _by_kernel(self) -> tuple[KernelGradients, ScaledNormals, Density]:
        """Give the kernel, how z becomes theta, and what the kernel is told of the density."""
        assert self.kernel is not None
        assert self.scaled is not None
        by_loss = jnp.asarray(len(self.data.y) / self.unit_of_loss)
        density = Density(self.scaled.scale, by_loss, jnp.asarray(1 / self._width))
        return self.kernel, self.scaled, density

    @property
    def unit_of_loss(self) -> Float[Array, ""] | float:
        """What losses are divided by: the temperature, and the noise's variance."""
        noise = self.spec.noise_std
        return self.spec.temperature if noise is None else self.spec.temperature * noise**2

    def draw_targets(self, key: Key[Array, ""], outputs: Float[Array, "N C"]) -> Array:
        """Draw targets from the likelihood, given the outputs of a teacher.

        Of squared error N(output, noise_std^2 temperature); of labels, at temperature 1,
        with probability exp(-loss).
        """
        if self.loss.num_labels is None:
            means = outputs[:, 0] if self.loss.target_size == 1 else outputs
            noise = jax.random.normal(key, means.shape)
            return means + noise * jnp.sqrt(self.unit_of_loss)
        return jax.random.categorical(key, _log_likelihoods(self.loss, outputs))


def _log_likelihoods(loss: Loss, outputs: Float[Array, "N C"]) -> Float[Array, "N L"]:
    """Minus the loss of every label."""
    assert loss.num_labels is not None
    every = [jnp.full(len(outputs), label, jnp.int32) for label in range(loss.num_labels)]
    return -jnp.stack([loss.per_example(outputs, labels) for labels in every], axis=1)


def check_target(spec: Posterior, task: Task) -> None:
    """Raise ValueError where a source, its task and its law make no posterior."""
    loss, num_examples = task.loss, len(task.train)
    if spec.batch_size is not None and spec.batch_size > num_examples:
        raise ValueError(f"batch_size: {spec.batch_size} of {num_examples} training examples")
    if any(isinstance(law, Binary | Ternary) for law in spec.law.parts):
        raise ValueError(f"law: {spec.law.title} is discrete; chains need a density")
    if isinstance(spec.law, ModuleInit):
        raise ValueError("law: the module's own initialisers have no density")
    if spec.tempered_prior and not all(_is_gaussian(law) for law in spec.law.parts):
        raise ValueError("tempered_prior: for Gaussian laws only (temper another by its fields)")
    is_squared = loss.residuals is not None
    if is_squared and spec.noise_std is None:
        raise ValueError("noise_std: squared error is a likelihood only with the noise stated")
    if not is_squared and spec.noise_std is not None:
        raise ValueError("noise_std: is for squared error; this task's labels have no noise")
    if spec.start == "teacher":
        _check_teacher(spec, loss)


def _check_teacher(spec: Posterior, loss: Loss) -> None:
    """The labels' law must be one that can be drawn from, whatever the parameters."""
    if spec.tempered_prior:
        raise ValueError("start: teacher draws the teacher from the prior: not a tempered one")
    if loss.num_labels is None:
        return
    if loss.residuals is not None:
        raise ValueError("start: teacher needs real targets where the loss is squared error")
    if spec.temperature != 1.0:
        raise ValueError(
            "start: teacher needs temperature 1 where outputs are classes: the normaliser of "
            "a tempered likelihood depends on the parameters"
        )
    outputs = np.linspace(-3, 3, 4 * loss.num_outputs(), dtype=np.float32).reshape(4, -1)
    totals = np.exp(np.asarray(_log_likelihoods(loss, jnp.asarray(outputs)))).sum(axis=1)
    if not np.allclose(totals, 1, atol=1e-5):
        raise ValueError("start: teacher needs a loss that is minus a log-probability")


def _is_gaussian(law: Law) -> bool:
    return isinstance(law, Gaussian | FanIn) or (
        isinstance(law, Initialiser) and law.kind in {"lecun_normal", "glorot_normal", "he_normal"}
    )
