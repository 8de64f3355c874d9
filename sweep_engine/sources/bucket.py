"""Bucket: what every source's programs share — task, network, law, and how to observe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32

from sweep_engine import laws
from sweep_engine.keys import Purpose, run_key, sweep_key
from sweep_engine.lanes import STEADY, Options, Program, over_lanes
from sweep_engine.models import Network
from sweep_engine.observables import Observable, Outcome, pack
from sweep_engine.spec.base import traced_fields, with_traced
from sweep_engine.spec.laws import LawSpec, ModuleInit
from sweep_engine.spec.settings import Setting
from sweep_engine.spec.sweep import Execution
from sweep_engine.tasks import Task

Run = UInt32[Array, "2"]
Root = Key[Array, ""]

Hyper = dict[str, Any]
"""The traced values of a run by path; arrays of a block, or of all runs, on the host."""


class Data(NamedTuple):
    """Examples on the device: x (N, ...) and y (N,)."""

    x: Array
    y: Array


class ObservedInputs(NamedTuple):
    """What networks are observed on: all inputs, training first, and the second set's."""

    inputs: Array
    ood: Data | None


class TaskData:
    """A task's arrays on the device: all inputs and targets, training first.

    Inputs that are neither trained nor tested on come last, and have no targets.
    """

    def __init__(self, task: Task) -> None:
        self.num_train = len(task.train)
        self.num_labelled = self.num_train + (len(task.test) if task.test else 0)
        self.inputs = jnp.asarray(task.inputs)
        # Cut and joined on the host: what JAX does outside programs it compiles, piece by piece.
        self.train = Data(jnp.asarray(task.inputs[: self.num_train]), jnp.asarray(task.train.y))
        parts = [task.train] if task.test is None else [task.train, task.test]
        self.targets = jnp.asarray(np.concatenate([part.y for part in parts]))
        self.probe_inputs = jnp.asarray(task.probe_inputs)
        ood = None if task.ood is None else Data(jnp.asarray(task.ood.x), jnp.asarray(task.ood.y))
        self.observed = ObservedInputs(self.inputs, ood)


