"""`train` by a kernel: which runs one can train, and a block of lanes that it advances.

Runs start from the same parameters as by XLA and meet the same minibatches: both are drawn
by XLA, from the same keys. What differs is the order in which sums are rounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from sweep_engine.kernels.fused_training import case as kernels
from sweep_engine.kernels.fused_training.case import Case, Checks, Limits, Segment
from sweep_engine.kernels.fused_training.implementations import TRAIN, obstacle
from sweep_engine.keys import Purpose, run_key
from sweep_engine.lanes import over_lanes
from sweep_engine.sources.bucket import Bucket, Data, Hyper, Root
from sweep_engine.sources.network_case import case_fields, unknown_parts
from sweep_engine.sources.stepped.single_run import RunState, record_checks
from sweep_engine.sources.train.single_run import Carried, Training
from sweep_engine.spec.models import ModelKind
from sweep_engine.spec.sources.optimizers import Adam, Constant, GradientOptimizer, Sgd
from sweep_engine.spec.starts import FromSource

CALL_TURNS = 128
"""A call of the kernel is about so many turns: minibatches are drawn for as many ahead."""


def obstacles(training: Training, bucket: Bucket, implementation: str) -> list[str]:
    """List what a kernel does not know of some runs; empty where it can train them."""
    found = list(_obstacles(training, bucket.setting.model))
    if bucket.execution.precision != "exact":
        found.append(f"precision {bucket.execution.precision}")
    if not found and (wide := obstacle(case_of(training), implementation)):
        found.append(wide)
    return found


def _obstacles(training: Training, model: ModelKind) -> Iterator[str]:
    spec, accept = training.spec, training.accept
    optimizer = spec.optimizer
    if not isinstance(optimizer, Sgd | Adam):
        yield f"the optimiser {optimizer.title}"
    elif not isinstance(optimizer.schedule, Constant):
        yield f"the schedule {optimizer.schedule.kind}"
    if isinstance(optimizer, GradientOptimizer) and optimizer.clip_norm is not None:
        yield "clip_norm"
    if spec.own_columns:
        yield "of_edge"
    yield from unknown_parts(training.network, training.loss, model)
    if accept.rules not in {("train_error",), ("train_loss",)}:
        yield f"the acceptance rule {' and '.join(accept.rules)}"
    if spec.label_noise:
        yield "label_noise"
    if spec.stop.extra_steps:
        yield "extra_steps"
    if spec.average:
        yield "average"
    if spec.stop.snapshots:
        yield "snapshots"
    if spec.record:
        yield "recording on the way"
    if isinstance(spec.init, FromSource) and spec.init.mask is not None:
        yield "pruning masks"


def case_of(training: Training) -> Case:
    """Say what a kernel needs to know of runs that it can train."""
    optimizer = training.spec.optimizer
    assert isinstance(optimizer, Sgd | Adam)
    rule = "nesterov" if isinstance(optimizer, Sgd) and optimizer.nesterov else "sgd"
    return Case(
        **case_fields(training.network, training.loss),
        optimizer="adam" if isinstance(optimizer, Adam) else rule,  # type: ignore[arg-type]  # a str
        num_examples=training.num_examples,
        minibatch=None if training.spec.batch_size == "full" else training.minibatch,
    )


@dataclass(frozen=True)
class KernelBlock:
    """A block of lanes that a kernel advances; see `stepped.block.LaneBlock`.

    A network is trained by one thread, turn after turn, so that lanes that have ended cost
    nothing. The optimiser's state is the kernel's moments; there is no order to carry.

    Attributes:
        training: The code of one run, for its start and the order of its examples.
        implementation: The kernel.
        num_starts: See `LaneBlock`.
    """

    training: Training
    implementation: str
    num_starts: int = 1
    waits: bool = False

    @property
    def case(self) -> Case:
        """What is fixed when the kernel is built."""
        return case_of(self.training)

    @property
    def alignment(self) -> int:
        """A call begins where runs begin an epoch."""
        return self.training.steps_per_epoch if self.training.has_order else 1

    @property
    def call_turns(self) -> int:
        """Turns of a call at most: whole epochs."""
        return self.alignment * max(1, CALL_TURNS // self.alignment)

    @property
    def checks(self) -> Checks:
        """When the rule is checked, and which it is."""
        by_error = self.training.accept.train_error is not None
        rule = "train_error" if by_error else "train_loss"
        stops = self.training.spec.stop.fit
        # One of two names, which mypy sees as a str.
        return Checks(self.training.check_every, rule, stops)  # type: ignore[arg-type]

    def start(self, root: Root, runs: UInt32[Array, "K 2"], hyper: Hyper) -> RunState:
        """Initialise the lanes' runs."""

        def some(some_runs: tuple[Array, Hyper]) -> RunState:
            started: RunState = over_lanes(self.training.start, (None, 0, 0))(root, *some_runs)
            return started

        if self.num_starts == 1:
            started = some((runs, hyper))
        else:
            apart = (self.num_starts, len(runs) // self.num_starts)
            parts = jax.tree.map(lambda a: a.reshape(*apart, *a.shape[1:]), (runs, hyper))
            started = jax.tree.map(
                lambda a: a.reshape(len(runs), *a.shape[2:]), jax.lax.map(some, parts)
            )
        moments = jnp.zeros((len(runs), self.case.num_moments * self.case.num_params))
        no_order = jnp.zeros((len(runs), 0), jnp.int32)
        return started._replace(carried=Carried(moments, no_order))

    def advance(
        self,
        states: RunState,
        root: Root,
        runs: UInt32[Array, "K 2"],
        hyper: Hyper,
        data: Data,
        most: Int[Array, ""],
    ) -> tuple[Int[Array, ""], RunState]:
        """Advance all lanes by some turns, which it tells, and at most so many."""
        layout = self.training.network.layout
        turns = jnp.minimum(most, self.call_turns)
        indices = self._indices(states.step, root, runs)
        before = kernels.KernelState(
            theta=over_lanes(layout.flatten)(states.params),
            moments=states.carried.optimizer,
            step=states.step,
            status=states.status,
            fit_step=states.fit_step,
            fit=states.fit.astype(jnp.int32),
            loss=states.loss,
            error=states.error,
        )
        after, records = TRAIN[self.implementation](
            self.case,
            self.checks,
            before,
            self._hyper(hyper),
            self._limits(hyper, len(runs)),
            kernels.Data(data.x.reshape(len(data.x), -1), data.y),
            Segment(jnp.full(len(runs), turns, jnp.int32), indices),
            num_records=-(-self.call_turns // self.checks.every),
        )
        return turns, states._replace(
            params=over_lanes(layout.unflatten)(after.theta),
            carried=states.carried._replace(optimizer=after.moments),
            step=after.step,
            status=after.status,
            fit_step=after.fit_step,
            fit=after.fit.astype(bool),
            loss=after.loss,
            error=after.error,
            curve=self._curve(states, records),
        )

    def _hyper(self, hyper: Hyper) -> kernels.Sgd | kernels.Adam:
        fields = (kernels.Adam if self.case.optimizer == "adam" else kernels.Sgd)._fields
        values = {name: hyper[f"optimizer.{name}"] for name in fields}
        return kernels.Adam(**values) if "b1" in values else kernels.Sgd(**values)

    def _limits(self, hyper: Hyper, lanes: int) -> Limits:
        accept = self.training.accept
        allowed = accept.train_loss if accept.train_error is None else accept.train_error
        assert allowed is not None
        none = jnp.full(lanes, -jnp.inf)
        return Limits(
            max_steps=hyper["stop.max_steps"],
            fit=jnp.full(lanes, allowed, jnp.float32),
            loss=hyper.get("stop.train_loss", none),
        )

    def _indices(
        self, steps: Int[Array, " K"], root: Root, runs: UInt32[Array, "K 2"]
    ) -> Int[Array, "K T B"]:
        """The examples of the next turns' minibatches, by the keys that XLA would use."""
        if self.case.minibatch is None:
            return jnp.zeros((len(runs), 0, 0), jnp.int32)

        def of_run(step: Int[Array, ""], run: UInt32[Array, "2"]) -> Int[Array, "T B"]:
            key = run_key(root, run, Purpose.MINIBATCH)
            if not self.training.has_order:
                draw = jax.vmap(self.training.draw_examples, in_axes=(None, 0))
                return draw(key, step + jnp.arange(self.call_turns))
            epoch = step // self.alignment + jnp.arange(self.call_turns // self.alignment)
            orders = jax.vmap(self.training.draw_order, in_axes=(None, 0))(key, epoch)
            return orders.reshape(self.call_turns, -1)

        return over_lanes(of_run)(steps, runs)

    def _curve(self, before: RunState, records: Float[Array, "K T 2"]) -> Float[Array, "K S 2"]:
        """The training curves with the checks that this call made."""
        first = -(-before.step // self.checks.every)
        place = jnp.asarray(record_checks()) - first[:, None]
        inside = (place >= 0) & (place < records.shape[1])
        kept = jnp.clip(place, 0, records.shape[1] - 1)[..., None]
        found = jnp.take_along_axis(records, kept, axis=1)
        made = inside & ~jnp.isnan(found[..., 0])
        return jnp.where(made[..., None], found, before.curve)
