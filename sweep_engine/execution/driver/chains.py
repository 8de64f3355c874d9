"""Settings that stop at the k-th acceptance: how far each is, and how many draws may follow."""

from collections import deque
from dataclasses import dataclass

BARREN_DRAWS = 1_000_000
"""Draws without a fit after which a person is told: the rest may take very long."""


@dataclass
class Chain:
    """The shards of a setting that stops at the k-th acceptance.

    Attributes:
        source: The source's name.
        target: k.
        shards: Those that wait, in draw order.
        waiting: Draws of those that wait.
        begun: Draws of those that may start or have started, and are not done.
        draws: Draws of those that are done.
        accepted: Acceptances among these.
        is_told: Whether someone was told that it has no fit in many draws.
    """

    source: str
    target: int
    shards: deque[str]
    waiting: int = 0
    begun: int = 0
    draws: int = 0
    accepted: int = 0
    is_told: bool = False

    @property
    def missing(self) -> int:
        """Acceptances that are still to be found."""
        return self.target - self.accepted

    def begin(self, draws: int) -> None:
        """A shard need wait no longer."""
        self.waiting -= draws
        self.begun += draws

    def count(self, draws: int, accepted: int) -> None:
        """A shard that was begun is done."""
        self.begun -= draws
        self.draws += draws
        self.accepted += accepted

    @property
    def further_draws(self) -> float | None:
        """Draws expected beyond those that were begun; None before the first acceptance.

        At the share accepted so far, and never more than there are.

        Example:
            >>> Chain("guess", 100, deque(), waiting=9000, draws=1000, accepted=20).further_draws
            4000.0
        """
        if self.missing <= 0 or self.waiting == 0:
            return 0.0
        if self.accepted == 0:
            return None
        expected = self.draws * self.missing / self.accepted
        return min(max(0.0, expected - self.begun), float(self.waiting))

    @property
    def is_barren(self) -> bool:
        """Say whether it has no fit in many draws."""
        return self.accepted == 0 and self.draws >= BARREN_DRAWS
