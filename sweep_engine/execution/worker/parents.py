"""What the work on a shard takes from the stored results of the shards that it waits for."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, UInt8

from sweep_engine.errors import CorruptResults
from sweep_engine.keys import run_ids
from sweep_engine.observables import unpack
from sweep_engine.planning import Plan, Shard
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Inputs, StoredRuns
from sweep_engine.spec import Piece
from sweep_engine.spec.starts import FunctionsFrom, ParentAt, ParentState, parent_ref_of
from sweep_engine.store import Files
from sweep_engine.store.schema import AVERAGED
from sweep_engine.store.shard_tables import shard_table
from sweep_engine.tasks import Task

_STATUS = {status.label: status for status in RunStatus}


def inputs_of(plan: Plan, shard: Shard, accepted: int | None, files: Files, task: Task) -> Inputs:
    """Collect what the work on a shard needs to know of earlier shards.

    Args:
        plan: The plan; the shards that this one waits for are done.
        shard: The shard.
        accepted: How many acceptances are missing, where they are counted.
        files: The output directory.
        task: The shard's task.

    Raises:
        CorruptResults: A file was altered, or lacks rows that are needed.
    """
    found = parent_ref_of(plan.settings[shard.pieces[0][0]].spec)
    if found is None:
        return Inputs(accepted)
    if isinstance(found[1], FunctionsFrom):
        top = _commonest_functions(plan, shard, found[1].top, files)
        return Inputs(accepted, functions=_labels(top, task))
    parts = [_stored(plan, piece, files) for piece in plan.pieces(shard)]
    return Inputs(accepted, starts=_joined(parts))


def _joined(parts: list[StoredRuns]) -> StoredRuns:
    finals = [part.final for part in parts if part.final is not None]
    return StoredRuns(
        theta=np.concatenate([part.theta for part in parts]),
        steps=np.concatenate([part.steps for part in parts]),
        status=np.concatenate([part.status for part in parts]),
        log_weight=np.concatenate([part.log_weight for part in parts]),
        final=np.concatenate(finals) if finals else None,
    )


def _stored(plan: Plan, piece: Piece, files: Files) -> StoredRuns:
    """Read the runs that a piece's runs start from, in their order."""
    found, needed = parent_ref_of(piece.setting.spec), plan.needs(piece)
    assert found is not None
    assert needed is not None
    parent = found[1]
    assert isinstance(parent, ParentAt)
    shards = plan.shards_of(needed)
    rows = _run_rows(files, shards, needed)
    if needed.setting.spec.keeps_fits_only:
        _check_rows(needed, min(len(rows), piece.stop), piece.stop)
        rows = rows.slice(piece.start, len(piece))
    run_id, ends = rows["run_id"].to_numpy(), rows["steps"].to_numpy()
    status = np.array([_STATUS[label] for label in rows["status"].to_pylist()], np.int32)
    steps = _state_steps(parent.at, ends, rows["fit_step"])
    table = _params_rows(files, shards, run_id)
    averaged = parent.at == "average"
    theta = _states(table, run_id, np.full_like(ends, AVERAGED) if averaged else steps)
    theta[(steps == ends) & (status == RunStatus.DIVERGED)] = np.nan
    has_mask = parent.needs_final
    final = _states(table, run_id, ends) if has_mask else None
    if final is not None:
        final[status == RunStatus.DIVERGED] = np.nan
    return StoredRuns(
        theta=theta,
        steps=steps,
        status=np.where(steps == ends, status, np.int32(RunStatus.RUNNING)),
        log_weight=rows["log_weight"].to_numpy(),
        final=final,
    )


def _run_rows(files: Files, shards: list[str], needed: Piece) -> pa.Table:
    """Rows of `runs` in the order of their ids; all of them must be there, or those that fit."""
    ids = run_ids(needed.setting.id, needed.start, needed.stop)
    columns = ["run_id", "status", "steps", "fit_step", "log_weight"]
    where = (pc.field("run_id") >= int(ids[0])) & (pc.field("run_id") <= int(ids[-1]))
    table = shard_table(files, shards, "runs")
    if not table.records:
        _check_rows(needed, 0, 1)
    rows = table.read(columns, where).sort_by("run_id")
    if not needed.setting.spec.keeps_fits_only:
        _check_rows(needed, len(rows), len(ids))
    return rows


def _check_rows(needed: Piece, there: int, wanted: int) -> None:
    if there != wanted:
        source = needed.setting.source
        message = f"of {source} there are {there:,} runs to start from, not {wanted:,}"
        raise CorruptResults([message])


def _state_steps(at: ParentState, ends: np.ndarray, fit_step: pa.ChunkedArray) -> np.ndarray:
    """The step of the state asked for; the last one of runs that ended before or never fitted.

    An average is of the whole run, and so of its last step.
    """
    if at in ("final", "average"):
        return ends
    if at == "first_fit":
        found: np.ndarray = pc.fill_null(fit_step, -1).to_numpy()
        return np.where(found >= 0, found, ends)
    return np.minimum(at, ends)


def _params_rows(files: Files, shards: list[str], run_id: np.ndarray) -> pa.Table:
    low, high = int(run_id.min()), int(run_id.max())
    where = (pc.field("run_id") >= low) & (pc.field("run_id") <= high)
    table = shard_table(files, shards, "params")
    return table.read(["run_id", "step", "theta"], where)


def _states(table: pa.Table, run_id: np.ndarray, steps: np.ndarray) -> Float32[np.ndarray, "R P"]:
    """Pick theta of every run after some steps."""
    stored = zip(table["run_id"].to_pylist(), table["step"].to_pylist(), strict=True)
    row_of = {key: row for row, key in enumerate(stored)}
    wanted = list(zip(run_id.tolist(), steps.tolist(), strict=True))
    missing = [key for key in wanted if key not in row_of]
    if missing:
        run, step = missing[0]
        raise CorruptResults([f"the parameters of run {run} after step {step} are not stored"])
    theta = table["theta"].combine_chunks()
    values = theta.flatten().to_numpy().reshape(len(table), theta.type.list_size)
    return values[[row_of[key] for key in wanted]]


def _commonest_functions(plan: Plan, shard: Shard, top: int, files: Files) -> list[bytes]:
    """Find, packed, the functions that most fits compute; of equals the lesser id first."""
    needed = plan.needs(plan.pieces(shard)[0])
    assert needed is not None
    where = (pc.field("setting") == needed.setting.id) & (pc.field("what") == "function_given_fit")
    columns = ["function_id", "function", "count"]
    rows = shard_table(files, plan.shards_of(needed), "tallies").read(columns, where).to_pylist()
    counts: Counter[tuple[str, bytes]] = Counter()
    for row in rows:
        counts[row["function_id"], row["function"]] += row["count"]
    order = sorted(counts, key=lambda key: (-counts[key], key[0]))[:top]
    return [function for _, function in order]


def _labels(functions: list[bytes], task: Task) -> UInt8[np.ndarray, "k F"]:
    """Labels on the probe inputs of packed functions; none where nothing fitted."""
    if not functions:
        return np.zeros((0, len(task.probe_inputs)), np.uint8)
    packed = np.stack([np.frombuffer(function, np.uint8) for function in functions])
    return unpack(packed, len(task.probe_inputs), task.loss.num_labels)
