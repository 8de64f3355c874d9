"""Modular arithmetic: all pairs of residues, and what an operation makes of them."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Int

from sweep_engine.keys import data_rng
from sweep_engine.spec.tasks import Modular
from sweep_engine.tasks.losses import label_loss
from sweep_engine.tasks.task import Task, make_task

Residues = Int[np.ndarray, " N"]

OPERATIONS: Mapping[str, Callable[[Residues, Residues, int], Residues]] = {
    "add": lambda a, b, p: (a + b) % p,
    "subtract": lambda a, b, p: (a - b) % p,
    "multiply": lambda a, b, p: a * b % p,
    "divide": lambda a, b, p: a * _inverses(p)[b] % p,
    "sum_of_squares": lambda a, b, p: (a * a + b * b) % p,
}


def load_modular(spec: Modular, seed: int) -> Task:
    """Make the task: the chosen pairs train, all others test, all identify the function."""
    p = spec.modulus
    a, b = (side.ravel() for side in np.mgrid[:p, spec.operation == "divide" : p])
    y = OPERATIONS[spec.operation](a, b, p)
    x = np.stack([a, b], axis=1).astype(np.float32)
    if spec.inputs == "one_hot":
        x = np.concatenate([np.eye(p)[a], np.eye(p)[b]], axis=1)
    order = data_rng(seed, f"modular/{p}").permutation(len(y))
    train, test = np.sort(order[: spec.train]), np.sort(order[spec.train :])
    return make_task(
        (x[train], y[train]),
        (x[test], y[test]) if len(test) else None,
        label_loss(spec.loss, p, spec.label_smoothing),
        probe_inputs=np.argsort(np.concatenate([train, test])),
        finite=True,
    )


def _inverses(p: int) -> Residues:
    """Give b^(p-2) mod p, which is 1/b for a prime p (Fermat)."""
    return np.array([pow(b, p - 2, p) for b in range(p)])
