"""One run as it stands in the tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from sweep_engine.errors import OutputError
from sweep_engine.spec import Setting
from sweep_engine.store.directory import OutputDirectory
from sweep_engine.store.manifest import read_manifest
from sweep_engine.store.reader import open_results


@dataclass(frozen=True)
class StoredRun:
    """One run: its setting, its row, its history.

    Attributes:
        row: Its row of `runs`, by column.
        setting: Its setting.
        curve: (step, train_loss, train_error) of every recorded check.
        steps: The steps at which its parameters are stored.
    """

    row: dict[str, Any]
    setting: Setting
    curve: list[tuple[int, float, float | None]]
    steps: list[int]


def stored_run(root: Path | str, run_id: int) -> StoredRun:
    """Read one run.

    Raises:
        OutputError: there is no such run.
    """
    manifest, results = read_manifest(OutputDirectory(root)), open_results(root)
    mine = pc.field("run_id") == min(run_id, 2**63 - 1)  # no run has a larger one
    rows = results.runs(where=mine).to_pylist()
    if not rows:
        raise OutputError(f"{root} has no run {run_id}; the column run_id of runs lists the ids")
    row = rows[0]
    curve = results.curves(["step", "train_loss", "train_error"], mine).to_pylist()
    stored = results.params(row["source"], row["bucket"], mine)
    return StoredRun(
        row=row,
        setting=manifest.plan.settings[row["setting"]],
        curve=[(c["step"], c["train_loss"], c["train_error"]) for c in curve],
        steps=sorted(int(step) for part in stored for step in part.step),
    )
