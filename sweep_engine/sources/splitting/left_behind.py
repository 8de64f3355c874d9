"""The draws that the levels of a climb leave behind: a weighted sample of the law itself."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key


class Weighted(NamedTuple):
    """Draws with their weights.

    Attributes:
        theta: Parameters, shape (n, P).
        fit: Whether they pass the acceptance rule, shape (n,).
        ancestor: Which of the first particles each descends from, shape (n,).
        log_weight: In nats, shape (n,).
    """

    theta: Float[np.ndarray, "n P"]
    fit: Bool[np.ndarray, " n"]
    ancestor: Int[np.ndarray, " n"]
    log_weight: Float[np.ndarray, " n"]

    @classmethod
    def equally(cls, rows: Mapping[str, np.ndarray], log_p: float) -> "Weighted":
        """Share a probability among rows, given as its ln."""
        count = len(rows["fit"])
        weights = np.full(count, log_p - math.log(count))
        return cls(rows["theta"], rows["fit"], rows["ancestor"], weights)

    @classmethod
    def joined(cls, parts: "Sequence[Weighted]") -> "Weighted":
        """Put draws one after the other."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def thinned(self, count: int, rng: np.random.Generator) -> "Weighted":
        """Keep so many at random, which share the weight of all; all have the same."""
        if count >= len(self.fit):
            return self
        kept = np.sort(rng.choice(len(self.fit), count, replace=False))
        gain = math.log(len(self.fit) / count)
        return Weighted(*(column[kept] for column in self))._replace(
            log_weight=self.log_weight[kept] + gain
        )


class LeftBehind:
    """Hold what the levels of one repetition leave behind: as many draws of each.

    A population above a threshold is a sample of the law there. Those of it that the next
    threshold leaves behind are one of the shell between the two; shells and the last population
    make up the law.
    """

    def __init__(self, particles: int, key: Key[Array, ""]) -> None:
        """Begin a climb.

        Args:
            particles: N: so many rows are kept in all, half of them of shells at most.
            key: The repetition's own, which decides which.
        """
        self._particles = particles
        self._rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
        self._shells: list[Weighted] = []

    def add(self, rows: Mapping[str, np.ndarray], threshold: float, log_p: float) -> None:
        """Take in a population, of which a threshold leaves some behind.

        Args:
            rows: The population, each with its `level`.
            threshold: Those that are not above it stay behind.
            log_p: ln P(level above the threshold before).

        Raises:
            ValueError: There are more levels than rows to keep.
        """
        left = rows["level"] <= threshold
        if not left.any():  # all are above 0 already
            return
        shell = {name: column[left] for name, column in rows.items()}
        self._shells.append(Weighted.equally(shell, log_p + math.log(left.mean())))
        each = self._particles // 2 // len(self._shells)
        if each == 0:
            raise ValueError(
                f"keep_levels: {len(self._shells)} levels are more than half of the "
                f"{self._particles} particles: raise particles"
            )
        self._shells = [shell.thinned(each, self._rng) for shell in self._shells]

    def with_last(self, last: Weighted) -> Weighted:
        """Join the shells with as many of the last population as make N rows."""
        room = self._particles - sum(len(shell.fit) for shell in self._shells)
        return Weighted.joined([*self._shells, last.thinned(room, self._rng)])
