"""Hand chains to kernels: say which chains they know, and tell them of these.

Chains start where they do by XLA, and draw the same random numbers, but for the last bits. What
differs beside is the order in which the sums of losses and gradients are rounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Array, Float, Key

from sweep_engine.kernels.chain_moves import case as kernels
from sweep_engine.kernels.chain_moves import mapped
from sweep_engine.kernels.chain_moves.case import Density, Phase, Place, Stride, Transition
from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.fused_training.implementations import obstacle
from sweep_engine.kernels.normals import NORMALS
from sweep_engine.sources.bucket import Bucket, Data
from sweep_engine.sources.network_case import case_fields, unknown_parts
from sweep_engine.spec.sources import Posterior


def obstacles(bucket: Bucket, implementation: str) -> list[str]:
    """List what a kernel does not know of some chains; empty where it can compute them."""
    found = list(_obstacles(bucket))
    if not found and (wide := obstacle(case_of(bucket), implementation)):
        found.append(wide)
    return found


def _obstacles(bucket: Bucket) -> Iterator[str]:
    yield from unknown_parts(bucket.network, bucket.task.loss, bucket.setting.model)
    if bucket.execution.precision != "exact":
        yield f"precision {bucket.execution.precision}"


def case_of(bucket: Bucket) -> Case:
    """Say what a kernel needs to know of chains that it knows."""
    spec, task = bucket.setting.spec, bucket.task
    assert isinstance(spec, Posterior)
    size = len(task.train) if spec.batch_size is None else spec.batch_size
    return Case(**case_fields(bucket.network, task.loss), num_examples=size)


@dataclass(frozen=True)
class KernelGradients:
    """A kernel of one case, called by the code of one chain.

    Attributes:
        case: What is fixed when the kernel is built.
        implementation: Its name.
    """

    case: Case
    implementation: str

    def normals(self, key: Key[Array, ""], count: int) -> Float[Array, " n"]:
        """Draw standard normals: `jax.random.normal` to rounding."""
        return NORMALS[self.implementation](key, count)

    def mean_loss(self, theta: Float[Array, " P"], data: Data) -> Float[Array, ""]:
        """Compute the mean loss, which can be differentiated in theta."""
        return mapped.mean_loss(self.case, self.implementation)(theta, *_rows(data))

    def leapfrog(
        self, start: Phase, density: Density, data: Data, stride: Stride
    ) -> tuple[Phase, Float[Array, ""]]:
        """Take leapfrog steps; returns where they end, and the log-density there."""
        leap = mapped.leapfrog(self.case, self.implementation)
        return leap(start, density, _rows(data), stride)

    def transition(
        self,
        place: Place,
        density: Density,
        data: Data,
        step_size: Float[Array, ""],
        most_doublings: int,
    ) -> Transition:
        """Make a transition of the no-U-turn sampler."""
        of_one = mapped.transition(self.case, self.implementation, most_doublings)
        return of_one(place, density, _rows(data), step_size)


def _rows(data: Data) -> kernels.Data:
    return kernels.Data(data.x.reshape(len(data.x), -1), data.y)
