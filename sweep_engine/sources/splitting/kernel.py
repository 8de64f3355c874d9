"""`splitting` by a kernel: which moves one can make, and a move by it.

A move draws what XLA's does, from the same keys. What differs is the rounding of the normals' last
places and of a layer's sums, so where a level is within rounding of the threshold.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine import laws
from sweep_engine.kernels.splitting_move import MOVE, Moved
from sweep_engine.kernels.splitting_move.case import PROPOSALS, Case, Draws, Rule
from sweep_engine.models.networks import MlpNetwork
from sweep_engine.sources.acceptance import ends_of, labels_allowed
from sweep_engine.sources.bucket import Bucket, Data, Hyper
from sweep_engine.sources.perceptrons import ACTIVATIONS, norm_of, perceptron_obstacles
from sweep_engine.sources.splitting.particle import Climber, Particle, window_count, window_first
from sweep_engine.spec.base import with_traced


def obstacles(bucket: Bucket, climber: Climber) -> Iterator[str]:
    """List what a kernel does not know of some moves."""
    law = climber.spec.law
    yield from perceptron_obstacles(bucket, climber.rule)
    images = laws.images(law, bucket.network.layout)
    if images is None:
        yield f"the law {law.title}"
    elif climber.num_normals == 0:
        yield f"the law {law.title}, of which nothing is random"


@dataclass(frozen=True)
class KernelMove:
    """Moves by a kernel, of particles that it knows.

    Attributes:
        climber: The code of one particle.
        input_shape: Of one input.
        num_inputs: N, how many a level is computed on.
        implementation: The kernel.
    """

    climber: Climber
    input_shape: tuple[int, ...]
    num_inputs: int
    implementation: str

    @property
    def case(self) -> Case:
        """Say what is fixed when the kernel is built."""
        network = self.climber.network
        module, images = network.module, laws.images(self.climber.spec.law, network.layout)
        assert isinstance(module, MlpNetwork)
        assert images is not None
        return Case(
            widths=(*self.input_shape, *module.widths, module.num_outputs),
            images=tuple(image.numbers for image in images),
            activation=ACTIVATIONS[module.activation],
            bias=module.bias,
            num_inputs=self.num_inputs,
            norm=norm_of(self.climber.rule),
        )

    @property
    def rule(self) -> Rule:
        """Say what is climbed."""
        accept = self.climber.rule
        margin = accept.margin
        return Rule(
            allowed=None if accept.train_error is None else labels_allowed(accept, self.num_inputs),
            climbs_errors=self.climber.spec.climb == "error",
            margin=None if margin is None else ends_of(margin),
        )

    def move(
        self,
        particles: Particle,
        keys: Key[Array, " R"],
        threshold: Float[Array, ""],
        width: Float[Array, ""],
        hyper: Hyper,
        data: Data,
    ) -> Moved:
        """Move particles, each by its key, as `Climber.move` does one."""
        return MOVE[self.implementation](
            self.case,
            self.rule,
            particles.normals,
            particles.level,
            jax.vmap(self._draws)(keys),
            self._scales(hyper),
            data.x,
            data.y,
            threshold,
            width,
        )

    def _draws(self, key: Key[Array, ""]) -> Draws:
        for_nu, for_rest = jax.random.split(key)
        uniform = jax.random.uniform(for_rest, (3 + PROPOSALS,))
        size = self.climber.num_normals
        first = window_first(uniform[1], size) % size  # a share may round to 1
        count = jnp.clip(window_count(uniform[0], size).astype(jnp.int32), 1, size)
        return Draws(for_nu, uniform[2:], jnp.stack([first, count]))

    def _scales(self, hyper: Hyper) -> Float[Array, " A"]:
        law = with_traced(self.climber.spec, hyper).law
        images = laws.images(law, self.climber.network.layout)
        assert images is not None
        return jnp.stack([jnp.float32(image.scale) for image in images])
