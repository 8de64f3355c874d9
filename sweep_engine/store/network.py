"""One stored network, as a function again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pyarrow.compute as pc
from jaxtyping import Float

from sweep_engine.errors import OutputError
from sweep_engine.models import build
from sweep_engine.spec import Setting
from sweep_engine.store.directory import OutputDirectory
from sweep_engine.store.manifest import read_manifest
from sweep_engine.store.reader import open_results
from sweep_engine.tasks import load_task


@dataclass(frozen=True)
class StoredRun:
    """One run as it stands in the tables.

    Attributes:
        row: Its row of `runs`, by column.
        setting: Its setting.
        curve: (step, train_loss, train_error) of every recorded check.
        thetas: Stored parameters by step; the last is the final state.
        call: Computes outputs (N, C) from inputs (N, ...) with the final parameters; None
            where no parameters were stored.
    """

    row: dict[str, Any]
    setting: Setting
    curve: list[tuple[int, float, float | None]]
    thetas: dict[int, Float[np.ndarray, " P"]]
    call: Callable[[np.ndarray], np.ndarray] | None


def stored_run(root: Path | str, run_id: int) -> StoredRun:
    """Read one run.

    Raises:
        OutputError: there is no such run.
    """
    directory = OutputDirectory(Path(root))
    manifest, results = read_manifest(directory), open_results(root)
    mine = pc.field("run_id") == run_id
    rows = results.runs(where=mine).to_pylist()
    if not rows:
        raise OutputError(f"{root} has no run {run_id}; `runs` lists the ids in the column run_id")
    setting = manifest.plan.settings[rows[0]["setting"]]
    curve = results.curves(["step", "train_loss", "train_error"], mine).to_pylist()
    found = results.params(rows[0]["source"], rows[0]["bucket"], mine)
    thetas = {
        int(step): theta
        for part in found
        for step, theta in zip(part.step, part.theta, strict=True)
    }
    return StoredRun(
        row=rows[0],
        setting=setting,
        curve=[(c["step"], c["train_loss"], c["train_error"]) for c in curve],
        thetas=thetas,
        call=_network(setting, manifest.plan.sweep.seed, directory.root, thetas),
    )


def _network(
    setting: Setting, seed: int, folder: Path, thetas: dict[int, np.ndarray]
) -> Callable[[np.ndarray], np.ndarray] | None:
    if not thetas:
        return None
    task = load_task(setting.task, seed, folder)
    network = build(setting.model, task.input_shape, task.loss.num_outputs())
    params = network.layout.unflatten(jnp.asarray(thetas[max(thetas)]))
    return lambda x: np.asarray(network.apply(params, jnp.asarray(x, jnp.float32)))
