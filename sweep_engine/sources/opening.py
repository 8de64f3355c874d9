"""Opening a source: from a setting to the programs of its bucket."""

from pathlib import Path
from typing import Any

import jax

from sweep_engine import laws
from sweep_engine.lanes import choose_lanes
from sweep_engine.models import Network, build
from sweep_engine.observables import observables
from sweep_engine.sources.acceptance import check_rule
from sweep_engine.sources.bucket import Bucket
from sweep_engine.sources.draw.programs import DrawPrograms
from sweep_engine.sources.posterior.programs import PosteriorPrograms, lanes_of_chains
from sweep_engine.sources.programs import SourcePrograms
from sweep_engine.sources.snapshot import SnapshotPrograms
from sweep_engine.sources.splitting.programs import SplittingPrograms
from sweep_engine.sources.train.programs import TrainPrograms
from sweep_engine.spec.settings import Setting
from sweep_engine.spec.sources import (
    GuessAndCheck,
    Posterior,
    Prior,
    Snapshot,
    SourceSpec,
    Splitting,
    Train,
    law_of,
)
from sweep_engine.spec.sweep import Execution
from sweep_engine.tasks import Task, load_task


def open_source(
    setting: Setting, seed: int, folder: Path, names: tuple[Any, ...], execution: Execution
) -> SourcePrograms:
    """Load the task, bind the model and make the programs of a setting's bucket.

    Raises:
        ValueError: task, model, law, observables and acceptance rule do not fit one another.
    """
    task = load_task(setting.task, seed, folder)
    network = build(setting.model, task.input_shape, task.loss.num_outputs())
    law = law_of(setting.spec)
    if law is not None:
        laws.check(law, network.layout)
    observed = observables(names)
    for observable in observed:
        if problem := observable.problem(task, setting.model):
            raise ValueError(f"observable {observable.columns[0].name}: {problem}")
    check_rule(setting.accept, task.loss, setting.model)
    _check_minibatch(setting.spec, len(task.train))
    lanes = execution.lanes or _lanes(setting, task, network)
    at_once = [observable for observable in observed if not observable.is_late]
    programs = _programs(Bucket(setting, task, network, at_once, execution, seed, lanes))
    programs.prepare()
    return programs


def _programs(bucket: Bucket) -> SourcePrograms:
    match bucket.setting.spec:
        case Train():
            return TrainPrograms(bucket)
        case Prior() | GuessAndCheck():
            return DrawPrograms(bucket)
        case Posterior():
            return PosteriorPrograms(bucket)
        case Splitting():
            return SplittingPrograms(bucket)
        case Snapshot():
            return SnapshotPrograms(bucket)


def _check_minibatch(spec: SourceSpec, num_examples: int) -> None:
    if isinstance(spec, Train) and spec.batch_size != "full" and spec.batch_size > num_examples:
        raise ValueError(f"batch_size: {spec.batch_size} of {num_examples} training examples")


def _lanes(setting: Setting, task: Task, network: Network) -> int:
    spec = setting.spec
    examples = len(task.train)
    if isinstance(spec, Train) and spec.batch_size != "full":
        examples = spec.batch_size
    elif not isinstance(spec, Train):
        examples = len(task.inputs)
    outputs = sum((leaf.shape or (1,))[-1] for leaf in network.layout.leaves if not leaf.is_bias)
    lanes = choose_lanes(
        jax.default_backend(),
        network.layout.num_params,
        examples * outputs,
        trains=not isinstance(spec, Prior | GuessAndCheck),
    )
    return lanes_of_chains(spec, lanes) if isinstance(spec, Posterior) else lanes
