"""`snapshot`: networks that another source has stored, observed and judged like any others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from sweep_engine.lanes import Program, over_lanes, pad
from sweep_engine.models import Network
from sweep_engine.solutions import RunStatus, Solutions
from sweep_engine.sources.acceptance import accepts, output_scale
from sweep_engine.sources.bucket import Data
from sweep_engine.sources.lane_widths import usual_lanes
from sweep_engine.sources.observe import observe
from sweep_engine.sources.programs import Example, SourcePrograms, Timed
from sweep_engine.sources.tally import tally
from sweep_engine.sources.work import Control, Finished, Inputs, Runs
from sweep_engine.spec.settings import Piece, Setting
from sweep_engine.tasks import Task


@dataclass(frozen=True)
class SnapshotPrograms(SourcePrograms):
    """The acceptance rule for networks that are there, mapped over lanes and compiled."""

    @classmethod
    def choose_lanes(cls, setting: Setting, task: Task, network: Network) -> int:
        return usual_lanes(network, len(task.inputs), trains=True)

    def prepare(self) -> None:
        _ = self.bucket.root, self.bucket.data, self.bucket.observe, self.judge

    @cached_property
    def judge(self) -> Program:
        """(theta, training data) -> whether each lane's network passes the rule."""
        return self.bucket.program(over_lanes(self._judge_one, (0, None)))

    def _judge_one(self, theta: Float[Array, " P"], data: Data) -> Bool[Array, ""]:
        bucket = self.bucket
        accept, loss = bucket.setting.accept, bucket.task.loss
        params = bucket.network.layout.unflatten(theta)
        outputs = bucket.network.apply(params, data.x)
        scale = output_scale(accept, bucket.network, params, data.x)
        fits = accepts(accept, loss, outputs, data.y, scale)
        return fits & jnp.isfinite(loss.mean(outputs, data.y))

    def to_compile(self) -> Iterator[Example]:
        arguments = self.bucket.observe_example()
        yield self.judge, (arguments[0], self.bucket.data.train)
        yield self.bucket.observe, arguments

    def timed(self) -> Timed:
        """Judging one block; observing it is timed by itself."""
        theta, *_ = self.bucket.observe_example()
        return Timed(self.judge, (theta, self.bucket.data.train), self.bucket.lanes)

    def counted(self) -> Timed:
        return self.timed()


def take_snapshots(
    programs: SnapshotPrograms, pieces: Sequence[Piece], control: Control, inputs: Inputs
) -> Finished:
    """Observe stored networks, and judge them by the acceptance rule.

    `status` is how the run ended, or `running` where it went on behind this state; `steps`
    says which state it is.

    Raises:
        Interrupted: `control` asked to stop.
    """
    stored = inputs.starts
    if stored is None:
        raise ValueError("a snapshot is of another source's runs, and none are given")
    bucket, runs = programs.bucket, Runs.of(programs.bucket, pieces)
    fit = _judged(programs, stored.theta) & (stored.status != RunStatus.DIVERGED)
    control.proceed(len(runs))
    columns, functions = observe(bucket, stored.theta, control)
    solutions = Solutions(
        run_id=runs.ids,
        setting=runs.setting,
        status=stored.status,
        steps=stored.steps,
        fit=fit,
        fit_step=np.where(fit, stored.steps, -1),
        log_weight=stored.log_weight,
        theta=stored.theta,
    )
    return Finished(solutions, columns, functions, tally(runs.setting, fit, functions))


def _judged(programs: SnapshotPrograms, theta: Float[np.ndarray, "R P"]) -> Bool[np.ndarray, " R"]:
    lanes, data = programs.bucket.lanes, programs.bucket.data.train
    fit = np.empty(len(theta), bool)
    for first in range(0, len(theta), lanes):
        rows = theta[first : first + lanes]
        found = programs.judge(pad(rows, lanes), data)
        fit[first : first + lanes] = np.asarray(found)[: len(rows)]
    return fit
