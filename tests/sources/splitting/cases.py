"""Tasks to split on, and repetitions of them; samplers that are wrong in one way each."""

import contextlib
from dataclasses import dataclass

import jax
import numpy as np

import sweep_engine
from sweep_engine.sources import Control, Inputs, open_source, work
from sweep_engine.sources.splitting import particle
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.tasks.losses import LOGISTIC

LINEAR = {"kind": "linear", "bias": False}


@dataclass(frozen=True)
class Orthant:
    """One input along each axis, all labelled 1: w fits where all its coordinates are positive."""

    size: int

    def load(self, seed):
        return sweep_engine.make_task((np.eye(self.size), np.ones(self.size)), None, LOGISTIC)


@dataclass(frozen=True)
class Points:
    """A few random inputs, which identify the function too; their labels are all 1."""

    size: int
    dimension: int = 3

    def load(self, seed):
        x = np.random.default_rng(5).normal(size=(self.size, self.dimension))
        return sweep_engine.make_task((x, np.ones(self.size)), None, LOGISTIC)


def open_sweep(task, model, *, accept=None, axes=None, lanes=None, implementation="xla", **source):
    """A splitting source's settings, and its programs."""
    sweep = Sweep(
        name="splitting",
        seed=4,
        task=task,
        model=model,
        sources={"rare": {"kind": "splitting", **source}},
        accept=accept or {"train_error": 0.0},
        axes=axes or {},
        execution={"implementation": implementation} | ({"lanes": lanes} if lanes else {}),
    )
    found = settings(sweep)
    return found, open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)


def repetitions(setting, programs, first, stop, *, control=None, inputs=None):
    """Do the units first .. stop - 1 of a setting."""
    size = setting.spec.particles
    piece = Piece(setting, first * size, stop * size)
    return work(programs, [piece], control or Control(), inputs or Inputs())


def split(task, model, num_repetitions, **options):
    """Open a source and do some repetitions."""
    (setting,), programs = open_sweep(task, model, **options)
    return repetitions(setting, programs, 0, num_repetitions)


def measured(finished, what):
    """One number, and its standard error, of every unit in their order."""
    found = [one for one in finished.measured if one.what == what]
    return np.array([one.value for one in found]), np.array([one.stderr for one in found])


def one_per_ancestor(finished, particles):
    """Rows that descend from different first draws: nearly independent of one another."""
    unit = (finished.solutions.run_id & 0xFFFFFFFF) // particles
    lines = np.stack([unit, finished.solutions.ancestor], axis=1)
    return np.unique(lines, axis=0, return_index=True)[1]


def _never(self, particle, key, threshold, width, hyper, data):
    return particle, jax.numpy.bool_(False)


def _anywhere(self, particle, key, threshold, width, hyper, data):
    moved = self.start(key, particle.ancestor, hyper, data)
    return moved, jax.numpy.bool_(True)


def _inflating(self, particle, key, threshold, width, hyper, data):
    step = 0.1 * jax.random.normal(key, particle.normals.shape)
    normals = particle.normals + step
    moved = particle._replace(normals=normals, level=self.level(normals, hyper, data))
    found = moved.level > threshold
    chosen = jax.tree.map(lambda a, b: jax.numpy.where(found, a, b), moved, particle)
    return chosen, found


WRONG_MOVES = {"clones stay": _never, "any level": _anywhere, "not the law": _inflating}


@contextlib.contextmanager
def wrong_move(name):
    """Let particles move wrongly, in programs that are made meanwhile."""
    right = particle.Climber.move
    particle.Climber.move = WRONG_MOVES[name]
    try:
        yield
    finally:
        particle.Climber.move = right
