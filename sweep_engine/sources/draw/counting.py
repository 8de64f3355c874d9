"""`prior` and `guess_and_check` on the host: every draw is counted, few are kept."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from sweep_engine.lanes import padded_length
from sweep_engine.solutions import RunStatus, Solutions
from sweep_engine.sources.bucket import Bucket
from sweep_engine.sources.draw.programs import DrawPrograms, blocks_per_call
from sweep_engine.sources.drawn import draw_rows
from sweep_engine.sources.observe import observe
from sweep_engine.sources.tally import tally, tally_fits
from sweep_engine.sources.work import Control, Finished, Inputs, Runs
from sweep_engine.spec.settings import Piece
from sweep_engine.spec.sources import Prior


def draw(
    programs: DrawPrograms, pieces: Sequence[Piece], control: Control, inputs: Inputs
) -> Finished:
    """Draw networks from a law, count all of them, keep those asked for.

    Draws are addressed by their id, so the pass that counts stores no parameters: the kept
    ones are drawn again and observed. Whether a draw fits is what the counting pass found,
    and so is its function under `prior`, so that rows and tallies agree. `guess_and_check`
    evaluates the training inputs only, and identifies the functions of the fits.

    Args:
        programs: The programs.
        pieces: What to draw.
        control: Progress and stop.
        inputs: Discard all draws after `accepted` acceptances.

    Raises:
        Interrupted: `control` asked to stop.
    """
    bucket, accepted = programs.bucket, inputs.accepted
    runs = Runs.of(bucket, pieces)
    functions, fit = _scan(programs, runs, control)
    if accepted is not None and fit.sum() >= accepted:
        count = int(np.flatnonzero(fit)[accepted - 1]) + 1
        runs, functions, fit = runs.take(np.arange(count)), functions[:count], fit[:count]
    kept = np.flatnonzero(_keep(bucket, runs, fit))
    rows = runs.take(kept)
    theta = draw_rows(bucket, rows)
    known = functions[kept] if programs.identifies_all else None
    columns, row_functions = observe(bucket, theta, control, functions=known)
    if programs.identifies_all:
        tallies = tally(runs.setting, fit, functions)
    else:
        tallies = tally_fits(runs.setting, rows.setting, row_functions)
    return Finished(_solutions(rows, fit[kept], theta), columns, row_functions, tallies)


def _scan(
    programs: DrawPrograms, runs: Runs, control: Control
) -> tuple[UInt8[np.ndarray, "R bytes"], Bool[np.ndarray, " R"]]:
    bucket = programs.bucket
    blocks = blocks_per_call(bucket.lanes)
    call = blocks * bucket.lanes
    functions, fits = [], []
    for first in range(0, len(runs), call):
        index = np.arange(first, min(first + call, len(runs)))
        chunk = runs.take(index).padded(call)
        found, fit = programs.scan(
            chunk.words.reshape(blocks, bucket.lanes, 2),
            {path: value.reshape(blocks, bucket.lanes) for path, value in chunk.hyper.items()},
            bucket.root,
            programs.scan_inputs,
            np.int32(padded_length(len(index), bucket.lanes) // bucket.lanes),
        )
        functions.append(np.asarray(found).reshape(call, -1)[: len(index)])
        fits.append(np.asarray(fit).reshape(call)[: len(index)])
        control.proceed(len(index))
    return np.concatenate(functions), np.concatenate(fits)


def _keep(bucket: Bucket, runs: Runs, fit: Bool[np.ndarray, " R"]) -> Bool[np.ndarray, " R"]:
    spec = bucket.setting.spec
    if spec.keeps_fits_only:
        return fit
    assert isinstance(spec, Prior)
    if isinstance(spec.keep, int):
        return (runs.ids & 0xFFFFFFFF) < spec.keep
    return np.full_like(fit, spec.keep == "all")


def _solutions(runs: Runs, fit: Bool[np.ndarray, " R"], theta: np.ndarray) -> Solutions:
    count = len(runs)
    return Solutions(
        run_id=runs.ids,
        setting=runs.setting,
        status=np.full(count, RunStatus.DRAWN, np.int32),
        steps=np.zeros(count, np.int64),
        fit=fit,
        fit_step=np.where(fit, 0, -1),
        log_weight=np.zeros(count),
        theta=theta,
    )
