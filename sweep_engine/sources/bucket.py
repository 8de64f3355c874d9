"""Bucket programs: everything compiled for the runs that share a static part."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from sweep_engine.keys import sweep_key
from sweep_engine.lanes import Program, choose_lanes, over_lanes
from sweep_engine.models import Network, build
from sweep_engine.observables import Observable, Outcome, observables, pack
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.acceptance import accepts, check_rule
from sweep_engine.sources.training import Data, Hyper, State, Training, draw_params
from sweep_engine.spec.base import traced_fields, with_traced
from sweep_engine.spec.settings import Setting
from sweep_engine.spec.sources import GuessAndCheck, SourceSpec, Train, law_of
from sweep_engine.spec.sweep import Execution
from sweep_engine.tasks import Task, load_task

Run = UInt32[Array, "2"]
Root = Key[Array, ""]

START, KEEP, IDLE = 0, 1, 2
"""What a lane is told at the start of a segment."""


class TaskData:
    """A task's arrays on the device: all inputs, and which of them are what."""

    def __init__(self, task: Task) -> None:
        self.num_train = len(task.train)
        self.inputs = jnp.asarray(task.inputs)
        self.train = Data(self.inputs[: self.num_train], jnp.asarray(task.train.y))
        self.test_targets = None if task.test is None else jnp.asarray(task.test.y)
        self.reference = jnp.asarray(task.reference)


@dataclass(frozen=True)
class Bucket:
    """The single-run code of one bucket, and its compiled programs.

    Attributes:
        setting: One of the bucket's settings; only its static part is used.
        task: The task.
        network: The model.
        observed: The observables.
        execution: Precision; lanes where they are set by hand.
        seed: The sweep's seed.
        lanes: K.
    """

    setting: Setting
    task: Task
    network: Network
    observed: list[Observable]
    execution: Execution
    seed: int
    lanes: int

    def prepare(self) -> "Bucket":
        """Make everything that is made once, compiling nothing, before threads share it."""
        once = ["root", "data", "observe"]
        trained = isinstance(self.setting.spec, Train)
        for name in [*once, *(["empty_state", "advance"] if trained else ["draw", "scan"])]:
            getattr(self, name)
        return self

    @cached_property
    def root(self) -> Root:
        """The sweep's key."""
        return sweep_key(self.seed)

    @cached_property
    def data(self) -> TaskData:
        """The task on the device."""
        return TaskData(self.task)

    @cached_property
    def training(self) -> Training:
        """The training code of a `train` source."""
        assert isinstance(self.setting.spec, Train)
        return Training(
            spec=self.setting.spec,
            accept=self.setting.accept,
            network=self.network,
            loss=self.task.loss,
            num_examples=len(self.task.train),
        )

    def hyper(self, settings: Sequence[Setting]) -> Hyper:
        """Collect the traced values of each run's setting, one array per field."""
        rows = [dict(traced_fields(setting.spec)) for setting in settings]
        return {
            path: np.array(
                [row[path] for row in rows], np.int32 if isinstance(first, int) else np.float32
            )
            for path, first in rows[0].items()
        }

    @cached_property
    def empty_state(self) -> State:
        """A block of states before any run has started."""
        runs, hyper = self._example()
        shapes = jax.eval_shape(
            over_lanes(self.training.start, (None, 0, 0)), self.root, runs, hyper
        )
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

    def _example(self) -> tuple[np.ndarray, Hyper]:
        return np.zeros((self.lanes, 2), np.uint32), self.hyper([self.setting] * self.lanes)

    @cached_property
    def advance(self) -> Program:
        """(states, orders, runs, hyper, root, data, limits) -> states, over a segment.

        `limits` is (steps at most, lanes at least): the segment also ends, at a multiple of
        the alignment, when so few lanes are still running that others could start.
        """
        start = over_lanes(self.training.start, (None, 0, 0))
        advance = over_lanes(self.training.advance, (0, None, 0, 0, None))
        alignment = self.training.alignment

        def segment(
            states: State,
            orders: Int[Array, " K"],
            runs: UInt32[Array, "K 2"],
            hyper: Hyper,
            root: Root,
            data: Data,
            limits: Int[Array, "2"],
        ) -> State:
            fresh = start(root, runs, hyper)
            states = jax.tree.map(lambda a, b: _where(orders == START, a, b), fresh, states)
            idle = _where(orders == IDLE, jnp.int32(RunStatus.MAX_STEPS), states.status)
            states = states._replace(status=idle)

            def goes_on(carry: tuple[Array, State]) -> Array:
                i, states = carry
                running = jnp.sum(states.status == RunStatus.RUNNING)
                enough = (i % alignment != 0) | (running > limits[1])
                return (i < limits[0]) & (running > 0) & enough

            def body(carry: tuple[Array, State]) -> tuple[Array, State]:
                i, states = carry
                return i + 1, advance(states, root, runs, hyper, data)

            done: State = jax.lax.while_loop(goes_on, body, (jnp.int32(0), states))[1]
            return done

        return Program(segment, precision=self.execution.precision)

    @cached_property
    def draw(self) -> Program:
        """(runs, hyper, root) -> theta of each lane's draw."""
        return Program(over_lanes(self._draw, (0, 0, None)), precision=self.execution.precision)

    def _draw(self, run: Run, hyper: Hyper, root: Root) -> Float[Array, " P"]:
        law = law_of(with_traced(self.setting.spec, hyper))
        return draw_params(law, self.network, root, run)

    @property
    def identifies_all(self) -> bool:
        """Whether every draw's function is found; rejection finds that of the fits only."""
        return not isinstance(self.setting.spec, GuessAndCheck)

    @property
    def scan_inputs(self) -> Array:
        """The inputs that the counting pass evaluates, training inputs first."""
        return self.data.inputs if self.identifies_all else self.data.train.x

    @cached_property
    def scan(self) -> Program:
        """(runs (M, K, 2), hyper, root, inputs) -> (packed functions, fit), block by block."""
        one = over_lanes(self._scan_one, (0, 0, None, None))

        def scan(
            runs: UInt32[Array, "M K 2"], hyper: Hyper, root: Root, inputs: Array
        ) -> tuple[Array, Array]:
            result: tuple[Array, Array] = jax.lax.map(
                lambda block: one(block[0], block[1], root, inputs), (runs, hyper)
            )
            return result

        return Program(scan, precision=self.execution.precision)

    def _scan_one(
        self, run: Run, hyper: Hyper, root: Root, inputs: Array
    ) -> tuple[Array, Bool[Array, ""]]:
        params = self.network.layout.unflatten(self._draw(run, hyper, root))
        outputs = self.network.apply(params, inputs)
        loss, num_train = self.task.loss, self.data.num_train
        fit = accepts(self.setting.accept, loss, outputs[:num_train], self.data.train.y)
        if not self.identifies_all:
            return jnp.zeros(0, jnp.uint8), fit
        return pack(loss, outputs[self.data.reference]), fit

    @cached_property
    def observe(self) -> Program:
        """(theta, runs, hyper, root, inputs) -> a value per column and the packed function."""
        return Program(
            over_lanes(self._observe_one, (0, 0, 0, None, None)),
            precision=self.execution.precision,
        )

    def _observe_one(
        self, theta: Float[Array, " P"], run: Run, hyper: Hyper, root: Root, inputs: Array
    ) -> dict[str, Array]:
        loss, num_train = self.task.loss, self.data.num_train
        params = self.network.layout.unflatten(theta)
        outputs = self.network.apply(params, inputs)
        trained = isinstance(self.setting.spec, Train)
        outcome = Outcome(
            theta=theta,
            params=params,
            start=self._draw(run, hyper, root) if trained else None,
            train_outputs=outputs[:num_train],
            train_targets=self.data.train.y,
            test_outputs=outputs[num_train:] if self.task.test else None,
            test_targets=self.data.test_targets,
            loss=loss,
            layout=self.network.layout,
        )
        found = {"function": pack(loss, outputs[self.data.reference])} | _losses(outcome)
        for observable in self.observed:
            if observable.compute and (trained or "start" not in observable.needs):
                found |= observable.compute(outcome)
        return found


