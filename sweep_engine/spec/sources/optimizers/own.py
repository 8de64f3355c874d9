"""A user's own optimiser: an optax transformation, from Python."""

from typing import Any, ClassVar, Self

from sweep_engine.spec.custom import TracedCustom
from sweep_engine.spec.sources.optimizers.optimizer import Optimizer


class CustomOptimizer(TracedCustom, Optimizer):
    """A user's own optimiser, given in Python: a dataclass that makes an optax transformation.

    Its method `transformation` is asked inside the compiled program, where the fields that hold
    a float are arrays, each run's own. The transformation is the whole step: learning rate,
    schedule, decay and clipping are its own matter.

    Example:
        >>> import dataclasses, optax
        >>> @dataclasses.dataclass(frozen=True)
        ... class Adan:
        ...     learning_rate: float = 0.01
        ...     def transformation(self):
        ...         return optax.adan(self.learning_rate)
        >>> CustomOptimizer.wrap(Adan(0.1)).own_traced()
        {'learning_rate': 0.1}
    """

    curvature_limit: ClassVar[None] = None
    compares_losses: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return self.target.rpartition(":")[2]

    @classmethod
    def wrap(cls, value: Any) -> Self:
        if not callable(getattr(value, "transformation", None)):
            raise ValueError(
                "expected a mapping with `kind`, or a dataclass with a method transformation() "
                f"that makes an optax transformation, got {value!r}"
            )
        return super().wrap(value)
