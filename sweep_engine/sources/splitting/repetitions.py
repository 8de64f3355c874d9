"""`splitting` on the host: the repetitions of a shard, as rows, tallies and measured numbers."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, UInt8

from sweep_engine.solutions import RunStatus, Solutions, UnitNumber
from sweep_engine.sources.observe import observe
from sweep_engine.sources.splitting.climb import Pace, Repetition, climb
from sweep_engine.sources.splitting.estimate import stderr_of_log, warn_of_collapse
from sweep_engine.sources.splitting.functions import function_data, pack_labels
from sweep_engine.sources.splitting.left_behind import Weighted
from sweep_engine.sources.splitting.programs import SplittingPrograms, Unit
from sweep_engine.sources.tally import tally
from sweep_engine.sources.work import Control, Finished, Inputs, Runs
from sweep_engine.spec.settings import Piece


class Climbed(NamedTuple):
    """A repetition, its runs, and the function that it climbed to, packed, if it did to one."""

    runs: Runs
    repetition: Repetition
    function: UInt8[np.ndarray, " bytes"] | None


def split(
    programs: SplittingPrograms, pieces: Sequence[Piece], control: Control, inputs: Inputs
) -> Finished:
    """Climb every repetition of some pieces to the end, and observe where it arrives.

    What a repetition does depends on its address alone. Unit u climbs to function u modulo the
    number of functions asked for, so that more repetitions change no earlier one; where
    fewer functions are there, the units of the others have no rows.

    Raises:
        ValueError: a piece holds part of a repetition.
        Interrupted: `control` asked to stop.
    """
    climbed = list(_climb_all(programs, pieces, control, inputs))
    warn_of_collapse([_distinct(one.repetition) for one in climbed], programs.spec.particles)
    solutions = _solutions(programs, climbed)
    columns, functions = observe(programs.bucket, solutions.theta, control)
    tallies = tally(solutions.setting, solutions.fit, functions)
    measured = tuple(number for one in climbed for number in _measure(programs, one))
    return Finished(solutions, columns, functions, tallies, measured=measured)


def _climb_all(
    programs: SplittingPrograms, pieces: Sequence[Piece], control: Control, inputs: Inputs
) -> Iterator[Climbed]:
    bucket, particles, pace = programs.bucket, programs.spec.particles, Pace()
    functions = programs.functions if inputs.functions is None else inputs.functions
    for piece in pieces:
        if piece.start % particles or piece.stop % particles:
            raise ValueError(
                f"runs {piece.start} to {piece.stop}: repetitions have {particles} particles each"
            )
        for start in range(piece.start, piece.stop, particles):
            labels = _labels(functions, start // particles, programs.spec.num_functions)
            if functions is None or labels is not None:
                runs = Runs.of(bucket, [Piece(piece.setting, start, start + particles)])
                unit = _unit(programs, runs, labels)
                packed = None if labels is None else pack_labels(labels, bucket.task.loss)
                yield Climbed(runs, climb(programs, unit, control, pace), packed)
            control.proceed(particles)


def _labels(
    functions: Int[np.ndarray, "k F"] | None, unit: int, num_functions: int
) -> Int[np.ndarray, " F"] | None:
    """The function a unit climbs to; None where there is none."""
    number = unit % num_functions
    return None if functions is None or number >= len(functions) else functions[number]


def _unit(programs: SplittingPrograms, runs: Runs, labels: Int[np.ndarray, " F"] | None) -> Unit:
    bucket = programs.bucket
    data = bucket.data.train if labels is None else function_data(bucket, labels)
    return Unit(
        jnp.asarray(runs.words[0]), {path: values[0] for path, values in runs.hyper.items()}, data
    )


def _distinct(repetition: Repetition) -> int:
    return len(np.unique(repetition.ancestor))


def _solutions(programs: SplittingPrograms, climbed: Sequence[Climbed]) -> Solutions:
    """All repetitions' particles as rows, in order."""
    if not climbed:
        return _no_solutions(programs)
    ended = [one.repetition for one in climbed]
    rows = Weighted.joined([one.rows for one in ended])
    size = programs.spec.particles
    status = [RunStatus.DRAWN if one.arrived else RunStatus.MAX_STEPS for one in ended]
    return Solutions(
        run_id=np.concatenate([one.runs.ids for one in climbed]),
        setting=np.concatenate([one.runs.setting for one in climbed]),
        status=np.repeat(np.array(status, np.int32), size),
        steps=np.zeros(len(rows.fit), np.int64),
        fit=rows.fit,
        fit_step=np.where(rows.fit, 0, -1),
        log_weight=rows.log_weight,
        theta=rows.theta,
        ancestor=rows.ancestor,
    )


def _no_solutions(programs: SplittingPrograms) -> Solutions:
    none = np.zeros(0, np.int64)
    theta = np.zeros((0, programs.bucket.network.layout.num_params), np.float32)
    return Solutions(
        none, none, none, none, none.astype(bool), none, np.zeros(0), theta, ancestor=none
    )


def _measure(programs: SplittingPrograms, climbed: Climbed) -> Iterator[UnitNumber]:
    """Name the numbers of one repetition; `Splitting` says what they are."""
    runs, found, function = climbed
    stderr = stderr_of_log(found.ancestor, found.accepted)
    numbers = {
        "log_p_fit" if function is None else "log_p_function": (found.log_p, stderr),
        "log_p_reached": (found.log_p_reached, math.nan),
        "levels": (float(found.levels), math.nan),
        "acceptance": (found.acceptance, math.nan),
        "step_size": (found.width, math.nan),
        "distance_moved": (float(found.distance.mean()), math.nan),
        "distinct_ancestors": (float(_distinct(found)), math.nan),
    }
    setting, unit = int(runs.setting[0]), int(runs.ids[0] & 0xFFFFFFFF) // programs.spec.particles
    for what, (value, error) in numbers.items():
        if not math.isnan(value):
            yield UnitNumber(setting, what, value, error, unit=unit, function=function)
