"""Matrix sensing and completion: a matrix of low rank, and what some measurements say of it."""

import numpy as np
from jaxtyping import Float

from sweep_engine.keys import data_rng
from sweep_engine.spec.tasks import MatrixSensing
from sweep_engine.tasks.losses import SQUARED
from sweep_engine.tasks.task import Task, make_task

Rows = Float[np.ndarray, "n DD"]


def load_matrix_sensing(spec: MatrixSensing, seed: int) -> Task:
    """Draw the matrix, then the measurements; more of them begin with the same ones."""
    rng = data_rng(seed, "matrix_sensing")
    left, right = rng.standard_normal((2, spec.size, spec.rank))
    target = left @ right.T
    target = target.ravel() / np.linalg.norm(target)
    measure = {"gaussian": _gaussian, "entries": _entries}[spec.measurements]
    train, test = (
        (rows.reshape(-1, spec.size, spec.size), rows @ target)
        for rows in measure(rng, spec.size**2, spec.examples)
    )
    return make_task(train, test, SQUARED)


def _gaussian(rng: np.random.Generator, dimension: int, count: int) -> tuple[Rows, Rows]:
    """Draw measurements of norm 1, and complete them by a basis at right angles to them."""
    rows = rng.standard_normal((count, dimension))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    basis = np.linalg.qr(rows.T, mode="complete").Q
    return rows, basis.T[count:]


def _entries(rng: np.random.Generator, dimension: int, count: int) -> tuple[Rows, Rows]:
    """Choose entries; the basis is the other ones."""
    order, every = rng.permutation(dimension), np.eye(dimension)
    return every[order[:count]], every[np.sort(order[count:])]
