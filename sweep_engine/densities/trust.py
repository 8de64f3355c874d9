"""Where an estimator may be trusted: it refuses too few draws, and warns outside its range."""

import math
from dataclasses import dataclass

from sweep_engine.errors import InsufficientSamples


@dataclass(frozen=True)
class Trust:
    """What an estimator needs, and where its interval was seen to hold.

    Attributes:
        estimator: Its name, for messages.
        min_draws: Independent draws that it needs on each side.
        max_dimension: Columns up to which its interval may be trusted.
        max_nats: Divergence up to which it may; for those that are in nats.
        beyond: What it still is outside, for the warning.
    """

    estimator: str
    min_draws: int
    max_dimension: float = math.inf
    max_nats: float = math.inf
    beyond: str = "a test, not a measurement"

    def require(self, num_source: float, num_reference: float) -> None:
        """Refuse too few draws.

        Raises:
            InsufficientSamples: One side has fewer than `min_draws`.
        """
        if min(num_source, num_reference) < self.min_draws:
            raise InsufficientSamples(
                f"{self.estimator} needs at least {self.min_draws} independent draws on each side, "
                f"got {num_source:.4g} of the source and {num_reference:.4g} of the reference"
            )

    def warnings(self, dimension: int, nats: float = 0.0) -> tuple[str, ...]:
        """Say what is outside the range.

        Example:
            >>> Trust("kde", 100, max_dimension=2, beyond="a bound").warnings(5)
            ('outside the trusted range of kde: 5 dimensions (at most 2): a bound',)
        """
        exceeded = []
        if dimension > self.max_dimension:
            exceeded.append(f"{dimension} dimensions (at most {self.max_dimension:g})")
        if nats > self.max_nats:
            exceeded.append(f"{nats:.2g} nats (at most {self.max_nats:g})")
        if not exceeded:
            return ()
        words = " and ".join(exceeded)
        return (f"outside the trusted range of {self.estimator}: {words}: {self.beyond}",)


def ceiling(num_reference: float) -> str:
    """Say that no sample of N shows a KL above ln N.

    Example:
        >>> ceiling(1000)
        'no lower bound on KL from 1000 reference draws can exceed ln N = 6.9 nats'
    """
    return (
        f"no lower bound on KL from {num_reference:.6g} reference draws can exceed "
        f"ln N = {math.log(num_reference):.1f} nats"
    )
