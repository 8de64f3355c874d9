"""The programs of a `splitting` source: a population in blocks of lanes, one level at a time."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from sweep_engine.kernels.splitting_move import MOVE, build
from sweep_engine.keys import Purpose, run_key
from sweep_engine.lanes import Program, over_lanes
from sweep_engine.models import Network
from sweep_engine.sources.bucket import Data, Hyper, Root, Run
from sweep_engine.sources.lane_widths import usual_lanes
from sweep_engine.sources.programs import XLA, Example, KernelPrograms, Timed
from sweep_engine.sources.splitting.functions import (
    check_discrete,
    function_data,
    read_functions,
)
from sweep_engine.sources.splitting.kernel import KernelMove, obstacles
from sweep_engine.sources.splitting.particle import FULL_TURN, Climber, Particle
from sweep_engine.sources.splitting.population import Selection, select
from sweep_engine.spec.laws import ModuleInit
from sweep_engine.spec.settings import Setting
from sweep_engine.spec.sources import Splitting
from sweep_engine.tasks import Task

TARGET_ACCEPTANCE = 0.6
"""Share of moves that should find an angle."""

MIN_WIDTH = 1e-6


class Unit(NamedTuple):
    """What one repetition's programs are called with, beside the population.

    Attributes:
        run: The id of its first run, as words: it alone addresses the randomness.
        hyper: Its traced values, one number each.
        data: What it climbs to.
    """

    run: Run
    hyper: Hyper
    data: Data


class Moved(NamedTuple):
    """How sweeps of moves went.

    Attributes:
        width: The bracket of the next sweep, in radians.
        accepted: Moves that found an angle.
    """

    width: Float[Array, ""]
    accepted: Int[Array, ""]

    @classmethod
    def first(cls) -> "Moved":
        """Before any move: the bracket is a full turn."""
        return cls(jnp.float32(FULL_TURN), jnp.int32(0))

    def counted(self) -> tuple[int, "Moved"]:
        """Give the moves that found an angle, and count anew."""
        return int(self.accepted), Moved(self.width, jnp.int32(0))


class Ended(NamedTuple):
    """A population as rows: blocks of lanes, the last ones padding."""

    theta: Float[Array, "B K P"]
    fit: Bool[Array, "B K"]
    distance: Float[Array, "B K"]


@dataclass(frozen=True)
class SplittingPrograms(KernelPrograms):
    """The single-particle code of a `splitting` source, mapped over blocks and compiled."""

    @classmethod
    def choose_lanes(cls, setting: Setting, task: Task, network: Network) -> int:
        return usual_lanes(network, len(task.inputs), trains=True)

    @classmethod
    def busy_lanes(cls, setting: Setting, runs: int) -> int:
        """Count the particles of one population: repetitions come one after the other."""
        assert isinstance(setting.spec, Splitting)
        return setting.spec.particles

    @classmethod
    def kernels(cls) -> tuple[str, ...]:
        return tuple(name for name in MOVE if name != "plain")

    def obstacles(self, implementation: str) -> list[str]:
        return list(obstacles(self.bucket, self.climber))

    @property
    def kernel(self) -> KernelMove:
        """Give the moves by a kernel."""
        bucket, task = self.bucket, self.bucket.task
        inputs = task.train if self.spec.functions is None else task.probe_inputs
        return KernelMove(
            self.climber, bucket.network.input_shape, len(inputs), self.implementation
        )

    @property
    def likeness(self) -> Hashable:
        return self.kernel.case, self.kernel.rule, self.bucket.lanes

    def build(self) -> None:
        build(self.kernel.case)

    def flops(self, setting: Setting) -> float:
        return setting.spec.work_per_run * self.kernel.case.flops

    def prepare(self) -> None:
        if isinstance(self.spec.law, ModuleInit):
            raise ValueError(
                "splitting: the law `module` cannot be moved, since only the module can draw from "
                "it; give one of the others, such as fan_in or lecun_normal"
            )
        if self.spec.climb == "error" and self.bucket.setting.accept.rules != ("train_error",):
            raise ValueError("splitting: climb: error is for accept.train_error alone")
        _ = self.bucket.root, self.bucket.data, self.bucket.observe, self.functions
        _ = self.start, self.select, self.move, self.end

    @property
    def spec(self) -> Splitting:
        """The source, of whose traced fields each unit has its own."""
        spec = self.bucket.setting.spec
        assert isinstance(spec, Splitting)
        return spec

    @cached_property
    def climber(self) -> Climber:
        """The code of one particle."""
        bucket = self.bucket
        return Climber(self.spec, bucket.setting.accept, bucket.network, bucket.task.loss)

    @cached_property
    def functions(self) -> Int[np.ndarray, "num_functions F"] | None:
        """The functions given in the sweep file; None where units climb to fitting."""
        given = self.spec.functions
        if given is not None:
            check_discrete(self.bucket.task)
        return read_functions(given, self.bucket.task) if isinstance(given, tuple) else None

    @property
    def num_blocks(self) -> int:
        """B, the blocks of lanes that hold a population."""
        return -(-self.spec.particles // self.bucket.lanes)

    @property
    def _indices(self) -> Int[np.ndarray, "B K"]:
        """The particles' indices by block and lane; those from `particles` on are padding."""
        count = self.num_blocks * self.bucket.lanes
        return np.arange(count, dtype=np.int32).reshape(self.num_blocks, self.bucket.lanes)

    @cached_property
    def start(self) -> Program:
        """(unit, root) -> the unit's key, the first population."""
        draw = over_lanes(self.climber.start, (0, 0, None, None))

        def start(unit: Unit, root: Root) -> tuple[Key[Array, ""], Particle]:
            key = run_key(root, unit.run, Purpose.SPLITTING, shared=self.spec.law.shared)
            first = _sweep_key(key, 0, 0)
            population: Particle = jax.lax.map(
                lambda index: draw(_fold_lanes(first, index), index, unit.hyper, unit.data),
                jnp.asarray(self._indices),
            )
            return key, population

        return self.bucket.program(start)

    @cached_property
    def select(self) -> Program:
        """(population, the unit's key, the level's number) -> (population, selection)."""

        def selected(
            population: Particle, key: Key[Array, ""], level: Int[Array, ""]
        ) -> tuple[Particle, Selection]:
            levels = population.level.reshape(-1)[: self.spec.particles]
            selection = select(levels, self.spec.survivors, _sweep_key(key, level, 0))
            padding = self._indices.reshape(-1)[self.spec.particles :]
            parent = jnp.concatenate([selection.parent, jnp.asarray(padding)])
            return jax.tree.map(lambda leaf: _gather(leaf, parent), population), selection

        return self.bucket.program(selected)

    @cached_property
    def move(self) -> Program:
        """(population, moved, threshold, unit, its key, (level, first, stop)) -> the same, moved.

        Sweeps first .. stop - 1 of a level, each over all particles; after each the width
        follows the share of the moves that found an angle, never one particle's state.
        """
        is_real = self._indices < self.spec.particles
        move_all = self._move_by_xla if self.implementation == XLA else self._move_by_kernel

        def moved(
            population: Particle,
            moved: Moved,
            threshold: Float[Array, ""],
            unit: Unit,
            key: Key[Array, ""],
            address: Int[Array, "3"],
        ) -> tuple[Particle, Moved]:
            def sweep(i: Array, carry: tuple[Particle, Moved]) -> tuple[Particle, Moved]:
                population, moved = carry
                sweep_key = _sweep_key(key, address[0], i + 1)
                population, accepted = move_all(population, sweep_key, threshold, moved.width, unit)
                count = jnp.sum(accepted & is_real)
                width = self._adapted(moved.width, count)
                return population, Moved(width, moved.accepted + count)

            done: tuple[Particle, Moved] = jax.lax.fori_loop(
                address[1], address[2], sweep, (population, moved)
            )
            return done

        return self.bucket.program(moved)

    def _move_by_xla(
        self,
        population: Particle,
        key: Key[Array, ""],
        threshold: Float[Array, ""],
        width: Float[Array, ""],
        unit: Unit,
    ) -> tuple[Particle, Bool[Array, "B K"]]:
        """Move every particle once, block by block, and say which found an angle."""
        one = over_lanes(self.climber.move, (0, 0, None, None, None, None))

        def block(item: tuple[Particle, Array]) -> tuple[Particle, Array]:
            particles, index = item
            keys = _fold_lanes(key, index)
            found: tuple[Particle, Array] = one(
                particles, keys, threshold, width, unit.hyper, unit.data
            )
            return found

        moved: tuple[Particle, Array] = jax.lax.map(block, (population, self._indices))
        return moved

    def _move_by_kernel(
        self,
        population: Particle,
        key: Key[Array, ""],
        threshold: Float[Array, ""],
        width: Float[Array, ""],
        unit: Unit,
    ) -> tuple[Particle, Bool[Array, "B K"]]:
        """Do the same, all blocks in one call."""
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), population)
        keys = _fold_lanes(key, jnp.asarray(self._indices.reshape(-1)))
        moved = self.kernel.move(flat, keys, threshold, width, unit.hyper, unit.data)
        normals, level, found = (
            leaf.reshape(*self._indices.shape, *leaf.shape[1:]) for leaf in moved
        )
        return population._replace(normals=normals, level=level), found

    def _adapted(self, width: Float[Array, ""], accepted: Int[Array, ""]) -> Float[Array, ""]:
        """Widen the bracket where more moves than wanted found an angle, else narrow it.

        Source:
            Beskos, Jasra, Kantas & Thiery (2016), Annals of Applied Probability 26(2), for
            adapting to the population.
        """
        share = accepted / self.spec.particles
        return jnp.clip(width * jnp.exp(share - TARGET_ACCEPTANCE), MIN_WIDTH, FULL_TURN)

    @cached_property
    def end(self) -> Program:
        """(population, normals before the last moves, hyper, training set) -> rows."""

        def one(
            particle: Particle, before: Float[Array, " M"], hyper: Hyper, train: Data
        ) -> tuple[Array, Array, Array]:
            theta = self.climber.theta(particle.normals, hyper)
            distance = jnp.mean((particle.normals - before) ** 2) / 2
            return theta, self.climber.fits(theta, train), distance

        lanes = over_lanes(one, (0, 0, None, None))

        def end(
            population: Particle, before: Float[Array, "B K M"], hyper: Hyper, train: Data
        ) -> Ended:
            return Ended(
                *jax.lax.map(lambda item: lanes(*item, hyper, train), (population, before))
            )

        return self.bucket.program(end)

    def with_padding(self, runs: int) -> int:
        """Count them as they are: what is timed is a population with its padding."""
        return runs

    def to_compile(self) -> Iterator[Example]:
        unit, train = self.example(), self.bucket.data.train
        yield self.start, (unit, self.bucket.root)
        key, population = self.start.shapes(unit, self.bucket.root)
        yield self.select, (population, key, np.int32(1))
        yield self.move, self._move_example(population, key)
        yield self.end, (population, population.normals, unit.hyper, train)
        yield self.bucket.observe, self.bucket.observe_example()

    def _move_example(self, population: Particle, key: Key[Array, ""]) -> tuple[Any, ...]:
        """Arguments of `move`: one sweep."""
        address = np.array([1, 0, 1], np.int32)
        return population, Moved.first(), np.float32(-np.inf), self.example(), key, address

    def timed(self) -> Timed:
        """Give one sweep of moves over a population, of as many angles as a move can try."""
        key, population = self.start(self.example(), self.bucket.root)
        population, moved, _, *rest = self._move_example(population, key)
        return Timed(self.move, (population, moved, np.float32(np.inf), *rest), self.spec.particles)

    def first_level(self) -> tuple[Any, ...]:
        """Give the arguments of `move` at the first level of a climb: one sweep."""
        key, population = self.start(self.example(), self.bucket.root)
        selected, selection = self.select(population, key, np.int32(1))
        _, moved, _, *rest = self._move_example(selected, key)
        return selected, moved, selection.threshold, *rest

    def counted(self) -> Timed:
        """Give one move of every particle of a block."""
        unit, lanes = self.example(), self.bucket.lanes
        draw = over_lanes(self.climber.start, (0, 0, None, None))
        move = over_lanes(self.climber.move, (0, 0, None, None, None, None))

        def moved(index: Array, root: Root, unit: Unit) -> tuple[Particle, Array]:
            keys = _fold_lanes(root, index)
            particles = draw(keys, index, unit.hyper, unit.data)
            first = Moved.first()
            found: tuple[Particle, Array] = move(
                particles, keys, jnp.float32(0), first.width, unit.hyper, unit.data
            )
            return found

        arguments = (np.arange(lanes, dtype=np.int32), self.bucket.root, unit)
        return Timed(self.bucket.program(moved), arguments, lanes)

    def example(self) -> Unit:
        """A unit like those of real work."""
        hyper = {path: v[0] for path, v in self.bucket.hyper([self.bucket.setting]).items()}
        data = self.bucket.data.train
        if self.spec.functions is not None:
            labels = np.zeros(len(self.bucket.task.probe_inputs), np.int64)
            data = function_data(self.bucket, labels)
        return Unit(jnp.zeros(2, jnp.uint32), hyper, data)


def _sweep_key(key: Key[Array, ""], level: Array | int, sweep: Array | int) -> Key[Array, ""]:
    """The key of a level's sweep: sweep 0 draws, or selects; the moves come after."""
    return jax.random.fold_in(jax.random.fold_in(key, level), sweep)


def _fold_lanes(key: Key[Array, ""], index: Int[Array, " K"]) -> Key[Array, " K"]:
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def _gather(leaf: Array, parent: Int[Array, " N"]) -> Array:
    """Give every place its parent's values; blocks and lanes are the first two axes."""
    rows = leaf.reshape(-1, *leaf.shape[2:])
    return rows[parent].reshape(leaf.shape)
