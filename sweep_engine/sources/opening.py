"""Opening a source: from a setting to the programs of its bucket."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sweep_engine import laws
from sweep_engine.errors import FieldError
from sweep_engine.lanes import platform
from sweep_engine.models import Network, build
from sweep_engine.observables import observables
from sweep_engine.sources.acceptance import check_rule
from sweep_engine.sources.bucket import Bucket
from sweep_engine.sources.kinds import KINDS
from sweep_engine.sources.lane_widths import narrowed
from sweep_engine.sources.programs import SourcePrograms
from sweep_engine.spec.settings import Setting
from sweep_engine.spec.sources import Source
from sweep_engine.spec.sources.sizes import TINY_PARAMS
from sweep_engine.spec.sweep import Execution
from sweep_engine.tasks import Task, load_task


def open_source(
    setting: Setting,
    seed: int,
    folder: Path,
    names: tuple[Any, ...],
    execution: Execution,
    runs: int | None = None,
    *,
    held: bool = False,
) -> SourcePrograms:
    """Load the task, bind the model and make the programs of a setting's bucket.

    Args:
        setting: Any of the bucket's.
        seed: The sweep's.
        folder: What the paths of data files are relative to.
        names: What the sweep observes.
        execution: How the programs compute.
        runs: Of the bucket, which a block's width follows; left out, it is what a block can hold.
        held: Whether runs that have ended are held at every step, and checks share nothing, as in
            sweeps that were begun so.

    Raises:
        ValueError: task, model, law, observables and acceptance rule do not fit one another.
    """
    task = load_task(setting.task, seed, folder)
    if setting.model.takes_rows and len(task.input_shape) != 1:
        given = f"inputs of shape {task.input_shape}"
        model = setting.model.kind
        raise FieldError(("x",), f"{given}: model {model} takes rows of numbers, flatten them")
    if (num_tokens := setting.model.num_tokens) is not None:
        check_tokens(task.inputs, num_tokens)
    network = build(setting.model, task.input_shape, task.loss.num_outputs())
    if setting.spec.start_law is not None:
        laws.check(setting.spec.start_law, network.layout)
    observed = observables(names)
    for observable in observed:
        if problem := observable.problem(task, setting.model):
            raise ValueError(f"observable {observable.columns[0].name}: {problem}")
    check_rule(setting.accept, task.loss, setting.model)
    kind = KINDS[type(setting.spec)]
    lanes = execution.lanes or _choose_lanes(kind.programs, setting, task, network, runs)
    at_once = [observable for observable in observed if not observable.is_late]
    bucket = Bucket(setting, task, network, at_once, execution, seed, lanes, held=held)
    programs = kind.programs(bucket)
    programs.prepare()
    return programs


def _choose_lanes(
    programs: type[SourcePrograms], setting: Setting, task: Task, network: Network, runs: int | None
) -> int:
    widest = programs.choose_lanes(setting, task, network)
    if platform() != "cpu":  # on one, no block is as wide as a shard
        most = _runs_per_shard(setting.spec, network)
        runs = most if runs is None else min(runs, most)
    return widest if runs is None else narrowed(widest, programs.busy_lanes(setting, runs))


def _runs_per_shard(spec: Source, network: Network) -> int:
    """Count the runs that a block may hold: those of one shard."""
    is_tiny = network.layout.num_params <= TINY_PARAMS
    return spec.runs_per_tiny_shard if is_tiny else spec.runs_per_shard


def check_tokens(inputs: Float[np.ndarray, "N ..."], num_tokens: int) -> None:
    """Raise FieldError where an input is no row of tokens: whole numbers below `num_tokens`."""
    is_token = (inputs == np.floor(inputs)) & (inputs >= 0) & (inputs < num_tokens)
    if not np.all(is_token):
        wrong = inputs[~is_token][0]
        raise FieldError(
            ("x",),
            f"{wrong:g} is no token: the model takes whole numbers from 0 to {num_tokens - 1} "
            "(vocabulary - 1)",
        )