@dataclass(frozen=True)
class Bucket:
    """The single-run code that the runs of one static part share, and its programs.

    Attributes:
        setting: One of the bucket's settings; only its static part is used.
        task: The task.
        network: The model.
        observed: The observables.
        execution: Precision; lanes where they are set by hand.
        seed: The sweep's seed.
        lanes: K.
        knows_start: Whether it can be said where runs started, where they did start somewhere.
        held: Whether XLA holds runs that have ended at every step, and checks share nothing.
    """

    setting: Setting
    task: Task
    network: Network
    observed: list[Observable]
    execution: Execution
    seed: int
    lanes: int
    knows_start: bool = True
    held: bool = False

    @cached_property
    def root(self) -> Root:
        """The sweep's key."""
        return sweep_key(self.seed)

    @cached_property
    def data(self) -> TaskData:
        """The task on the device."""
        return TaskData(self.task)

    @property
    def needs_start(self) -> bool:
        """Say whether an observable asks where a run started, and that is known of these runs."""
        asked = any(observable.asks_start for observable in self.observed)
        return asked and self.setting.spec.has_start and self.knows_start

    @property
    def has_own_targets(self) -> bool:
        """Whether every run has targets of its own."""
        return self.setting.spec.has_own_targets

    def program(
        self,
        function: Callable[..., Any],
        *,
        options: Options | None = None,
        donates: bool = False,
    ) -> Program:
        """Make a program of this bucket's precision; see `lanes`."""
        precision = self.execution.precision
        return Program(function, precision=precision, options=options, donates=donates)

    def hyper(self, settings: Sequence[Setting]) -> Hyper:
        """Collect the traced values of each run's setting, one array per field."""
        # Lanes share few settings, and to look through a specification takes long.
        distinct = {setting.id: setting for setting in settings}
        values = {name: dict(traced_fields(one.spec)) for name, one in distinct.items()}
        rows = [values[setting.id] for setting in settings]
        return {
            path: np.array(
                [row[path] for row in rows], np.int32 if isinstance(first, int) else np.float32
            )
            for path, first in rows[0].items()
        }

    def curvature_limits(self, hyper: Hyper) -> Float[np.ndarray, " R"] | None:
        """Compute the curvature at which each run's optimiser is stable; None without a limit."""
        limits = with_traced(self.setting.spec, hyper).curvature_limit
        return None if limits is None else np.asarray(limits, np.float32)

    @cached_property
    def draw(self) -> Program:
        """(runs, hyper, root) -> theta of each lane's draw from the law."""
        return self.program(over_lanes(self.draw_one, (0, 0, None)))

    def draw_one(self, run: Run, hyper: Hyper, root: Root) -> Float[Array, " P"]:
        """Draw theta of one run from its law."""
        law = with_traced(self.setting.spec, hyper).start_law
        if law is None:
            raise ValueError("these runs start from stored networks, not from a law")
        return draw_params(law, self.network, root, run)

    def draw_example(self) -> tuple[Any, ...]:
        """Arguments of `draw`, of the shapes of real ones."""
        words = np.zeros((self.lanes, 2), np.uint32)
        return words, self.hyper([self.setting] * self.lanes), self.root

    @cached_property
    def observe(self) -> Program:
        """(theta, start, limit, observed, targets) -> a value a column, and the packed function."""
        axes = (0, 0, 0, None, 0 if self.has_own_targets else None)
        return self.program(over_lanes(self._observe_one, axes), options=STEADY)

    def observe_example(self) -> tuple[Any, ...]:
        """Arguments of `observe`, of the shapes of real ones."""
        theta = np.zeros((self.lanes, self.network.layout.num_params), np.float32)
        start = theta if self.needs_start else theta[:, :0]
        limit = theta[:, 0] if self._has_limit else theta[:, :0]
        shared = self.data.targets
        own = (self.lanes, *shared.shape)
        targets = np.zeros(own, shared.dtype) if self.has_own_targets else shared
        return theta, start, limit, self.data.observed, targets

    @property
    def _has_limit(self) -> bool:
        return self.setting.spec.curvature_limit is not None

    def _observe_one(
        self,
        theta: Float[Array, " P"],
        start: Float[Array, " S"],
        limit: Array,
        observed: ObservedInputs,
        targets: Array,
    ) -> dict[str, Array]:
        loss, num_train, inputs = self.task.loss, self.data.num_train, observed.inputs
        has_test, tested = self.task.test is not None, slice(num_train, self.data.num_labelled)
        # A run with labels of its own has none for the second set.
        second = None if self.has_own_targets else observed.ood
        params = self.network.layout.unflatten(theta)
        outputs = self.network.apply(params, inputs)
        outcome = Outcome(
            theta=theta,
            params=params,
            start=start if self.needs_start else None,
            network=self.network,
            train_inputs=inputs[:num_train],
            train_outputs=outputs[:num_train],
            train_targets=targets[:num_train],
            test_inputs=inputs[tested] if has_test else None,
            test_outputs=outputs[tested] if has_test else None,
            test_targets=targets[tested] if has_test else None,
            loss=loss,
            curvature_limit=limit if self._has_limit else None,
            ood_inputs=None if second is None else second.x,
            ood_targets=None if second is None else second.y,
        )
        probed = pack(self.task.label_rule, outputs[self.data.probe_inputs])
        found = {"function": probed} | _losses(outcome)
        for observable in self.observed:
            if observable.compute and (self.needs_start or "start" not in observable.needs):
                found |= observable.compute(outcome)
        return found


def params_key(law: LawSpec, root: Root, run: Run) -> Key[Array, ""]:
    """Make the key that theta of one run is drawn from."""
    return run_key(root, run, Purpose.PARAMS, shared=law.shared)


def draw_params(law: LawSpec, network: Network, root: Root, run: Run) -> Float[Array, " P"]:
    """Draw theta of one run from a law."""
    key = params_key(law, root, run)
    if isinstance(law, ModuleInit):
        return network.layout.flatten(network.init(key)) * law.scale
    return laws.sample(law, network.layout, key)


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