def _losses(outcome: Outcome) -> dict[str, Array]:
    loss = outcome.loss
    found = {
        "train_loss": loss.mean(outcome.train_outputs, outcome.train_targets),
        "train_error": loss.error(outcome.train_outputs, outcome.train_targets),
    }
    if outcome.test_outputs is not None and outcome.test_targets is not None:
        found["test_loss"] = loss.mean(outcome.test_outputs, outcome.test_targets)
        found["test_error"] = loss.error(outcome.test_outputs, outcome.test_targets)
    return found


def _where(condition: Bool[Array, " K"], yes: Array, no: Array) -> Array:
    return jnp.where(condition.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def open_bucket(
    setting: Setting, seed: int, folder: Path, names: tuple[Any, ...], execution: Execution
) -> Bucket:
    """Load the task and bind the model of a bucket.

    Raises:
        ValueError: task, model, observables and acceptance rule do not fit one another.
    """
    task = load_task(setting.task, seed, folder)
    network = build(setting.model, task.input_shape, task.loss.num_outputs())
    observed = observables(names)
    for observable in observed:
        if problem := observable.problem(task, setting.model.kind):
            raise ValueError(f"observable {observable.columns[0].name}: {problem}")
    check_rule(setting.accept, task.loss)
    _check_minibatch(setting.spec, len(task.train))
    lanes = execution.lanes or _lanes(setting, task, network)
    return Bucket(setting, task, network, observed, execution, seed, lanes).prepare()


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
    return choose_lanes(jax.default_backend(), network.layout.num_params, examples * outputs)
