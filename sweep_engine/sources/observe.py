"""Observing networks block by block."""

import threading
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from sweep_engine.lanes import pad
from sweep_engine.observables import Functions, distinct
from sweep_engine.sources.bucket import Bucket
from sweep_engine.sources.drawn import draw_rows
from sweep_engine.sources.work import Control, Runs
from sweep_engine.spec.settings import Setting

Columns = dict[str, np.ndarray]

_ONE_AT_A_TIME = threading.Lock()
"""Held while observables run. LAPACK calls inside XLA's CPU programs wait for threads of the
pool that runs the programs: two of them at once were seen to wait for each other for ever."""


def observe(
    bucket: Bucket,
    theta: Float[np.ndarray, "R P"],
    control: Control,
    *,
    start: Float[np.ndarray, "R P"] | None = None,
    limits: Float[np.ndarray, " R"] | None = None,
    targets: Shaped[np.ndarray, "R N"] | None = None,
    functions: UInt8[np.ndarray, "R bytes"] | None = None,
) -> tuple[Columns, UInt8[np.ndarray, "R bytes"]]:
    """Compute losses, observables and packed functions of networks.

    Args:
        bucket: The programs.
        theta: The networks' parameters.
        control: Asked before every block; what it reports are other things.
        start: Where each run started; unused where no observable asks for it.
        limits: The curvature at which each run's optimiser is stable, for a source that has one.
        targets: Each run's targets of all inputs, for a bucket whose runs have their own.
        functions: Their packed functions, where they were found before.

    Returns:
        A value per row and column, and the packed functions, shape (R, bytes).

    Raises:
        Interrupted: `control` asked to stop.
    """
    if not len(theta):
        return {}, np.zeros((0, 0), np.uint8)
    nothing = np.zeros((len(theta), 0), np.float32)
    start = start if bucket.needs_start and start is not None else nothing
    limits = nothing if limits is None else limits
    parts = []
    for first in range(0, len(theta), bucket.lanes):
        rows = slice(first, min(first + bucket.lanes, len(theta)))
        arguments = (
            pad(theta[rows], bucket.lanes),
            pad(start[rows], bucket.lanes),
            pad(limits[rows], bucket.lanes),
            bucket.data.observed,
            bucket.data.targets if targets is None else pad(targets[rows], bucket.lanes),
        )
        program = bucket.observe.compiled(*arguments)  # here: no other bucket waits for it
        with _ONE_AT_A_TIME:
            control.proceed(0)  # a block may take minutes, and another's may have just now
            values = program(*arguments)
            host = {name: np.asarray(value) for name, value in values.items()}
        parts.append({name: value[: len(theta[rows])] for name, value in host.items()})
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found = columns.pop("function")
    functions = found if functions is None else functions
    return columns | describe(bucket, functions), functions


def describe(bucket: Bucket, functions: UInt8[np.ndarray, "R bytes"]) -> Columns:
    """Compute the observables of functions, once per distinct function."""
    unique, index = distinct(functions)
    task = bucket.task
    num_labels = None if task.label_rule is None else task.label_rule.num_labels
    known = Functions(unique, len(task.probe_inputs), num_labels)
    columns: Columns = {}
    for observable in bucket.observed:
        if observable.describe:
            found = observable.describe(known)
            columns |= {name: values[index] for name, values in found.items()}
    return columns


def observe_stored(
    bucket: Bucket,
    run_id: Int[np.ndarray, " R"],
    theta: Float[np.ndarray, "R P"],
    settings: Mapping[int, Setting],
    control: Control,
) -> Columns:
    """Observe networks that are stored, by their run ids.

    Where a run started is drawn again from its law; of runs that started from another source's
    networks the columns that need it have no values.
    """
    if not len(run_id):
        return {}
    start, runs = None, Runs.of_ids(bucket, run_id, settings)
    if bucket.needs_start:
        if bucket.setting.spec.start_law is None:
            bucket = replace(bucket, knows_start=False)
        else:
            start = draw_rows(bucket, runs)
    targets = None
    if bucket.has_own_targets:  # not stored: what asks for them is refused before
        targets = np.broadcast_to(bucket.data.targets, (len(theta), len(bucket.data.targets)))
    limits = bucket.curvature_limits(runs.hyper)
    return observe(bucket, theta, control, start=start, limits=limits, targets=targets)[0]
