"""Some stored networks of one side of a comparison, drawn at random, and what they compute."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from sweep_engine.densities.draws import MOST_LEFT_OUT
from sweep_engine.densities.stored.sides import Side
from sweep_engine.densities.stored.study import DIVERGED, units_of
from sweep_engine.errors import IncomparableSources
from sweep_engine.lanes import Program
from sweep_engine.models import Network, build
from sweep_engine.spec import Setting
from sweep_engine.spec.base import canonical_json
from sweep_engine.spec.settings import identity
from sweep_engine.tasks import Task, load_task

AT_ONCE = 16
"""Networks that are computed side by side: a few, since they may see many inputs."""


@dataclass(frozen=True)
class Members:
    """Networks of one model on one task.

    Attributes:
        network: The model.
        task: The task.
        theta: One network a row.
        units: Which unit each belongs to; networks of different units are independent.
        num_draws: Draws of the source that they were chosen from.
        notes: What a reader must know of the choice.
    """

    network: Network
    task: Task
    theta: Float[np.ndarray, "M P"]
    units: Int[np.ndarray, " M"]
    num_draws: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.theta)

    @cached_property
    def num_units(self) -> int:
        """Say how many independent units there are."""
        return len(np.unique(self.units))

    def head(self, count: int) -> Self:
        """Keep the first networks; they are in random order."""
        return replace(self, theta=self.theta[:count], units=self.units[:count])

    def one_per_unit(self) -> Self:
        """Keep the first network of every unit: those are independent."""
        first = np.sort(np.unique(self.units, return_index=True)[1])
        return replace(self, theta=self.theta[first], units=self.units[first])

    def each(
        self, function: Callable[[Any], Any], theta: Float[np.ndarray, "K P"]
    ) -> Float[np.ndarray, "K ..."]:
        """Compute a function of every network's theta."""
        program = Program(lambda rows: jax.lax.map(function, rows, batch_size=AT_ONCE))
        return np.asarray(program(theta.astype(np.float32)))

    def outputs(self, x: Float[np.ndarray, "N ..."]) -> Float[np.ndarray, "M N C"]:
        """Compute the outputs of all on some inputs."""
        inputs = jnp.asarray(x, jnp.float32)
        unflatten, apply = self.network.layout.unflatten, self.network.apply
        return self.each(lambda theta: apply(unflatten(theta), inputs), self.theta)

    def losses(self, theta: Float[np.ndarray, "K P"]) -> Float[np.ndarray, " K"]:
        """Compute the mean training loss of other parameters."""
        x, y = jnp.asarray(self.task.train.x), jnp.asarray(self.task.train.y)
        unflatten, apply = self.network.layout.unflatten, self.network.apply
        return self.each(
            lambda row: self.task.loss.mean(apply(unflatten(row), x), y), theta
        ).astype(float)


def members(side: Side, count: int, rng: np.random.Generator) -> Members:
    """Draw networks of one side, without replacement, and read their parameters.

    Weighted draws are kept with probability proportional to their weight (rejection).

    Raises:
        IncomparableSources: they are of several models or tasks, or too many of them diverged.
    """
    setting = one_of_a_kind(side.chosen)
    table = side.addresses()
    lives = pc.not_equal(table["status"], DIVERGED).to_numpy(zero_copy_only=False)
    num_diverged = int((~lives).sum())
    if num_diverged > MOST_LEFT_OUT * len(table):
        raise IncomparableSources(
            f"{num_diverged:,} of {len(table):,} networks of {side.source} diverged: an estimate "
            "of the others would be of the survivors alone; choose runs with `given` or `where`"
        )
    log_weight = table["log_weight"].to_numpy()
    share = np.exp(log_weight - log_weight.max(initial=-np.inf))
    able = np.flatnonzero(lives & (rng.random(len(table)) < share))
    chosen = table.take(pa.array(rng.permutation(able)[:count]))
    task = load_task(setting.task, side.study.sweep.seed, side.study.sweep.folder)
    notes = []
    if len(chosen) < len(able):
        notes.append(f"{len(chosen):,} networks at random of {len(table):,}")
    if num_diverged:
        notes.append(f"{num_diverged:,} of {len(table):,} networks diverged: they are left out")
    units = units_of(chosen)
    return Members(
        build(setting.model, task.input_shape, task.loss.num_outputs()),
        task,
        _thetas(side, chosen),
        np.arange(len(chosen)) if units is None else units,
        len(table),
        tuple(notes),
    )


def one_of_a_kind(settings: list[Setting]) -> Setting:
    """Give the first of settings that have one model and one task.

    Raises:
        IncomparableSources: they have several, as where the other side lacks the axis.
    """
    kinds = {canonical_json([identity(one.model), identity(one.task)]) for one in settings}
    if len(kinds) > 1:
        raise IncomparableSources(
            f"{len(kinds)} models or tasks are pooled, whose networks have no common form: split "
            "them with `by`, or pick one with `at`"
        )
    return settings[0]


def _thetas(side: Side, chosen: pa.Table) -> Float[np.ndarray, "M P"]:
    """Read the final parameters of runs, in their order."""
    run_id = chosen["run_id"].to_numpy()
    rows: dict[int, np.ndarray] = {}
    for bucket in dict.fromkeys(chosen["bucket"].to_pylist()):
        where = pc.field("run_id").isin(run_id.tolist())
        ids, theta = side.study.results.final_params(side.source, bucket, where)
        rows |= dict(zip(ids.tolist(), theta, strict=True))
    return np.stack([rows[i] for i in run_id.tolist()]) if len(run_id) else np.zeros((0, 0))
