"""`splitting` on the host: one repetition climbs, level by level, until all of it fits."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from sweep_engine.sources.splitting.estimate import log_share
from sweep_engine.sources.splitting.left_behind import LeftBehind, Weighted
from sweep_engine.sources.splitting.particle import Particle
from sweep_engine.sources.splitting.programs import Ended, Moved, SplittingPrograms, Unit
from sweep_engine.sources.work import Control

SEGMENT_SECONDS = 1.0
"""A device call cannot be interrupted: about so long until a stop is noticed."""


@dataclass(frozen=True)
class Repetition:
    """How a climb ended.

    Attributes:
        log_p_reached: ln P(level above the last threshold).
        levels: Thresholds passed.
        arrived: Whether the last threshold was 0: all particles are where they should be.
        acceptance: Share of moves that found an angle; NaN before any.
        width: The last bracket of angles, in radians.
        accepted: Which of the last particles' levels are positive, shape (N,).
        ancestor: Which of the first particles each of them descends from, shape (N,).
        distance: Mean square of the change in its normals over the last level's moves, of a
            fresh draw's; shape (N,).
        rows: The N draws that are kept.
    """

    log_p_reached: float
    levels: int
    arrived: bool
    acceptance: float
    width: float
    accepted: Bool[np.ndarray, " N"]
    ancestor: Int[np.ndarray, " N"]
    distance: Float[np.ndarray, " N"]
    rows: Weighted

    @property
    def log_p(self) -> float:
        """Ln P(accepted); -inf where no particle is."""
        return self.log_p_reached + log_share(int(self.accepted.sum()), len(self.accepted))


def climb(programs: SplittingPrograms, unit: Unit, control: Control, pace: "Pace") -> Repetition:
    """Climb from the law to the level 0, or until nobody survives or levels run out.

    Raises:
        Interrupted: `control` asked to stop.
    """
    spec = programs.spec
    key, population = programs.start(unit, programs.bucket.root)
    before = population.normals
    left = LeftBehind(spec.particles, key) if spec.keep_levels else None
    moved = Moved.first()
    log_p, levels, threshold, accepted = 0.0, 0, -np.inf, 0
    while threshold < 0 and levels < spec.max_levels:
        selected, selection = programs.select(population, key, np.int32(levels + 1))
        survivors = int(selection.num_survivors)
        if survivors == 0:
            break
        levels, threshold = levels + 1, float(selection.threshold)
        if left is not None:
            left.add(_as_rows(programs, unit, population, before), threshold, log_p)
        log_p += log_share(survivors, spec.particles)
        population, before = selected, selected.normals
        for first, stop in pace.segments(spec.moves):
            address = np.array([levels, first, stop], np.int32)
            population, moved = jax.block_until_ready(
                programs.move(population, moved, selection.threshold, unit, key, address)
            )
            control.proceed(0)
        count, moved = moved.counted()
        accepted += count
    moves = levels * spec.moves * spec.particles
    ended = _as_rows(programs, unit, population, before)
    last = Weighted.equally(ended, log_p)
    return Repetition(
        log_p_reached=log_p,
        levels=levels,
        arrived=threshold >= 0,
        acceptance=accepted / moves if moves else np.nan,
        width=float(moved.width),
        accepted=ended["level"] > 0,
        ancestor=ended["ancestor"],
        distance=ended["distance"],
        rows=last if left is None else left.with_last(last),
    )


def _as_rows(
    programs: SplittingPrograms, unit: Unit, population: Particle, before: jax.Array
) -> dict[str, np.ndarray]:
    train = programs.bucket.data.train
    ended: Ended = programs.end(population, before, unit.hyper, train)
    blocks = ended._asdict() | {"level": population.level, "ancestor": population.ancestor}
    count = programs.spec.particles
    return {k: np.asarray(v).reshape(-1, *v.shape[2:])[:count] for k, v in blocks.items()}


@dataclass
class Pace:
    """How many sweeps of moves a call makes: as many as take about a second."""

    sweeps: int = 1

    def segments(self, moves: int) -> Iterator[tuple[int, int]]:
        """Cut the sweeps 0 .. moves - 1 into calls, (first, stop) each, timing the caller."""
        first = 0
        while first < moves:
            stop = min(first + self.sweeps, moves)
            began = time.monotonic()
            yield first, stop
            self._learn(stop - first, time.monotonic() - began)
            first = stop

    def _learn(self, sweeps: int, seconds: float) -> None:
        if sweeps == self.sweeps and seconds < SEGMENT_SECONDS / 2:
            self.sweeps *= 2
        elif seconds > SEGMENT_SECONDS:
            self.sweeps = max(1, self.sweeps // 2)
