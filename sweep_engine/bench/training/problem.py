"""Problem: one workload at one number of networks, the same for every contender."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float32, Int32

from sweep_engine.keys import Purpose, permutation, run_key
from sweep_engine.models import Network
from sweep_engine.sources import open_source
from sweep_engine.sources.bucket import Bucket
from sweep_engine.sources.drawn import draw_rows
from sweep_engine.sources.train.programs import TrainPrograms
from sweep_engine.sources.work import Runs
from sweep_engine.spec import Piece, Setting, Sweep, settings
from sweep_engine.spec.sources import Train
from sweep_engine.spec.sources.optimizers import Adam, Sgd

RATES = (0.02, 0.03, 0.05, 0.08)
"""Learning rates of the networks, in turn: a contender must have one for each."""

MOMENTUM = 0.9
ADAM_SCALE = 0.02
"""Adam's rates, over those of SGD."""


@dataclass(frozen=True)
class Workload:
    """What is trained: by SGD with momentum or by Adam, with a learning rate a network.

    Attributes:
        name: For people.
        task: As in a sweep.
        model: As in a sweep.
        module: The same in plain flax.
        minibatch: Examples of a step; None for all.
        steps: Steps of the engine's runs at least. Shorter ones than anybody makes would time
            its drawing, its checks on all examples and its observables.
        flops: Of the matrix products of one network-step: forward, and twice that backward but
            for the inputs' gradient.
        optimizer: `sgd` or `adam`.
    """

    name: str
    task: Any
    model: Any
    module: nn.Module
    minibatch: int | None
    steps: int
    flops: float
    optimizer: str = "sgd"

    def problem(self, networks: int) -> "Problem":
        """Make the problem of training so many networks."""
        scale = ADAM_SCALE if self.optimizer == "adam" else 1.0
        rates = [scale * rate for rate in RATES[: min(networks, len(RATES))]]
        if networks % len(rates):
            raise ValueError(f"networks must be 1 or a multiple of {len(RATES)}, got {networks}")
        source = {
            "kind": "train",
            "init": {"kind": "lecun_normal"},
            "optimizer": {"kind": self.optimizer}
            | ({"momentum": MOMENTUM} if self.optimizer == "sgd" else {}),
            "batch_size": self.minibatch or "full",
            "stop": {"fit": False, "check_every": 1000},
            "runs": networks // len(rates),
        }
        sweep = Sweep.model_validate(
            {
                "name": "bench-training",
                "task": self.task,
                "model": self.model,
                "sources": {"sgd": source},
                "axes": {"sources.sgd.optimizer.learning_rate": rates},
            }
        )
        found = settings(sweep)
        programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
        assert isinstance(programs, TrainPrograms)
        return Problem(self, networks, tuple(found), programs)


@dataclass(frozen=True)
class Problem:
    """A workload at a number of networks: data, initial parameters, rates, order of examples."""

    workload: Workload
    networks: int
    settings: tuple[Setting, ...]
    programs: TrainPrograms

    @cached_property
    def by_kernel(self) -> TrainPrograms:
        """The programs of the CPU kernel."""
        return self.programs.by("cpu")

    @property
    def bucket(self) -> Bucket:
        return self.programs.bucket

    @property
    def network(self) -> Network:
        return self.bucket.network

    @cached_property
    def x(self) -> Float32[np.ndarray, "N ..."]:
        """Training inputs."""
        return np.asarray(self.bucket.data.train.x, np.float32)

    @cached_property
    def y(self) -> Int32[np.ndarray, " N"]:
        """Training labels."""
        return np.asarray(self.bucket.data.train.y, np.int32)

    def pieces(self, steps: int) -> list[Piece]:
        """All runs, to be trained for so many steps."""
        return [Piece(_stopped(s, steps), 0, self.networks // len(self.settings))
                for s in self.settings]  # fmt: skip

    @cached_property
    def _runs(self) -> Runs:
        return Runs.of(self.bucket, self.pieces(1))

    @cached_property
    def theta(self) -> Float32[np.ndarray, "R P"]:
        """Initial parameters: those that the engine draws."""
        return draw_rows(self.bucket, self._runs)

    @cached_property
    def rates(self) -> Float32[np.ndarray, " R"]:
        """Learning rates."""
        specs = [setting.spec for setting in self.settings]
        each = [s.optimizer.learning_rate for s in specs
                if isinstance(s, Train) and isinstance(s.optimizer, Adam | Sgd)]  # fmt: skip
        return np.repeat(np.array(each, np.float32), self.networks // len(each))

    def minibatches(self, steps: int) -> Int32[np.ndarray, "R T B"] | None:
        """Which examples each network meets in each step: those that the engine draws."""
        size = self.workload.minibatch
        if size is None:
            return None
        per_epoch = len(self.x) // size
        epochs = -(-steps // per_epoch)

        def one(run: jax.Array, epoch: jax.Array) -> jax.Array:
            key = run_key(self.bucket.root, run, Purpose.MINIBATCH)
            return permutation(jax.random.fold_in(key, epoch), len(self.x))[: per_epoch * size]

        every_run = jax.jit(jax.vmap(one, in_axes=(0, None)))
        orders = [np.asarray(every_run(self._runs.words, np.int32(e))) for e in range(epochs)]
        return np.concatenate(orders, axis=1).reshape(self.networks, -1, size)[:, :steps]


def _stopped(setting: Setting, steps: int) -> Setting:
    """The setting, but for the number of steps: a traced value, so the program is the same."""
    spec = setting.spec
    assert isinstance(spec, Train)
    stop = spec.stop.model_copy(update={"max_steps": steps})
    return replace(setting, spec=spec.model_copy(update={"stop": stop}))
